import json
import re
import resource
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from torch import nn
from torch.optim import SGD

from mlpipeline.ensemble import Bags, Observations, SklearnTrainer, Splits, StratifiedFolds
from mlpipeline.ensemble.identity import differences, identity_of
from mlpipeline.ensemble.run_folder import RunFolder, read_saved, run_path
from mlpipeline.ensemble.torch_trainer import TorchTrainer
from mlpipeline.errors import EnsembleError
from tests.ensemble import light_runs
from tests.ensemble.run_support import X_TEST, X, Y, ensemble


@pytest.fixture
def finished_run(tmp_path):
    """An ensemble of three folds that has been trained, and its folder."""
    return ensemble(tmp_path).fit(X, Y, X_TEST), tmp_path / "checkpoints" / "iris"


@pytest.fixture
def file_limit():
    """Files may have so many bytes, as on a disk that is full then."""
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, usual[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, usual)


def contents(folder):
    return {
        path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir() if path.name != ".lock"
    }


def work(**changes):
    arguments = {"trainer": GaussianNB(), "plan": StratifiedFolds(3), **changes.pop("ensemble", {})}
    rows = Observations(X, Y, None, changes.pop("groups", None), changes.pop("weights", None))
    return ensemble(".", **arguments).read_work(replace(rows, **changes.pop("rows", {})), changes.pop("X_test", X_TEST))


def test_a_run_leaves_the_files_that_are_documented(tmp_path):
    ensemble(tmp_path, "two", plan=Bags(2), save_history=True).fit(X, Y, X_TEST)
    names = [f"bag{number}.{kind}" for number in (0, 1) for kind in ("npz", "skops")]
    names += ["folds.png", "history.csv", "oof_test.npy", "oof_train.npy", "plan.json", "stats.txt"]
    folder = tmp_path / "checkpoints" / "two"
    assert sorted(contents(folder)) == [f"two_{name}" for name in names]


def test_predictions_and_plan_on_disk_are_those_of_the_result(finished_run):
    result, folder = finished_run
    np.testing.assert_array_equal(np.load(folder / "iris_oof_train.npy"), result.oof)
    np.testing.assert_array_equal(np.load(folder / "iris_oof_test.npy"), result.test)
    splits = Splits.from_json((folder / "iris_plan.json").read_text())
    assert [split.valid.tolist() for split in splits] == [split.valid.tolist() for split in result.splits]


def test_what_is_switched_off_is_not_written(tmp_path):
    result = ensemble(tmp_path, save_model=False, save_statistics=False).fit(X, Y)
    endings = {name.partition("_")[2] for name in contents(tmp_path / "checkpoints" / "iris")}
    assert endings == {"fold0.npz", "fold1.npz", "fold2.npz", "plan.json", "oof_train.npy"}
    assert result.models[0].predict(X).shape == (150,)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "../a", "/etc", "a\\b", "a\nb", "a\0b", "\udc80", " a", "x" * 151, 3, None]
)
def test_a_name_that_is_not_one_folder_is_refused(tmp_path, name):
    with pytest.raises(EnsembleError, match="run_save_name must be the name of one folder"):
        run_path(name, tmp_path)


def test_a_folder_that_is_not_there_or_is_left_by_a_link_is_refused(tmp_path):
    with pytest.raises(EnsembleError, match="src_dir must be a folder that exists"):
        run_path("iris", tmp_path / "none")
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "checkpoints").symlink_to(tmp_path)
    with pytest.raises(EnsembleError, match=r"leads to .* which is not in"):
        run_path("iris", tmp_path / "project")


def test_a_name_that_exists_is_refused_and_nothing_is_written_over(finished_run, tmp_path):
    _, folder = finished_run
    before = contents(folder)
    with pytest.raises(EnsembleError, match=r"the run 'iris' exists.*resume=True"):
        ensemble(tmp_path, trainer=LogisticRegression()).fit(X, Y)
    with pytest.raises(EnsembleError, match=r"trainer\.estimator was .*GaussianNB.* and is .*LogisticRegression"):
        ensemble(tmp_path, trainer=LogisticRegression(), resume=True).fit(X, Y, X_TEST)
    assert contents(folder) == before


def test_a_folder_with_a_users_own_files_is_not_written_into(tmp_path):
    run_path("iris", tmp_path).mkdir(parents=True)
    (run_path("iris", tmp_path) / "notes.txt").write_text("mine")
    with pytest.raises(EnsembleError, match=r"has notes\.txt"):
        ensemble(tmp_path).fit(X, Y)


