"""A training whose daemon is killed goes on with `-r -u`, to the same weights."""

from __future__ import annotations

import shutil
from pathlib import Path

from mlpipeline.board import RunningRow
from tests.support import Folder, wait_until

SCRIPT = """
from torch import nn
from mlpipeline.pytorch import TableLoader, TorchModel
from mlpipeline.utils import Versions

class Iris(TorchModel):
    def build(self, version):
        return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 3))

versions = Versions(0.01, lambda: TableLoader("data/iris.csv", header=False), batch_size=8, epoc_count=400)
versions.add("v1")
MODEL = Iris(versions)
"""


def test_the_weights_are_those_of_an_undisturbed_run(tmp_path: Path) -> None:
    undisturbed, killed = (_project(tmp_path / name) for name in ("undisturbed", "killed"))
    undisturbed.run("-r")
    for least_step in (600, 2000):
        daemon = killed.start("-r", "-u")
        wait_until(lambda least=least_step: _step(killed) > least)
        daemon.kill()
        daemon.communicate()
    killed.run("-r", "-u")
    assert [status for _, status in killed.ended()] == ["INTERRUPTED", "INTERRUPTED", "SUCCEEDED"]
    assert killed.history()[-1]["steps"] < undisturbed.history()[-1]["steps"]
    weights = [(folder.model_dir("iris-v1") / "weights.safetensors").read_bytes() for folder in (undisturbed, killed)]
    assert weights[0] == weights[1]
    assert killed.history()[-1]["metrics"] == undisturbed.history()[-1]["metrics"]


def _project(root: Path) -> Folder:
    root.mkdir()
    folder = Folder(root)
    shutil.copytree(Path(__file__).parents[2] / "data", root / "data", ignore=shutil.ignore_patterns("mnist"))
    (folder.models / "iris.py").write_text(SCRIPT)
    folder.queue("iris.py")
    folder.environment["OMP_NUM_THREADS"] = "1"
    return folder


def _step(folder: Folder) -> int:
    """Return how far the run that goes on has come."""
    starts = folder.history("start") if folder.outputs.exists() else []
    if len(starts) <= len(folder.history()):
        return 0
    progress = str(folder.model_dir("iris-v1") / ".mlp-progress.json")
    row = RunningRow(starts[-1]["run_id"], "iris.py", "v1", 0.0, progress)
    return int(row.progress().get("step", 0))
