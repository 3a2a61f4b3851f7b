"""KerasPipeline and KerasFlowPipeline against what their models say when they are asked one by one."""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.datasets import load_digits

from mlpipeline.ensemble import KerasFlowPipeline, KerasPipeline
from mlpipeline.ensemble.keras_pipelines.rows import join
from mlpipeline.ensemble.observations import Observations, take
from mlpipeline.errors import EnsembleError
from tests.ensemble.small_networks import BINARY, ONE_HOT, small_network

N, TEST = 120, 30


@cache
def digits():
    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype(np.float32)
    x.setflags(write=False)
    return x[:N], y[:N], x[N : N + TEST], y[N : N + TEST]


def pipeline(kind: Any = KerasPipeline, params: Any = None, **arguments: Any) -> Any:
    quiet = {"verbose": False, "output_statistics": False, "together": False, "seed": 1, "n_folds": 2}
    return kind(small_network, params or {}, **{"predict_test": True, "batch_size": 40, **quiet, **arguments})


def flow(shape=(8, 8, 1), **arguments):
    return pipeline(KerasFlowPipeline, {"shape": shape}, **arguments)


def images():
    x, y, x_test, y_test = digits()
    return x.reshape(-1, 8, 8, 1), y, x_test.reshape(-1, 8, 8, 1), y_test


def said(model, x):
    return model.predict(x, verbose=0, batch_size=N)


def mean_said(runner, x):
    return np.mean([said(model, x) for model in runner.result.models], axis=0)


def assert_close(first, second):
    np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-6)


def listing(folder: Path):
    return {path.name: path.stat().st_mtime_ns for path in folder.rglob("*") if not path.name.startswith(".")}


# what the runs return


def test_out_of_fold_predictions_of_integer_labels_are_those_of_the_model_that_did_not_see_the_row():
    x, y, x_test, _ = digits()
    runner = pipeline()
    model, oof, _ = runner.kfold_run(x, y, x_test)
    assert oof.shape == (N, 10)
    for split, member in zip(runner.result.splits, runner.result.members, strict=True):
        assert_close(oof[split.valid], said(member.model, x[split.valid]))
    assert_close(oof.sum(axis=1), 1)
    assert model is runner.result.models[-1]


@pytest.mark.parametrize("run", ["bag_run", "kfold_run"])
def test_test_predictions_are_the_mean_of_what_the_models_say_of_the_test_rows(run):
    x, y, x_test, _ = digits()
    runner = pipeline()
    _, valid, test = getattr(runner, run)(x, y, X_test=x_test)
    assert test.shape == (TEST, 10)
    assert_close(test, mean_said(runner, x_test))
    assert not np.allclose(test, valid[:TEST])


def test_a_bag_run_leaves_rows_that_judged_no_bag_without_prediction():
    x, y, *_ = digits()
    runner = pipeline(split_size=0.3)
    _, valid, _ = runner.bag_run(x, y)
    judged = set(np.concatenate([split.valid for split in runner.result.splits]).tolist())
    assert set(np.flatnonzero(~np.isnan(valid).any(axis=1)).tolist()) == judged
    assert [len(split.valid) for split in runner.result.splits] == [36, 36]


def test_rows_that_the_user_splits_off_judge_every_bag():
    x, y, x_test, y_test = digits()
    runner = pipeline(user_split=True)
    _, valid, test = runner.bag_run(x, y, x_test, y_test, x_test[:5])
    assert valid.shape == (TEST, 10)
    assert_close(valid, mean_said(runner, x_test))
    assert_close(test, valid[:5])
    assert [len(split.train) for split in runner.result.splits] == [N, N]


def test_a_full_run_trains_one_model_on_all_rows_and_scores_the_test_rows():
    x, y, x_test, y_test = digits()
    runner = pipeline(number_epochs=2)
    model, test = runner.full_train_run(x, y, x_test, y_test)
    assert_close(test, said(model, x_test))
    assert [len(split.train) for split in runner.result.splits] == [N]
    assert runner.test_scores["accuracy"] == pytest.approx((test.argmax(axis=1) == y_test).mean())