def test_members_that_are_done_are_read_and_not_trained_again(finished_run, tmp_path):
    result, folder = finished_run
    (folder / "iris_fold1.npz").unlink()
    kept = contents(folder)
    again = ensemble(tmp_path, resume=True).fit(X, Y, X_TEST)
    np.testing.assert_array_equal(again.oof, result.oof)
    np.testing.assert_array_equal(again.test, result.test)
    assert [again.scores[name] for name in again.scores] == [result.scores[name] for name in result.scores]
    for name in ("iris_fold0.npz", "iris_fold2.skops", "iris_plan.json"):
        assert contents(folder)[name] == kept[name]


def test_members_that_were_read_predict_as_before_with_their_preparation(tmp_path):
    made = ensemble(tmp_path, preprocessing=PCA(2)).fit(X, Y)
    read = ensemble(tmp_path, preprocessing=PCA(2), resume=True).fit(X, Y)
    np.testing.assert_array_equal(read.predict(X_TEST), made.predict(X_TEST))
    assert not np.array_equal(read.members[0].preparation.transformer.mean_, X.mean(axis=0))


def test_a_network_comes_back_with_its_history_best_epoch_and_scale(tmp_path):
    trainer = TorchTrainer(lambda: nn.Linear(4, 1), epochs=3, optimizer=lambda parameters: SGD(parameters, 0.1))
    values = {"trainer": trainer, "plan": 2, "task": "values", "stopping_size": 0.2, "together": False}
    made = ensemble(tmp_path, **values).fit(X, Y * 100.0)
    read = ensemble(tmp_path, **values, resume=True).fit(X, Y * 100.0)
    assert (tmp_path / "checkpoints" / "iris" / "iris_fold1.safetensors").exists()
    np.testing.assert_array_equal(read.predict(X_TEST), made.predict(X_TEST))
    for one, other in zip(made.members, read.members, strict=True):
        assert (other.fitted.history, other.fitted.best_epoch) == (one.fitted.history, one.fitted.best_epoch)


def test_a_kill_at_any_moment_loses_one_member_at_most_and_no_bit(tmp_path):
    command = [sys.executable, "-m", "tests.ensemble.killed_runs", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    kills, undisturbed = int(done.stdout), light_runs.run(tmp_path, None)
    assert kills == 1 + 4 * 2 + 2  # the plan; a model and its file for each member; out-of-fold and test predictions
    for number in range(kills):
        folder = tmp_path / "checkpoints" / f"run{number}"
        np.testing.assert_array_equal(np.load(folder / f"run{number}_oof_train.npy"), undisturbed.oof)
        np.testing.assert_array_equal(np.load(folder / f"run{number}_oof_test.npy"), undisturbed.test)
        assert len(contents(folder)) == kills, "something half written is left"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"rows": {"X": X + 0.1}}, "the data of X differ"),
        ({"rows": {"y": (Y + 1) % 3}}, "the data of y differ"),
        ({"weights": np.ones(150)}, "the data of weights differ"),
        ({"groups": np.arange(150)}, "the data of groups differ"),
        ({"X_test": None}, "the data of X_test differ"),
        ({"ensemble": {"plan": StratifiedFolds(3, seed=1)}}, "plan was .*seed=None.* and is .*seed=1"),
        ({"ensemble": {"trainer": GaussianNB(var_smoothing=0.1)}}, "estimator was .*1e-09.* and is .*0.1"),
        ({"ensemble": {"stopping_size": 0.1}}, "stopping_size was 0.0 and is 0.1"),
        ({"ensemble": {"class_weight": "balanced"}}, "class_weight was null and is balanced"),
        ({"ensemble": {"preprocessing": PCA(2)}}, "preprocessing was null and is .*PCA"),
        ({"ensemble": {"metrics": "accuracy"}}, "metrics was .*log_loss.* and is"),
        ({"ensemble": {"seed": 4}}, "seed was 0 and is 4"),
    ],
)
def test_work_that_differs_is_said_to_differ_in_that(changes, said):
    usual, other = identity_of(work()), identity_of(work(**changes))
    assert differences(usual, identity_of(work())) == []
    assert any(re.search(said, phrase) for phrase in differences(usual, other))


def test_a_run_that_has_only_its_plan_is_that_of_its_work(tmp_path):
    with RunFolder.open("iris", tmp_path, work()):
        pass
    with pytest.raises(EnsembleError, match="cannot go on, since it is other work than before: the data of y differ"):
        RunFolder.open("iris", tmp_path, work(rows={"y": (Y + 1) % 3}), resume=True)


def test_types_that_a_trainer_may_read_can_be_added_to_a_run():
    usual = identity_of(work(ensemble={"trainer": SklearnTrainer(GaussianNB())}))
    trusting = identity_of(work(ensemble={"trainer": SklearnTrainer(GaussianNB(), trusted=["own.Kind"])}))
    assert differences(usual, trusting) == []


