"""An ensemble in the queue: each fold a run of its own, whatever is killed or fails."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest

from mlpipeline.ensemble.ensemble_folder import EnsembleFolder
from tests.ensemble.member_runs import run_all
from tests.support import Folder, wait_until

SCRIPT = """
import time
from pathlib import Path
import numpy as np
from mlpipeline.ensemble import EnsembleModel, ObservationsLoader, StratifiedFolds
from mlpipeline.ensemble.trainer import Fitted
from mlpipeline.utils import Versions

def load():
    table = np.loadtxt("iris.csv", delimiter=",", dtype=str)
    return ObservationsLoader(table[:, :4].astype(float), table[:, 4], test_fraction=0.2)

class NoisyMeans:
    \"\"\"The mean of each class, and noise from the member's seed.\"\"\"
    suffix, accepts_missing, task = ".npy", False, "classes"

    def fit(self, assignment):
        X, classes = assignment.train.X, assignment.targets.indices(assignment.train.y)
        for step in (1, 2):
            assignment.report(step, 2, {})
        means = np.stack([X[classes == number].mean(axis=0) for number in range(3)])
        return Fitted(means + np.random.default_rng(assignment.seed).normal(size=means.shape) / 10)

    def predict(self, fitted, X, *, seed=0, is_test=False):
        nearness = np.exp(-((X[:, None] - fitted.model) ** 2).sum(axis=2))
        return nearness / nearness.sum(axis=1, keepdims=True)

    def save(self, fitted, path):
        np.save(path, fitted.model)

    def load(self, path):
        return np.load(path)

class Iris(EnsembleModel):
    def trainer(self, version):
        assert self.get_current_version()["member"] != 0 or Path("mended").exists()
        return NoisyMeans()

    def report(self, step, total=None, **metrics):
        super().report(step, total, **metrics)
        if self.get_current_version()["member"] == 2 and step < total and not Path("go").exists():
            Path("begun").touch()
            time.sleep(60)

versions = Versions(dataloader=load, batch_size=16, epoch_count=3)
versions.add("v")
MODEL = Iris(versions, StratifiedFolds(4))
"""
IRIS = Path(__file__).parents[2] / "data" / "iris.csv"


def test_a_fold_that_fails_and_one_that_is_killed_run_again_and_nothing_else(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder.models / "iris.py").write_text(SCRIPT)
    folder.queue("iris.py")
    shutil.copy(IRIS, folder.root)
    folder.environment["OMP_NUM_THREADS"] = "1"
    daemon = folder.start("-r", "-u", "-j", "2")
    wait_until(lambda: (folder.root / "begun").exists() and len(folder.history()) == 3)
    daemon.kill()
    daemon.wait()
    assert not (folder.model_dir("iris-v") / "ensemble.json").exists()
    for name in ("go", "mended"):
        (folder.root / name).touch()
    printed = folder.run("-r", "-u", "-j", "2").stdout
    assert "2 succeeded, 0 failed, 2 skipped" in printed
    ends = {name: [status for other, status in folder.ended() if other == name] for name, _ in folder.ended()}
    assert ends["v-fold0"] == ["FAILED", "SUCCEEDED"]
    assert ends["v-fold2"] == ["INTERRUPTED", "SUCCEEDED"]
    assert ends["v-fold1"] == ends["v-fold3"] == ["SUCCEEDED"]
    assert any("train.oof_accuracy" in record["metrics"] for record in folder.history()[-2:])
    summary = EnsembleFolder(folder.model_dir("iris-v")).summary()
    assert summary
    assert summary["work"]["script"]["hash"] == folder.history()[-1]["source_digest"]

    monkeypatch.chdir(folder.root)
    _run_undisturbed(folder.models / "iris.py", folder.root / "undisturbed")
    killed, undisturbed = (
        EnsembleFolder(path).read() for path in (folder.model_dir("iris-v"), folder.root / "undisturbed" / "script-v")
    )
    assert killed.oof.tobytes() == undisturbed.oof.tobytes()
    assert killed.test is not None
    assert undisturbed.test is not None
    assert killed.test.tobytes() == undisturbed.test.tobytes()


def _run_undisturbed(script: Path, root: Path) -> None:
    spec = importlib.util.spec_from_file_location("iris_undisturbed", script)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    run_all(module.MODEL, root)
