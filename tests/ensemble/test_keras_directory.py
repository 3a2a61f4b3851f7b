"""KerasDirectoryFlowPipeline on small folders of real images."""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from mlpipeline.ensemble import KerasDirectoryFlowPipeline
from mlpipeline.errors import EnsembleError
from tests.ensemble.small_networks import BINARY, ONE_HOT, SPARSE, assert_close, one_thread, small_network

NAMES = ("four", "one", "seven")
DIGITS = {"one": 1, "seven": 7, "four": 4}
SCALE = {"rescale": 1 / 255}


@pytest.fixture(autouse=True, scope="module")
def in_one_thread():
    with one_thread():
        yield


def write_images(folder: Path, first: int, count: int, names=NAMES) -> Path:
    """Write some images of digits into a folder for each class."""
    images, labels = load_digits(return_X_y=True)
    for name in names:
        (folder / name).mkdir(parents=True)
        for number, pixels in enumerate(images[labels == DIGITS[name]][first : first + count]):
            Image.fromarray((pixels.reshape(8, 8) * 15).astype(np.uint8)).save(folder / name / f"{number:02}.png")
    return folder


@pytest.fixture
def folder(tmp_path):
    write_images(tmp_path / "train", 0, 12)
    write_images(tmp_path / "valid", 12, 4)
    for path in write_images(tmp_path / "aside", 16, 3).rglob("*.png"):
        shutil.copy(path, (tmp_path / f"{path.parent.name}-{path.name}"))
    (tmp_path / "test").mkdir()
    for path in tmp_path.glob("*.png"):
        path.rename(tmp_path / "test" / path.name)
    return tmp_path


def pipeline(folder, *, loss=SPARSE, outputs=3, **arguments):
    params = {"shape": (8, 8, 1), "outputs": outputs, "loss": loss, "rate": 0.03}
    if not arguments.get("user_split"):
        arguments = {"full_train_dir": "train", **arguments}
    quiet = {"verbose": False, "output_statistics": False, "together": False, "seed": 1, "n_folds": 3}
    images = {"image_size": (8, 8), "color_mode": "grayscale", "train_datagen": SCALE}
    return KerasDirectoryFlowPipeline(small_network, params, src_dir=folder, **{**quiet, **images, **arguments})


def said(model, paths):
    pixels = [np.asarray(Image.open(path), dtype=np.float32)[:, :, None] / 255 for path in paths]
    return model.predict(np.stack(pixels), verbose=0)


def listing(folder):
    return {path: (path.stat().st_mtime_ns, path.stat().st_ino) for path in folder.rglob("*")}


def test_folds_predict_each_file_by_the_model_that_did_not_see_it(folder):
    before = listing(folder)
    runner = pipeline(folder, stratify=True, test_dir="test", predict_test=True)
    model, oof, test = runner.kf_flow_run()
    ids = runner.result.work.observations.ids
    assert ids.tolist() == sorted(f"{name}/{number:02}.png" for name in NAMES for number in range(12))
    for split, member in zip(runner.result.splits, runner.result.members, strict=True):
        assert_close(oof[split.valid], said(member.model, [folder / "train" / name for name in ids[split.valid]]))
        assert sorted(name.split("/")[0] for name in ids[split.valid]) == sorted(NAMES * 4)
    tested = [folder / "test" / name for name in runner.result.work.X_test.ids]
    assert_close(test, np.mean([said(each, tested) for each in runner.result.models], axis=0))
    assert len(tested) == 9
    assert model is runner.result.models[-1]
    assert listing(folder) == before


def test_bags_are_drawn_by_number_or_judged_by_a_folder_and_no_file_is_touched(folder):
    before = listing(folder)
    drawn = pipeline(folder, n_bags=2, split_size=0.25)
    _, valid, test = drawn.bag_flow_run()
    assert (valid.shape, test) == ((36, 3), None)
    assert [len(split.valid) for split in drawn.result.splits] == [9, 9]
    given = pipeline(folder, user_split=True, train_dir="train", valid_dir="valid")
    _, valid, _ = given.bag_flow_run()
    names = given.result.work.observations.ids[-12:]
    assert names[0] == "valid/four/00.png"
    assert_close(
        valid, np.mean([said(model, [folder / name for name in names]) for model in given.result.models], axis=0)
    )
    assert listing(folder) == before


@pytest.mark.parametrize(
    ("loss", "names", "outputs"), [(ONE_HOT, NAMES, 3), (BINARY, NAMES, 3), (BINARY, NAMES[:2], 1)]
)
def test_labels_are_given_as_the_loss_needs_them(folder, loss, names, outputs):
    runner = pipeline(folder, loss=loss, outputs=outputs, classes=names, number_epochs=5, batch_size=4)
    _, oof, _ = runner.kf_flow_run()
    assert oof.shape == (12 * len(names), outputs)
    assert runner.result.oof_scores["accuracy"] > 0.8


