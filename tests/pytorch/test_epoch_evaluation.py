"""Evaluation during a training: what is reported, and that the training is none the wiser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader as TorchLoader
from torch.utils.data import TensorDataset

from mlpipeline.errors import VersionError
from mlpipeline.model import DataLoader
from mlpipeline.utils import Versions
from tests.pytorch.life_cycle import Linear, Noisy, blobs, killed_at_step, rows, run, version, weights_of
from tests.support import Report


def evaluations(told: list[Report]) -> list[Report]:
    return [report for report in told if any(name.startswith("test.") for name in report[2])]


def test_the_test_part_is_evaluated_every_so_many_epochs(tmp_path: Path, told: list[Report]) -> None:
    loader = blobs(50)  # 33 training rows: an epoch ends within the steps 5, 9, 13, 17, 21 and 25
    last = run(Linear(Versions()), version(loader, epoc_count=6, evaluation_epochs=2), tmp_path)
    found = evaluations(told)
    assert [(step, total) for step, total, _ in found] == [(9, 25), (17, 25), (25, 25)]
    assert found[-1][2] == {f"test.{name}": value for name, value in last.items()}
    assert found[0][2] != found[1][2]


class Shuffled(DataLoader):
    """Batches of torch's own loader, which draws from the global generator, as this test input does."""

    def __init__(self) -> None:
        inputs = rows(40, 4)
        self.pairs = TensorDataset(torch.from_numpy(inputs), torch.from_numpy((inputs.sum(1) > 0).astype(np.float32)))

    feature_count, output_count = 4, 1

    def get_train_input(self, mode: str = "Train", **kwargs: Any) -> Any:
        return TorchLoader(self.pairs, batch_size=8, shuffle=True)

    def get_test_input(self, **kwargs: Any) -> Any:
        return TorchLoader(self.pairs, batch_size=8, shuffle=True)

    def get_train_sample_count(self) -> int:
        return 40

    def get_test_sample_count(self) -> int:
        return 40


@pytest.mark.parametrize("source", ["rows", "loader"])
def test_the_weights_are_bit_for_bit_those_of_a_training_without_it(tmp_path: Path, source: str) -> None:
    weights = []
    for name, given in (("with", {"evaluation_epochs": 1}), ("without", {})):
        loader = blobs() if source == "rows" else Shuffled()
        run(Noisy(Versions()), version(loader, task="binary", **given), tmp_path / name)
        weights.append(weights_of(tmp_path / name))
    assert weights[0] == weights[1]


def test_a_resumed_training_evaluates_at_the_same_epochs(tmp_path: Path, told: list[Report]) -> None:
    given = version(blobs(), epoc_count=6, evaluation_epochs=2)
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    run(Noisy(Versions()), given, undisturbed)
    expected = evaluations(told)
    told.clear()
    killed = Noisy(Versions())
    with killed_at_step(killed, 15):
        run(killed, given, disturbed)
    run(Noisy(Versions()), given, disturbed)
    found = evaluations(told)
    assert list({step: (step, total, metrics) for step, total, metrics in found}.values()) == expected
    assert weights_of(disturbed) == weights_of(undisturbed)


def test_nothing_is_evaluated_unless_it_is_asked_for(tmp_path: Path, told: list[Report]) -> None:
    run(Linear(Versions()), version(blobs()), tmp_path)
    assert not evaluations(told)


@pytest.mark.parametrize("wrong", [0, 1.5, True, "2"])
def test_a_number_of_epochs_that_is_none_is_refused(tmp_path: Path, wrong: Any) -> None:
    with pytest.raises(VersionError, match="evaluation_epochs must be a whole number above 0"):
        run(Linear(Versions()), version(blobs(), evaluation_epochs=wrong), tmp_path)