def test_what_was_not_asked_for_is_none():
    x, y, x_test, _ = digits()
    assert pipeline(predict_test=False).bag_run(x, y, X_test=x_test)[2] is None
    assert pipeline().kfold_run(x, y)[2] is None
    assert pipeline().full_train_run(x, y)[1] is None


@pytest.mark.parametrize("loss", [ONE_HOT, BINARY, "mse"])
def test_one_hot_rows_two_classes_and_values_are_predicted_as_they_are(loss):
    x, y, x_test, _ = digits()
    given = {ONE_HOT: np.eye(10)[y], BINARY: (y > 4).astype(int), "mse": y / 7}[loss]
    runner = pipeline(params={"loss": loss, "outputs": 10 if loss == ONE_HOT else 1})
    _, oof, test = runner.kfold_run(x, given, x_test)
    assert oof.shape == (N, 10 if loss == ONE_HOT else 1)
    assert_close(test, mean_said(runner, x_test))


def test_many_integer_labels_are_classes_where_the_loss_says_so():
    x, _, x_test, _ = digits()
    _, oof, _ = pipeline(params={"outputs": 24}).kfold_run(x, np.arange(N) % 24, x_test)
    assert oof.shape == (N, 24)


# how rows are divided


@pytest.mark.parametrize(("run", "kind"), [("bag_run", "n_bags"), ("kfold_run", "n_folds")])
def test_stratify_keeps_the_shares_of_the_classes(run, kind):
    x, _, *_ = digits()
    y = np.repeat([0, 1], [30, 90])
    runner = pipeline(params={"outputs": 2}, stratify=True, split_size=1 / 3, **{kind: 3})
    getattr(runner, run)(x, y)
    assert [Counter(y[split.valid].tolist()) for split in runner.result.splits] == [{0: 10, 1: 30}] * 3


def test_stratify_is_refused_where_it_would_be_ignored():
    x, y, x_test, y_test = digits()
    with pytest.raises(EnsembleError, match="no classes"):
        pipeline(params={"loss": "mse", "outputs": 1}, stratify=True).kfold_run(x, y / 7)
    with pytest.raises(EnsembleError, match="leave one out"):
        pipeline(stratify=True, user_split=True).bag_run(x, y, x_test, y_test)
    with pytest.raises(EnsembleError, match="leave one out"):
        pipeline(stratify=True, shuffle=False).bag_run(x, y)


def test_without_shuffle_rows_are_divided_as_they_come():
    x, y, *_ = digits()
    runner = pipeline(shuffle=False)
    runner.kfold_run(x, y)
    assert runner.result.splits.members[1].valid.tolist() == list(range(60, N))
    runner.bag_run(x, y)
    assert [split.valid.tolist() for split in runner.result.splits] == [list(range(96, N))] * 2
    assert not runner.result.work.trainer.shuffle


# what must not leak


def test_one_seed_decides_everything_whatever_was_drawn_before():
    x, y, x_test, _ = digits()
    in_order = {"params": {"dropout": 0.5}, "shuffle": False}  # whose split needs no seed
    first = pipeline(**in_order).kfold_run(x, y, x_test)
    keras.utils.set_random_seed(7)
    second = pipeline(**in_order).kfold_run(x, y, x_test)
    np.testing.assert_array_equal(first[1], second[1])
    np.testing.assert_array_equal(first[2], second[2])
    assert not np.allclose(pipeline(**in_order, seed=2).kfold_run(x, y)[1], first[1])


def test_a_seed_that_was_drawn_is_kept_and_gives_the_run_again():
    x, y, *_ = digits()
    runner = pipeline(seed=None)
    _, oof, _ = runner.kfold_run(x, y)
    np.testing.assert_array_equal(pipeline(seed=runner.result.work.seed).kfold_run(x, y)[1], oof)
    assert runner.seed is None