def test_outputs_are_in_the_order_of_the_classes_and_test_folders_of_classes_are_scored(folder):
    runner = pipeline(
        folder, classes=["seven", "four", "one"], test_dir="valid", predict_test=True, number_epochs=5, batch_size=4
    )
    _, test = runner.full_train_run()
    order = ["seven", "four", "one"]
    truth = np.array([order.index(name.split("/")[0]) for name in runner.result.work.X_test.ids])
    share = (test.argmax(axis=1) == truth).mean()
    assert share > 0.8
    assert runner.test_scores["accuracy"] == pytest.approx(share)


def test_copies_of_images_that_are_changed_at_random_are_predicted_in_order(folder):
    changed = {"rescale": 1 / 255, "rotation_range": 10}
    runner = pipeline(
        folder, train_datagen=changed, test_datagen=changed, test_dir="train", predict_test=True,
        number_test_augmentations=4, number_epochs=5, batch_size=4,
    )  # fmt: skip
    _, _, test = runner.bag_flow_run()
    assert_close(test.sum(axis=1), 1)
    truth = [NAMES.index(name.split("/")[0]) for name in runner.result.work.X_test.ids]
    assert (test.argmax(axis=1) == truth).mean() > 0.8
    assert runner.test_scores["accuracy"] > 0.8


@pytest.mark.parametrize(
    ("train_dir", "valid_dir"),
    [("train", "train"), ("train", "train/../train"), ("train", "link"), ("link", "train"), ("train", "links")],
)
def test_a_file_that_would_be_trained_on_and_judged_by_is_named_and_stays_where_it_is(folder, train_dir, valid_dir):
    (folder / "link").symlink_to(folder / "train")
    shutil.copytree(folder / "valid", folder / "links")
    (folder / "links" / "one" / "again.png").symlink_to(folder / "train" / "one" / "03.png")
    before = listing(folder)
    runner = pipeline(folder, user_split=True, train_dir=train_dir, valid_dir=valid_dir)
    with pytest.raises(EnsembleError, match=f"{'1' if valid_dir == 'links' else '36'} files in common"):
        runner.bag_flow_run()
    assert listing(folder) == before


@pytest.mark.parametrize("full_train_dir", ["../train", "/", "a/../../train"])
def test_a_folder_outside_src_dir_is_refused(folder, full_train_dir):
    with pytest.raises(EnsembleError, match="full_train_dir must be in src_dir"):
        pipeline(folder / "valid", full_train_dir=full_train_dir)


def test_a_link_in_src_dir_may_lead_to_images_elsewhere(folder):
    (folder / "project").mkdir()
    (folder / "project" / "images").symlink_to(folder / "train")
    _, oof, _ = pipeline(folder / "project", full_train_dir=folder / "project" / "images").kf_flow_run()
    assert oof.shape == (36, 3)


def test_empty_classes_and_unreadable_images_are_named_and_the_latter_left_out_on_request(folder):
    (folder / "train" / "four" / "05.png").write_text("no image")
    with pytest.raises(EnsembleError, match=r"four/05\.png"):
        pipeline(folder).kf_flow_run()
    runner = pipeline(folder, skip_unreadable=True)
    assert runner.kf_flow_run()[1].shape == (35, 3)
    (folder / "train" / "zero").mkdir()
    with pytest.raises(EnsembleError, match="zero"):
        pipeline(folder).kf_flow_run()


def test_folders_that_do_not_fit_together_are_refused(folder):
    shutil.rmtree(folder / "valid" / "one")
    with pytest.raises(EnsembleError, match=r"has the classes four, one, seven, but .* has four, seven"):
        pipeline(folder, user_split=True, train_dir="train", valid_dir="valid").bag_flow_run()
    with pytest.raises(EnsembleError, match="needs a folder for each class"):
        pipeline(folder, full_train_dir="test").kf_flow_run()
    with pytest.raises(EnsembleError, match="at least 13 rows of each class"):
        pipeline(folder, stratify=True, n_folds=13).kf_flow_run()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"user_split": True, "train_dir": "train"}, "user_split=True needs valid_dir"),
        ({"full_train_dir": None}, "user_split=False needs full_train_dir"),
        ({"valid_dir": "valid"}, "valid_dir has no use with user_split=False"),
        ({"predict_test": True}, "predict_test=True needs test_dir"),
    ],
)
def test_folders_are_given_where_they_are_used_and_nowhere_else(folder, arguments, message):
    with pytest.raises(EnsembleError, match=message):
        pipeline(folder, **arguments)
