"""A run's life cycle in this process, and small models to run."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR

from mlpipeline.pytorch import ArrayLoader, TensorLoader, TorchModel
from mlpipeline.utils import ExecutionModeKeys, Version, Versions


class Killed(Exception):  # noqa: N818  (an event, not an error)
    """Stands for the moment at which a process is killed."""


def seed_all(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def rows(count: int, *shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(size=(count, *shape)).astype(np.float32)


def blobs(count: int = 50, seed: int = 0) -> ArrayLoader:
    """Return a data set of two classes, told apart by the sign of a sum."""
    inputs = rows(count, 4, seed=seed)
    return ArrayLoader(inputs, np.where(inputs.sum(axis=1) > 0, "yes", "no"), seed=seed)


def version(loader: Any, **parameters: Any) -> Version:
    given = {"batch_size": 8, "epoc_count": 3, "learning_rate": 0.05, **parameters}
    return Versions(dataloader=loader).add("v", **given)


def run(model: TorchModel, version: Version, folder: Path, mode: str = ExecutionModeKeys.TRAIN) -> dict[str, float]:
    """Do what the runner does, from the seeds to the evaluation of the test part."""
    torch.set_num_threads(1)
    loader: TensorLoader = version["dataloader"]
    seed_all(7)
    model.pre_execution_hook(version, str(folder), mode)
    steps = step_count(version) - model.get_trained_step_count()
    if steps > 0:
        model.train_model(loader.get_train_input(mode=mode), steps)
    return model.evaluate_model(loader.get_test_input(), loader.get_test_sample_count())


def step_count(version: Version) -> int:
    sample_count = version["dataloader"].get_train_sample_count()
    return math.ceil(version["epoc_count"] * sample_count / version["batch_size"])


def weights_of(folder: Path) -> bytes:
    return (folder / "weights.safetensors").read_bytes()


class Linear(TorchModel):
    """The smallest model: everything but `build` is the default."""

    def build(self, version: Version) -> nn.Module:
        return nn.Linear(version["dataloader"].feature_count, version["dataloader"].output_count)


class Noisy(TorchModel):
    """All that a checkpoint must hold: momentum, a schedule, running statistics, every random generator."""

    def build(self, version: Version) -> nn.Module:
        count = version["dataloader"].feature_count
        return nn.Sequential(NoiseOfAllKinds(), nn.Linear(count, 8), nn.BatchNorm1d(8), nn.Dropout(), nn.Linear(8, 1))

    def optimizer(self, parameters: list[nn.Parameter], version: Version) -> Optimizer:
        return AdamW(parameters, lr=0.01)

    def scheduler(self, optimizer: Optimizer, version: Version, steps: int) -> LRScheduler:
        return OneCycleLR(optimizer, max_lr=0.01, total_steps=steps)


class NoiseOfAllKinds(nn.Module):
    def forward(self, rows: Tensor) -> Tensor:
        if not self.training:
            return rows
        noise = rows + random.gauss(0, 0.1) + float(np.random.normal(0, 0.1))
        return noise + 0.1 * torch.randn_like(rows)


class Convolutional(TorchModel):
    """Images, whose weights and momenta lie with their channels innermost."""

    def build(self, version: Version) -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(16, 3))


def images() -> ArrayLoader:
    return ArrayLoader(rows(30, 3, 6, 6), np.arange(30) % 3, task="multiclass", scale="whole")


@contextmanager
def killed_at_step(model: TorchModel, step: int) -> Iterator[None]:
    """Raise `Killed` in the middle of a step, where no exception is handled."""
    model.pre_execution_hook = _counting(model, step)  # type: ignore[method-assign]
    try:
        yield
    except Killed:
        return
    raise AssertionError("the run ended before it was to be killed")


def _counting(model: TorchModel, step: int) -> Any:
    prepare = type(model).pre_execution_hook
    seen = 0

    def hook(version: Version, model_dir: str, exec_mode: str) -> None:
        prepare(model, version, model_dir, exec_mode)
        assert model._run is not None
        model._run.learner.network.register_forward_pre_hook(count)

    def count(*_: Any) -> None:
        nonlocal seen
        seen += 1
        if seen == step:
            raise Killed

    return hook