def test_nothing_is_carried_from_one_run_to_the_next():
    x, y, x_test, y_test = digits()
    stops = [keras.callbacks.EarlyStopping("loss", patience=0, start_from_epoch=0, min_delta=100)]
    runner = pipeline(callbacks=stops, number_epochs=3)
    first = runner.kfold_run(x, y, x_test, y_test)
    runner.bag_run(x[:50], y[:50], X_test=x_test)
    assert runner.test_scores is None
    again = runner.kfold_run(x, y, x_test, y_test)
    np.testing.assert_array_equal(first[1], again[1])
    np.testing.assert_array_equal(first[2], again[2])
    assert vars(stops[0])["_model"] is None
    assert not x.flags.writeable


def test_a_model_function_that_changes_its_parameters_changes_its_own_copy():
    x, y, *_ = digits()
    params = {"sizes": [10]}

    def greedy(given):
        return small_network({"outputs": given["sizes"].pop()})

    KerasPipeline(greedy, params, verbose=False, output_statistics=False, together=False).bag_run(x, y)
    assert params == {"sizes": [10]}


def test_callbacks_have_files_of_their_own_and_choose_by_rows_that_judge_no_fold(tmp_path):
    x, y, *_ = digits()
    best = keras.callbacks.ModelCheckpoint(tmp_path / "best.keras", "val_loss", save_best_only=True)
    runner = pipeline(callbacks=[best])
    runner.kfold_run(x, y)
    assert sorted(listing(tmp_path)) == ["best_fold0.keras", "best_fold1.keras"]
    assert runner.result.work.stopping_size == 0.1
    assert "stop_loss" in runner.result.members[0].fitted.history
    for number, member in enumerate(runner.result.members):
        kept = keras.saving.load_model(tmp_path / f"best_fold{number}.keras")
        assert_close(said(kept, x), said(member.model, x))


def test_no_rows_are_held_back_where_no_callback_asks_for_them():
    x, y, *_ = digits()
    runner = pipeline(callbacks=[keras.callbacks.TerminateOnNaN()])
    runner.bag_run(x, y)
    assert runner.result.work.stopping_size == 0


def test_scores_and_statistics_are_of_the_epoch_whose_weights_predict():
    x, _, x_test, _ = digits()
    runner = pipeline(params={"rate": 0.1}, stopping_size=0.2, number_epochs=6)
    _, _, test = runner.kfold_run(x, np.arange(N) % 10, x_test)  # labels that can only be learnt by heart
    histories = [member.fitted.history for member in runner.result.members]
    best = [member.fitted.best_epoch for member in runner.result.members]
    assert [np.argmin(history["stop_loss"]) + 1 for history in histories] == best
    assert max(best) < 6
    for member, history, epoch in zip(runner.result.members, histories, best, strict=True):
        assert history["val_loss"][epoch - 1] == pytest.approx(member.scores["log_loss"], rel=1e-4)
    assert_close(test, mean_said(runner, x_test))


def test_weights_of_classes_and_metrics_are_used():
    x, y, *_ = digits()
    runner = pipeline(class_weight={3: 0.0}, metrics=["f1", "roc_auc"], number_epochs=5)
    _, oof, _ = runner.kfold_run(x, y)
    assert list(runner.result.oof_scores) == ["f1", "roc_auc"]
    assert 3 not in oof.argmax(axis=1)
    pipeline_oof = pipeline(number_epochs=5).kfold_run(x, y)[1]
    assert 3 in pipeline_oof.argmax(axis=1)


# files


