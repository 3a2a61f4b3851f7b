from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from mlpipeline.pytorch import TorchModel
from mlpipeline.pytorch.checkpoints import BETWEEN, CheckpointFolder
from mlpipeline.utils import Versions
from tests.pytorch.life_cycle import (
    Convolutional,
    Linear,
    Noisy,
    blobs,
    images,
    killed_at_step,
    run,
    version,
    weights_of,
)

KINDS: dict[str, tuple[type[TorchModel], Any, dict[str, Any]]] = {
    "all-generators-schedule-momentum": (Noisy, blobs, {"epoc_count": 4}),
    "channels-innermost": (Convolutional, images, {"epoc_count": 4, "precision": "float32"}),
    "bfloat16": (Convolutional, images, {"epoc_count": 4, "precision": "bfloat16"}),
}

PROJECT = Path(__file__).parents[2]
LONG_RUN = """
import sys
from tests.pytorch.life_cycle import Noisy, Versions, blobs, run, version
from pathlib import Path
run(Noisy(Versions()), version(blobs(), epoc_count=int(sys.argv[2])), Path(sys.argv[1]))
"""


def new(kind: type[TorchModel]) -> TorchModel:
    return kind(Versions())


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("step", [1, 5, 6, 11])
def test_interrupted_training_ends_in_the_same_bits(tmp_path: Path, name: str, step: int) -> None:
    kind, loader, parameters = KINDS[name]
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    for folder in (undisturbed, disturbed):
        folder.mkdir()
    run(new(kind), version(loader(), **parameters), undisturbed)
    model = new(kind)
    with killed_at_step(model, step):
        run(model, version(loader(), **parameters), disturbed)
    run(new(kind), version(loader(), **parameters), disturbed)
    assert weights_of(disturbed) == weights_of(undisturbed)


def test_torch_data_loader_goes_on_with_the_next_epoch(tmp_path: Path) -> None:
    """Its order comes from the random state, its position is kept at the end of an epoch."""

    class Foreign(Linear):
        def train_model(self, input_fn: Any, steps: int) -> None:
            rows = input_fn
            pairs = torch.utils.data.TensorDataset(rows.inputs, rows.targets)
            super().train_model(torch.utils.data.DataLoader(pairs, batch_size=8, shuffle=True), steps)

    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    for folder in (undisturbed, disturbed):
        folder.mkdir()
    run(new(Foreign), version(blobs()), undisturbed)
    model = new(Foreign)
    with killed_at_step(model, 8):
        run(model, version(blobs()), disturbed)
    run(new(Foreign), version(blobs()), disturbed)
    assert weights_of(disturbed) == weights_of(undisturbed)


def test_kill_9_at_any_moment_does_not_change_the_weights(tmp_path: Path) -> None:
    epochs = 800
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    for folder in (undisturbed, disturbed):
        folder.mkdir()
    run(new(Noisy), version(blobs(), epoc_count=epochs), undisturbed)
    process = subprocess.Popen([sys.executable, "-c", LONG_RUN, str(disturbed), str(epochs)], cwd=PROJECT)
    deadline = time.monotonic() + 60
    while not (disturbed / BETWEEN[1]).exists():
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.001)
    process.kill()
    assert process.wait() == -9
    saved, _ = CheckpointFolder(disturbed).read()
    assert saved is not None
    assert 0 < saved.values["step"] < epochs * 33 // 8
    run(new(Noisy), version(blobs(), epoc_count=epochs), disturbed)
    assert weights_of(disturbed) == weights_of(undisturbed)


def test_finished_training_is_not_done_again(tmp_path: Path) -> None:
    run(new(Linear), version(blobs()), tmp_path)
    model = new(Linear)
    model.pre_execution_hook(version(blobs()), str(tmp_path))
    assert model.get_trained_step_count() == 13  # 3 epochs of 33 rows in batches of 8


def test_training_can_be_continued_for_more_epochs(tmp_path: Path) -> None:
    once, twice = tmp_path / "once", tmp_path / "twice"
    for folder in (once, twice):
        folder.mkdir()
    run(new(Linear), version(blobs(), epoc_count=8), once)  # a multiple of the batch, so that no batch is cut
    run(new(Linear), version(blobs(), epoc_count=8 / 33 * 8), twice)
    run(new(Linear), version(blobs(), epoc_count=8), twice)
    assert weights_of(once) == weights_of(twice)


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [({"learning_rate": 0.5}, "learning_rate was 0.05, is 0.5"), ({"batch_size": 4}, "batch_size was 8, is 4")],
)
def test_checkpoint_of_other_parameters_is_not_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], parameters: dict[str, Any], reason: str
) -> None:
    run(new(Linear), version(blobs()), tmp_path)
    model = new(Linear)
    model.pre_execution_hook(version(blobs(), **parameters), str(tmp_path))
    assert model.get_trained_step_count() == 0
    assert reason in capsys.readouterr().out


def test_checkpoint_of_another_network_is_not_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(new(Linear), version(blobs()), tmp_path)
    model = new(Noisy)
    model.pre_execution_hook(version(blobs()), str(tmp_path))
    assert model.get_trained_step_count() == 0
    assert "starting afresh" in capsys.readouterr().out


def test_checkpoint_of_other_work_that_got_further_does_not_hide_a_new_one(tmp_path: Path) -> None:
    model = new(Linear)
    with killed_at_step(model, 40):
        run(model, version(blobs(), epoc_count=20), tmp_path)
    model = new(Linear)
    with killed_at_step(model, 8):
        run(model, version(blobs(), learning_rate=0.5), tmp_path)
    model = new(Linear)
    model.pre_execution_hook(version(blobs(), learning_rate=0.5), str(tmp_path))
    assert model.get_trained_step_count() == 5


def test_damaged_checkpoint_is_said_and_not_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "checkpoint.safetensors").write_bytes(b"\x80\x04K\x01.")
    run(new(Linear), version(blobs()), tmp_path)
    assert "not a whole checkpoint" in capsys.readouterr().out


def test_cleaning_leaves_files_of_others(tmp_path: Path) -> None:
    run(new(Linear), version(blobs()), tmp_path)
    (tmp_path / "stdout.log").write_text("kept")
    new(Linear).clean_model_dir(str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["stdout.log"]
