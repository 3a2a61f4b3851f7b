"""`mlpipeline blend` as a user meets it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.naive_bayes import GaussianNB

from mlpipeline.cli.main import queue
from mlpipeline.ensemble import EnsembleModel, Observations, ObservationsLoader, StratifiedFolds
from mlpipeline.ensemble.ensemble_folder import EnsembleFolder
from mlpipeline.errors import EnsembleError, ScriptError
from mlpipeline.utils import Version, Versions
from tests.ensemble.member_runs import run, run_all
from tests.support import Folder

IRIS = load_iris()
IDS = np.array([f"flower {number}" for number in range(150)])


class Iris(EnsembleModel):
    def trainer(self, version: Version) -> Any:
        return version["estimator"]


def loader(train: slice = slice(0, 120), test: slice = slice(120, 150), y: Any = IRIS.target) -> Any:
    """Return what makes a data loader of these rows."""
    held_out = Observations(IRIS.data[test], y[test], IDS[test])
    return lambda: ObservationsLoader(IRIS.data[train], y[train], held_out, ids=IDS[train])


def model(**loaders: Any) -> EnsembleModel:
    estimators = {"bayes": GaussianNB(), "weak": LogisticRegression(C=0.01), "other": GaussianNB(var_smoothing=0.1)}
    versions = Versions(batch_size=1, epoch_count=1)
    for name, given in loaders.items():
        versions.add(name, estimator=estimators[name], dataloader=given)
    return Iris(versions, StratifiedFolds(2))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("trained")
    run_all(model(bayes=loader(), weak=loader(slice(119, None, -1), slice(149, 119, -1))), root)
    run_all(model(other=loader(slice(1, 120))), root)
    return root


@pytest.fixture
def project(folder: Folder, trained: Path) -> Folder:
    shutil.copytree(trained, folder.outputs / "model_ckpts")
    return folder


def blend(project: Folder, *arguments: str) -> Result:
    return CliRunner().invoke(queue, ["-C", str(project.root), "blend", *arguments])


def test_the_blend_of_two_ensembles_is_printed_and_kept_with_ids(project: Folder) -> None:
    printed = blend(project, "script:bayes", "script:weak").output
    assert [line.split()[0] for line in printed.splitlines()[:4]] == [
        "ensemble",
        "script:bayes",
        "script:weak",
        "blend",
    ]
    kept = project.outputs / "blends" / "script-bayes+script-weak"
    summary = json.loads((kept / "blend.json").read_text())
    first, second = (EnsembleFolder(project.model_dir(f"script-{name}")).read() for name in ("bayes", "weak"))
    assert second.ids.tolist() == first.ids.tolist()[::-1]  # the rows of one are in the other order
    weights = summary["weights"]
    by_hand = weights["script:bayes"] * first.oof + weights["script:weak"] * second.oof[::-1]
    np.testing.assert_allclose(np.load(kept / "oof_train.npy"), by_hand)
    assert np.load(kept / "oof_train_ids.npy").tolist() == first.ids.tolist()
    assert summary["score"] == pytest.approx(log_loss(IRIS.target[:120], by_hand, labels=[0, 1, 2]))
    tests = weights["script:bayes"] * first.test + weights["script:weak"] * second.test[::-1]
    assert summary["test_score"] == pytest.approx(log_loss(IRIS.target[120:], tests, labels=[0, 1, 2]))
    assert f"{summary['test_score']:.4f}" in printed


def test_a_script_alone_means_all_its_ensembles_and_metric_and_folder_may_be_chosen(project: Folder) -> None:
    done = blend(
        project, "script", "--metric", "accuracy", "--method", "least_squares", "-o", str(project.root / "here")
    )
    assert isinstance(done.exception, EnsembleError)
    assert "have other rows" in str(done.exception)
    shutil.rmtree(project.model_dir("script-other"))
    blend(project, "script", "--metric", "accuracy", "--method", "least_squares", "-o", str(project.root / "here"))
    summary = json.loads((project.root / "here" / "blend.json").read_text())
    assert (summary["metric"], summary["method"], len(summary["weights"])) == ("accuracy", "least_squares", 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["script:bayse", "script:weak"], "no finished ensemble is named script:bayse; did you mean script:bayes"),
        (["scripd"], "no finished ensemble is named scripd; did you mean script:"),
        (["script:bayes"], "at least two finished ensembles, but got script:bayes"),
        (["script:bayes", "script:weak", "--metric", "acuracy"], "did you mean accuracy"),
        (["script:bayes", "script:other"], "have other rows: 120 and 119, 119 of them in both"),
    ],
)
def test_what_cannot_be_blended_says_why(project: Folder, arguments: list[str], message: str) -> None:
    done = blend(project, *arguments)
    assert isinstance(done.exception, (EnsembleError, ScriptError))
    assert message in str(done.exception)
    assert not (project.outputs / "blends").exists()


def test_an_ensemble_that_is_not_finished_says_what_there_is(project: Folder) -> None:
    unfinished = model(other=loader())
    (project.model_dir("script-other") / "ensemble.json").unlink()
    done = blend(project, "script:bayes", "script:other")
    assert "script:other is not finished: of its members fold0, fold1 have been begun" in str(done.exception)
    run(unfinished, "other-fold0", project.outputs / "model_ckpts")
    run(unfinished, "other-fold1", project.outputs / "model_ckpts")
    assert blend(project, "script:bayes", "script:other").exit_code == 0


def test_other_targets_of_the_same_rows_are_refused(project: Folder) -> None:
    swapped = IRIS.target.copy()
    swapped[:2] = 2
    run_all(model(other=loader(y=swapped)), project.outputs / "model_ckpts")
    done = blend(project, "script:bayes", "script:other")
    assert "know rows of the same ids by other targets" in str(done.exception)