def test_a_member_of_other_work_is_not_taken_for_one_of_this(finished_run, tmp_path):
    _, folder = finished_run
    ensemble(tmp_path, "other").fit(X + 1, Y, X_TEST)
    (folder / "iris_fold2.npz").write_bytes((tmp_path / "checkpoints" / "other" / "other_fold2.npz").read_bytes())
    with pytest.raises(EnsembleError, match=r"iris_fold2\.npz was trained in other work: the data of X differ"):
        ensemble(tmp_path, resume=True).fit(X, Y, X_TEST)


@pytest.mark.parametrize(
    ("name", "damage", "said"),
    [
        ("fold1.npz", lambda data: data[: len(data) // 2], "fold1.npz is damaged"),
        ("fold1.npz", lambda data: data.replace(b'"seconds"', b'"secands"'), "fold1.npz is damaged"),
        ("fold1.npz", lambda data: b"", "fold1.npz is damaged"),
        ("plan.json", lambda data: data[:-20], "plan.json is damaged"),
        ("plan.json", lambda data: data.replace(b'"train": [0', b'"train": [9'), "plan.json is damaged"),
        ("plan.json", lambda data: json.dumps({**json.loads(data), "work": 3}).encode(), "does not say what work"),
    ],
)
def test_a_damaged_file_is_named(finished_run, tmp_path, name, damage, said):
    path = finished_run[1] / f"iris_{name}"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(EnsembleError, match=said):
        ensemble(tmp_path, resume=True).fit(X, Y, X_TEST)


def test_a_model_that_is_gone_or_damaged_is_named(finished_run, tmp_path):
    model = finished_run[1] / "iris_fold1.skops"
    model.write_bytes(model.read_bytes().replace(b"GaussianNB", b"BernoulliB"))
    read = ensemble(tmp_path, resume=True).fit(X, Y, X_TEST)
    with pytest.raises(EnsembleError, match=r"iris_fold1\.skops is damaged: it is not what was written"):
        read.predict(X)
    model.unlink()
    with pytest.raises(EnsembleError, match=r"iris_fold1\.skops is gone"):
        ensemble(tmp_path, resume=True).fit(X, Y, X_TEST)


def test_a_member_that_was_kept_without_its_model_says_so(tmp_path):
    ensemble(tmp_path, save_model=False).fit(X, Y)
    read = ensemble(tmp_path, resume=True).fit(X, Y)
    assert read.oof.shape == (150, 3)
    with pytest.raises(EnsembleError, match="fold0 of the run 'iris' was trained with save_model=False"):
        _ = read.models


def test_a_folder_is_open_once_at_a_time(tmp_path):
    first, in_use = RunFolder.open("iris", tmp_path, work()), pytest.raises(EnsembleError, match="is in use by another")
    with first, in_use:
        RunFolder.open("iris", tmp_path, work(), resume=True)
    with RunFolder.open("iris", tmp_path, work(), resume=True) as second:
        assert second.read_members() == first.read_members() == {}


def test_a_full_disk_is_said_and_leaves_nothing_half(tmp_path, file_limit):
    file_limit(5000)  # the plan fits, the model does not
    with pytest.raises(EnsembleError, match=r"iris_fold0\..* cannot be written: File too large; make room"):
        ensemble(tmp_path).fit(X, Y)
    file_limit(resource.RLIM_INFINITY)
    assert list(contents(tmp_path / "checkpoints" / "iris")) == ["iris_plan.json"]
    np.testing.assert_array_equal(ensemble(tmp_path, resume=True).fit(X, Y).oof, ensemble(".", None).fit(X, Y).oof)


def test_saved_models_go_on_with_the_same_rows_only(finished_run, tmp_path):
    result, _ = finished_run
    saved = read_saved("iris", tmp_path, work(ensemble={"seed": 0, "stopping_size": 0.3}, X_test=None))
    np.testing.assert_array_equal(saved[2].model.predict_proba(X), result.models[2].predict_proba(X))
    with pytest.raises(EnsembleError, match="the data of y differ"):
        read_saved("iris", tmp_path, work(rows={"y": (Y + 1) % 3}))
    with pytest.raises(EnsembleError, match="there is no run 'iris2'"):
        read_saved("iris2", tmp_path, work())


def test_saved_models_that_are_missing_are_named(finished_run, tmp_path):
    (finished_run[1] / "iris_fold2.npz").unlink()
    with pytest.raises(EnsembleError, match=r"iris_fold2\.npz is not there"):
        read_saved("iris", tmp_path, work())


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "checkpoints").write_text("a file of the user's")
    with pytest.raises(EnsembleError, match=r"checkpoints/iris cannot be written: Not a directory"):
        ensemble(tmp_path).fit(X, Y)