def test_a_run_keeps_what_was_asked_for_and_is_never_written_over(tmp_path):
    x, y, x_test, _ = digits()
    kept = {"run_save_name": "net", "src_dir": tmp_path}
    pipeline(save_model=True, save_history=True, save_statistics=True, **kept).kfold_run(x, y, x_test)
    before = listing(tmp_path / "checkpoints" / "net")
    members = [f"net_fold{number}.{suffix}" for number in (0, 1) for suffix in ("keras", "npz")]
    results = ["plan.json", "oof_train.npy", "oof_test.npy", "history.csv", "folds.png", "stats.txt"]
    assert set(before) == {*members, *(f"net_{name}" for name in results)}
    with pytest.raises(EnsembleError, match="exists"):
        pipeline(save_model=True, **kept).kfold_run(x, y, x_test)
    with pytest.raises(EnsembleError, match="other work"):
        pipeline(save_model=True, resume=True, **kept).kfold_run(x + 1, y, x_test)
    assert listing(tmp_path / "checkpoints" / "net") == before


def test_a_resumed_run_trains_what_is_missing_and_gives_the_same(tmp_path):
    x, y, x_test, _ = digits()
    kept = {"run_save_name": "net", "src_dir": tmp_path, "save_model": True}
    whole = pipeline(**kept).kfold_run(x, y, x_test)
    folder = tmp_path / "checkpoints" / "net"
    before = listing(folder)
    assert not {"net_history.csv", "net_folds.png", "net_stats.txt"} & set(before)
    (folder / "net_fold0.npz").unlink()
    model, oof, test = pipeline(resume=True, **kept).kfold_run(x, y, x_test)
    np.testing.assert_array_equal(oof, whole[1])
    np.testing.assert_array_equal(test, whole[2])
    assert_close(said(model, x), said(whole[0], x))
    after = listing(folder)
    assert {name for name in before if "_fold" in name and after[name] == before[name]} == {
        "net_fold1.keras", "net_fold1.npz",
    }  # fmt: skip


def test_saved_models_predict_without_training_and_train_further(tmp_path):
    x, y, x_test, _ = digits()
    saved = {"run_save_name": "net", "src_dir": tmp_path, "seed": None}
    _, oof, test = pipeline(save_model=True, **saved).kfold_run(x, y, x_test)
    before = listing(tmp_path / "checkpoints" / "net")
    _, oof_again, test_again = pipeline(load_keras_model=True, number_epochs=0, **saved).kfold_run(x, y, x_test)
    np.testing.assert_array_equal(oof_again, oof)
    np.testing.assert_array_equal(test_again, test)
    runner = pipeline(load_keras_model=True, number_epochs=1, save_as="net2", save_model=True, **saved)
    runner.kfold_run(x, y, x_test)
    losses = [member.fitted.history["loss"] for member in runner.result.members]
    fresh = pipeline(number_epochs=1)
    fresh.kfold_run(x, y)
    assert [len(each) for each in losses] == [1, 1]
    assert np.mean(losses) < np.mean([member.fitted.history["loss"] for member in fresh.result.members])
    assert listing(tmp_path / "checkpoints" / "net") == before
    assert (tmp_path / "checkpoints" / "net2" / "net2_fold1.keras").is_file()


def test_models_of_other_rows_or_of_no_run_are_not_loaded(tmp_path):
    x, y, *_ = digits()
    saved = {"run_save_name": "net", "src_dir": tmp_path}
    with pytest.raises(EnsembleError, match="no run 'net'"):
        pipeline(load_keras_model=True, **saved).full_train_run(x, y)
    pipeline(save_model=True, **saved).full_train_run(x, y)
    assert (tmp_path / "checkpoints" / "net" / "net_full0.keras").is_file()
    with pytest.raises(EnsembleError, match="X differ"):
        pipeline(load_keras_model=True, **saved).full_train_run(x[::-1], y)
    with pytest.raises(EnsembleError, match=r"fold0\.npz is not there"):
        pipeline(load_keras_model=True, **saved).kfold_run(x, y)


