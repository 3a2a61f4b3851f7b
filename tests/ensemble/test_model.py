"""A script whose bags and folds are runs of their own, run here one after the other in this process."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from mlpipeline.ensemble import (
    Bags,
    Ensemble,
    EnsembleModel,
    EnsembleResult,
    Folds,
    Observations,
    ObservationsLoader,
    StratifiedFolds,
)
from mlpipeline.ensemble.ensemble_folder import EnsembleFolder
from mlpipeline.errors import EnsembleError, ScriptError
from mlpipeline.model import DataLoader
from mlpipeline.utils import ExecutionModeKeys, Version, Versions
from tests.ensemble.member_runs import run, run_all

IRIS = load_iris()
NAMES = IRIS.target_names[IRIS.target]
PLAN = StratifiedFolds(3)


class Iris(EnsembleModel):
    def trainer(self, version: Version) -> Any:
        return LogisticRegression(C=version["C"])

    def preprocessing(self, version: Version) -> Any:
        return StandardScaler()


def load() -> ObservationsLoader:
    ids = pd.Series([f"flower {number}" for number in range(150)], dtype=object)
    y = pd.Series(NAMES, dtype=object)  # as a table has them
    return ObservationsLoader(IRIS.data, y, test_fraction=0.2, seed=4, ids=ids)


def model(kind: type[EnsembleModel] = Iris, loader: Any = load, plan: Any = PLAN, **parameters: Any) -> EnsembleModel:
    versions = Versions(dataloader=loader, batch_size=1, epoch_count=1)
    versions.add("v", **{"C": 0.5, **parameters})
    made = kind(versions, plan)
    made._source_digest = "as it is"
    return made


class Killed(BaseException):
    """Stands for the moment at which a process is killed."""


_installed: list[bool] = []
_lives: list[int] = []  # moves until death; an audit hook cannot be taken back


def _count_moves(event: str, _: Any) -> None:
    if event == "os.rename" and _lives:
        _lives[0] -= 1
        if _lives[0] < 0:
            raise Killed


@contextmanager
def dying_at_move(moment: int) -> Iterator[list[int]]:
    """Die when a file is moved into place after so many others; gives a list that is filled then."""
    died: list[int] = []
    if not _installed:
        sys.addaudithook(_count_moves)
        _installed.append(True)
    _lives.append(moment)
    try:
        yield died
    except Killed:
        died.append(moment)
    finally:
        _lives.clear()


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("finished")
    run_all(model(), root)
    return root


@pytest.fixture(scope="module")
def together() -> EnsembleResult:
    loader = load()
    ensemble = Ensemble(LogisticRegression(C=0.5), PLAN, preprocessing=StandardScaler())
    return ensemble.run(loader.train, loader.test.X)


def test_each_version_becomes_one_for_each_member() -> None:
    versions = Versions(dataloader=load, batch_size=1, epoch_count=1)
    versions.add("late", C=1.0, order=5, model_dir_suffix="mine")
    versions.add("early", C=2.0, plan=Bags(2))
    members = list(Iris(versions, PLAN).versions)
    assert [version.name for version in members] == [
        "early-bag0",
        "early-bag1",
        "late-fold0",
        "late-fold1",
        "late-fold2",
    ]
    last = members[-1]
    assert (last["model_dir_suffix"], last["ensemble"], last["member"], last["C"]) == ("mine-fold2", "late", 2, 1.0)
    assert members[0]["model_dir_suffix"] == "early-bag0"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"plan": None}, "has no plan"),
        ({"member": 3}, "'member' is set by the ensemble"),
        ({"plan": "five"}, "plan must be"),
    ],
)
def test_versions_that_cannot_be_expanded_are_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(EnsembleError, match=message):
        model(plan=parameters.pop("plan", PLAN), **parameters)


def test_members_run_one_by_one_give_the_same_as_all_at_once(finished: Path, together: EnsembleResult) -> None:
    loader = load()
    kept = {path.stem: np.load(path) for path in (finished / "script-v").glob("*.npy")}
    assert kept["oof_train"].tobytes() == together.oof.tobytes()
    assert kept["oof_test"].tobytes() == together.test.tobytes()
    assert kept["oof_train_ids"].tolist() == loader.train.ids.tolist()
    assert kept["y_test"].tolist() == loader.test.y.tolist()
    plan = json.loads((finished / "script-v" / "plan.json").read_text())
    assert plan["digest"] == together.splits.digest
    assert {path.name for path in (finished / "script-v").iterdir()} >= {"history.csv", "stats.txt", "folds.png"}


def test_the_last_member_alone_tells_the_scores_of_the_ensemble(tmp_path: Path, together: EnsembleResult) -> None:
    ensemble = model()
    first, second, last = (run(ensemble, name, tmp_path) for name in ("v-fold2", "v-fold0", "v-fold1"))
    assert set(first) == set(second) == {"valid_accuracy", "valid_log_loss", "test_accuracy", "test_log_loss"}
    assert last["valid_accuracy"] == together.members[1].scores["accuracy"]
    assert last["oof_accuracy"] == together.oof_scores["accuracy"]
    labels = together.targets.labels(together.test)
    assert last["test_ensemble_accuracy"] == (labels == load().test.y).mean()
    assert "out-of-fold accuracy" in str(ensemble.summary)


def test_a_finished_ensemble_predicts_with_all_members(finished: Path, together: EnsembleResult) -> None:
    loaded = model().load("v", finished / "script-v")
    rows = IRIS.data[::9]
    assert loaded.probabilities(rows).tobytes() == together.predict(rows).tobytes()
    assert set(loaded.predict(rows)) == {"setosa", "versicolor", "virginica"}


def test_what_cannot_be_loaded_says_why(finished: Path, tmp_path: Path) -> None:
    with pytest.raises(EnsembleError, match="no version is named 'w'"):
        model().load("w", finished / "script-v")
    with pytest.raises(EnsembleError, match="holds no finished ensemble"):
        model().load("v", tmp_path)
    with pytest.raises(EnsembleError, match=r"is of other work.*the data of X differ"):
        model(loader=lambda: ObservationsLoader(IRIS.data + 1, NAMES, test_fraction=0.2)).load(
            "v", finished / "script-v"
        )
    with pytest.raises(EnsembleError, match="call load"):
        model().predict(IRIS.data)


def other_rows() -> ObservationsLoader:
    return ObservationsLoader(IRIS.data[:140], NAMES[:140], test_fraction=0.2)


@pytest.mark.parametrize(
    ("change", "digest"), [({}, "changed"), ({"note": "other"}, "as it is"), ({"loader": other_rows}, "as it is")]
)
def test_members_of_other_work_are_never_mixed(change: dict[str, Any], digest: str, tmp_path: Path) -> None:
    for name in ("v-fold0", "v-fold1"):
        run(model(), name, tmp_path)
    other = model(**change)
    other._source_digest = digest
    scores = [run(other, name, tmp_path) for name in ("v-fold2", "v-fold0", "v-fold1")]
    assert ["oof_accuracy" in each for each in scores] == [False, False, True]


def test_an_ensemble_that_is_trained_anew_is_not_loaded(tmp_path: Path) -> None:
    run_all(model(), tmp_path)
    changed = model()
    changed._source_digest = "changed"
    run(changed, "v-fold1", tmp_path)
    with pytest.raises(EnsembleError, match="being trained anew: fold1 was trained in other work"):
        model().load("v", tmp_path / "script-v")


def test_a_member_that_is_there_is_not_trained_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(model(), "v-fold0", tmp_path)
    written = (tmp_path / "script-v-fold0" / "member_fold0.npz").read_bytes()
    scores = run(model(), "v-fold0", tmp_path)
    assert "was trained by a run that was cut off later" in capsys.readouterr().out
    assert (tmp_path / "script-v-fold0" / "member_fold0.npz").read_bytes() == written
    fresh = model()
    fresh._version = fresh.versions.get("v-fold0")
    fresh.clean_model_dir(str(tmp_path / "script-v-fold0"))
    assert not list((tmp_path / "script-v-fold0").glob("member*"))
    assert run(model(), "v-fold0", tmp_path) == scores


def test_wherever_the_last_run_dies_the_next_one_ends_the_same(
    tmp_path: Path, together: EnsembleResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "altair", None)  # the picture is one file more, and slow
    begun = tmp_path / "begun"
    run_all(model(C=9.0), begun)
    old = EnsembleFolder(begun / "script-v").read().oof
    for name in ("v-fold0", "v-fold1"):
        run(model(), name, begun)
    for moment in range(20):
        root = shutil.copytree(begun, tmp_path / str(moment))
        folder = EnsembleFolder(root / "script-v")
        with dying_at_move(moment) as is_dead:
            run(model(), "v-fold2", root)
        if not is_dead:
            break
        assert folder.summary() is None or folder.read().oof.tobytes() == old.tobytes()
        run(model(), "v-fold2", root)
        assert folder.read().oof.tobytes() == together.oof.tobytes()
    assert moment > 9


def test_what_encloses_its_version_is_the_same_for_all_members(tmp_path: Path) -> None:
    class Enclosing(Iris):
        def preprocessing(self, version: Version) -> Any:
            return FunctionTransformer(lambda rows: rows * version["C"])

    assert "oof_accuracy" in run_all(model(Enclosing), tmp_path)


def test_members_on_other_data_are_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(model(), "v-fold0", tmp_path)
    run(model(loader=other_rows), "v-fold1", tmp_path)
    printed = capsys.readouterr().out
    assert "WARNING Model- v is not complete: fold0 was trained in other work" in printed
    assert "run all of its members again, without -u" in printed


def test_in_test_mode_a_member_alone_is_the_ensemble(tmp_path: Path) -> None:
    metrics = run(model(), "v-fold1", tmp_path, ExecutionModeKeys.TEST)
    assert metrics["oof_accuracy"] == metrics["valid_accuracy"]
    assert [path.name for path in tmp_path.iterdir()] == ["script-v-fold1"]
    trial = tmp_path / "script-v-fold1" / "trial"
    assert not (trial / "folds.png").exists()  # takes longer than the rest
    oof = np.load(trial / "oof_train.npy")
    assert np.isfinite(oof).all(axis=1).sum() == 40


def test_other_rows_have_no_scores(tmp_path: Path) -> None:
    ensemble = model()
    run(ensemble, "v-fold0", tmp_path)
    with pytest.raises(EnsembleError, match="got other rows"):
        ensemble.evaluate_model((IRIS.data, NAMES), 1)


def test_a_folder_without_the_name_of_its_member_is_refused(tmp_path: Path) -> None:
    ensemble, version = model(), model().versions.get("v-fold0")
    ensemble.pre_execution_hook(version.replacing(dataloader=load()), str(tmp_path / "else"), ExecutionModeKeys.TRAIN)
    with pytest.raises(EnsembleError, match="a name that ends in -fold0"):
        ensemble.train_model(load().train, 1)


def test_a_script_without_a_trainer_is_told(tmp_path: Path) -> None:
    with pytest.raises(ScriptError, match=r"has no trainer\(self, version\); write it"):
        run(model(EnsembleModel), "v-fold0", tmp_path)


class Regression(EnsembleModel):
    def trainer(self, version: Version) -> Any:
        return Ridge()


class Pairs(DataLoader):
    """Gives pairs, new ones each time, and has no test part."""

    def get_train_input(self, mode: str = "Train", **kwargs: Any) -> Any:
        return IRIS.data[:, :3].copy(), IRIS.data[:, 3].copy()

    def get_test_input(self, **kwargs: Any) -> Any:
        return None


def test_values_and_a_loader_of_ones_own_without_a_test_part(tmp_path: Path) -> None:
    metrics = run_all(model(Regression, Pairs, Folds(3)), tmp_path)
    assert set(metrics) == {"valid_rmse", "valid_mae", "oof_rmse", "oof_mae"}
    assert np.load(tmp_path / "script-v" / "oof_train_ids.npy").tolist() == list(range(150))
    assert not (tmp_path / "script-v" / "oof_test.npy").exists()
    loaded = model(Regression, Pairs, Folds(3)).load("v", tmp_path / "script-v")
    assert loaded.predict(IRIS.data[:2, :3]).shape == (2, 1)


def test_targets_of_the_test_part_must_fit(tmp_path: Path) -> None:
    test = Observations(IRIS.data, IRIS.target)
    with pytest.raises(EnsembleError, match="give both the same labels"):
        run(model(loader=lambda: ObservationsLoader(IRIS.data, NAMES, test)), "v-fold0", tmp_path)