def test_progress_and_statistics_are_written_where_they_are_asked_for(capsys):
    x, y, x_test, y_test = digits()
    pipeline().kfold_run(x, y, x_test, y_test)
    assert capsys.readouterr().out == ""
    pipeline(verbose=True).kfold_run(x, y)
    assert [line.split()[2] for line in capsys.readouterr().out.splitlines()] == ["fold0:", "fold1:"]
    pipeline(output_statistics=True).kfold_run(x, y, x_test, y_test)
    out = capsys.readouterr().out
    assert "Out-of-fold predictions together, 120 of 120 rows" in out
    assert "test rows: accuracy 0." in out


# images that are changed at random


def test_images_are_scaled_alike_in_training_and_in_every_prediction():
    x, y, x_test, _ = images()
    plain = flow().kf_flow_run(x, y, x_test)
    scaled = flow(train_datagen={"rescale": 1 / 255})
    _, oof, test = scaled.kf_flow_run(x * 255, y, x_test * 255)
    assert_close(oof, plain[1])
    assert_close(test, plain[2])
    with pytest.raises(EnsembleError, match="scales images otherwise"):
        flow(train_datagen={"rescale": 1 / 255}, test_datagen={"horizontal_flip": True})


def test_predictions_of_changed_copies_keep_the_order_and_sum_to_one():
    x, y, x_test, _ = images()
    both = np.concatenate([x_test, x_test[:, :, ::-1]], axis=2)  # equal to its mirror image
    wide = np.concatenate([x, x[:, :, ::-1]], axis=2)
    flipped = {"horizontal_flip": True}
    runner = flow((8, 16, 1), train_datagen=flipped, test_datagen=flipped, number_test_augmentations=3)
    _, _, test = runner.bag_flow_run(wide, y, X_test=both)
    assert_close(test, mean_said(runner, both))
    assert_close(test.sum(axis=1), 1)


def test_each_copy_of_a_test_image_is_changed_and_validation_images_are_not():
    x, y, x_test, _ = images()
    shifted = {"width_shift_range": 0.3}
    once = flow(train_datagen=shifted, test_datagen=shifted)
    often = flow(train_datagen=shifted, test_datagen=shifted, number_test_augmentations=4)
    _, oof, test = once.kf_flow_run(x, y, x_test)
    _, oof_again, test_often = often.kf_flow_run(x, y, x_test)
    np.testing.assert_array_equal(oof, oof_again)
    for split, model in zip(once.result.splits, once.result.models, strict=True):
        assert_close(oof[split.valid], said(model, x[split.valid]))
    assert not np.allclose(test, test_often, atol=1e-4)
    assert not np.allclose(test, mean_said(once, x_test), atol=1e-4)
    assert_close(test_often.sum(axis=1), 1)


def test_validation_images_are_changed_where_that_is_asked_for():
    x, y, *_ = images()
    runner = flow(valid_datagen={"width_shift_range": 0.3}, user_split=True)
    _, valid, _ = runner.bag_flow_run(x, y, x[:TEST], y[:TEST])
    assert not np.allclose(valid, mean_said(runner, x[:TEST]), atol=1e-4)
    assert_close(valid.sum(axis=1), 1)


def test_averaging_equal_predictions_is_refused():
    with pytest.raises(EnsembleError, match="random test_datagen"):
        flow(train_datagen={"horizontal_flip": True}, number_test_augmentations=3)


# bad input


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_bags": 0}, "n_bags must be a whole number of at least 1"),
        ({"n_folds": 1}, "n_folds must be a whole number of at least 2"),
        ({"split_size": 1}, "split_size must be a share"),
        ({"number_epochs": 0}, "number_epochs must be a whole number of at least 1"),
        ({"batch_size": 2.5}, "batch_size must be a whole number"),
        ({"save_model": True}, "save_model=True needs run_save_name"),
        ({"load_keras_model": True}, "needs run_save_name"),
        ({"load_keras_model": True, "run_save_name": "a", "save_history": True}, "needs save_as"),
        ({"save_as": "b"}, "save_as is for load_keras_model"),
        ({"run_save_name": "a", "resume": True}, "resume=True needs save_model"),
    ],
)
def test_an_argument_that_cannot_be_used_is_refused_at_once(arguments, message):
    with pytest.raises(EnsembleError, match=message):
        pipeline(**arguments)


def test_a_name_in_place_of_the_model_function_is_refused():
    with pytest.raises(EnsembleError, match=r"getattr\(module, name\)"):
        KerasPipeline("small_network")
    with pytest.raises(EnsembleError, match="model_params must be a dict"):
        KerasPipeline(small_network, 10)


def test_rows_that_do_not_fit_together_are_refused():
    x, y, x_test, y_test = digits()
    missing = np.where(np.arange(64) == 5, np.nan, x)
    with pytest.raises(EnsembleError, match="X_train has 120 rows, but y_train has 119"):
        pipeline().kfold_run(x, y[:-1])
    with pytest.raises(EnsembleError, match="X_train has 120 rows, but y_train has 110"):  # in sum they would fit
        pipeline(user_split=True).bag_run(x, y[:110], x_test, np.append(y_test, y[110:]))
    with pytest.raises(EnsembleError, match="at least 20 rows of each class"):
        pipeline(stratify=True, n_folds=20).kfold_run(x, y)
    with pytest.raises(EnsembleError, match="y_train holds labels and y_valid rows of 10"):
        pipeline(user_split=True).bag_run(x, y, x_test, np.eye(10)[y_test])
    with pytest.raises(EnsembleError, match="y_train holds rows of 10 and y_test labels"):
        pipeline(params={"loss": ONE_HOT}).kfold_run(x, np.eye(10)[y], x_test, y_test)
    with pytest.raises(EnsembleError, match=r"X_test has .* row 0, column 5"):
        pipeline().full_train_run(x, y, missing[:TEST])
    with pytest.raises(EnsembleError, match=r"X_valid is .*\(63,\)"):
        pipeline(user_split=True).bag_run(x, y, x_test[:, 1:], y_test)


@pytest.mark.parametrize(
    "kind",
    [
        np.asarray,
        pd.DataFrame,
        torch.from_numpy,
        sparse.csr_matrix,
        lambda rows: {"a": rows[:, :9], "b": rows[:, 9:]},
    ],
)
def test_validation_rows_are_put_behind_training_rows_of_their_kind(kind):
    x, y, x_test, y_test = (each.copy() for each in digits())
    both = join(Observations(kind(x), y), Observations(kind(x_test), y_test))
    rows = take(both.X, np.arange(N - 2, N + 3))
    rows = np.hstack([rows["a"], rows["b"]]) if isinstance(rows, dict) else rows
    rows = rows.toarray() if sparse.issparse(rows) else np.asarray(rows)
    np.testing.assert_array_equal(rows, np.concatenate([x[-2:], x_test[:3]]))
    np.testing.assert_array_equal(both.y, np.concatenate([y, y_test]))


def test_rows_are_given_where_they_are_used_and_nowhere_else():
    x, y, x_test, y_test = digits()
    with pytest.raises(EnsembleError, match="set user_split=True"):
        pipeline().bag_run(x, y, x_test, y_test)
    with pytest.raises(EnsembleError, match="needs X_valid and y_valid"):
        pipeline(user_split=True).bag_run(x, y)
    with pytest.raises(EnsembleError, match="y_test is given without X_test"):
        pipeline().kfold_run(x, y, y_test=y_test)


@pytest.mark.parametrize("name", ["../net", "/tmp/net", ".."])
def test_a_run_cannot_leave_its_folder(tmp_path, name):
    x, y, *_ = digits()
    (tmp_path / "in").mkdir()
    with pytest.raises(EnsembleError, match="run_save_name"):
        pipeline(run_save_name=name, src_dir=tmp_path / "in", save_model=True).kfold_run(x, y)
    assert list(listing(tmp_path)) == ["in"]
