"""How good the shipped models are: means over seeds, each beside what a dummy reaches.

Usage: python -m benchmarks.model_quality [--quick]

Each seed is another random 67/33 split and another beginning of the training. The parameters of the
versions were chosen by validation within the training parts; the test parts only give the numbers.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import os
import random
import statistics
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from benchmarks.table import print_table
from mlpipeline.pytorch import ImageLoader, TensorLoader, TorchModel
from mlpipeline.utils import Version

PROJECT = Path(__file__).resolve().parent.parent
MNIST = Path(os.environ.get("MNIST_FOLDER", PROJECT.parent / "shared" / "data" / "mnist"))
TARGETS = {
    "mlp_binary_ionosphere": ">= 0.940",
    "mlp_multiclass_iris": ">= 0.965 ± 0.020",
    "mlp_regression_housing": "<= 3.40",
    "cnn_digits": "",
    "cnn_mnist": ">= 0.990",
}


@dataclass(frozen=True)
class Outcome:
    """What one training gave: metrics on the test part, and seconds of training alone."""

    metrics: dict[str, float]
    seconds: float

    @property
    def score(self) -> float:
        return self.metrics.get("rmse", self.metrics.get("accuracy", math.nan))


def script(name: str) -> ModuleType:
    """Import a shipped model script."""
    spec = importlib.util.spec_from_file_location(name, PROJECT / "models" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def train_and_evaluate(model: TorchModel, version: Version, seed: int) -> Outcome:
    """Do what a run does, in an empty directory: seeds, training with checkpoints, evaluation."""
    loader: TensorLoader = version["dataloader"]
    steps = math.ceil(version["epoc_count"] * loader.get_train_sample_count() / version["batch_size"])
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)
    with tempfile.TemporaryDirectory() as folder:
        model.pre_execution_hook(version, folder, "Train")
        start = time.perf_counter()
        model.train_model(loader.get_train_input(), steps)
        seconds = time.perf_counter() - start
        return Outcome(model.evaluate_model(loader.get_test_input(), loader.get_test_sample_count()), seconds)


def dummy_score(loader: TensorLoader) -> float:
    """Return the score of the training part's majority class, or of its mean."""
    train, test = loader.get_train_input().targets, loader.get_test_input().targets
    if not loader.task.has_classes:
        error = loader.decode(test) - loader.decode(train).mean()
        return float(np.sqrt(np.mean(error**2)))
    majority = train.flatten().long().bincount().argmax()
    return float((test.flatten() == majority).float().mean())


def loader_for(module: ModuleType, seed: int) -> TensorLoader:
    """Return the script's data: split by the seed, or, for MNIST, as it comes."""
    if module.__name__ == "cnn_mnist":
        return ImageLoader("MNIST", MNIST)
    loader: TensorLoader = module.load(seed)
    return loader


def spread(values: Iterable[float]) -> str:
    """Return mean and deviation."""
    listed = list(values)
    return f"{statistics.fmean(listed):.4f} ± {statistics.pstdev(listed):.4f}"


def rows_of(name: str, seeds: int) -> list[list[str]]:
    """Return a row of the table for each version of a script."""
    module = script(name)
    model: Any = module.MODEL
    versions = list(model.versions)[:1] if name == "cnn_mnist" else list(model.versions)
    loaders = [loader_for(module, seed) for seed in range(seeds)]
    dummy = spread(dummy_score(loader) for loader in loaders)
    rows = []
    for version in versions:
        outcomes = [
            train_and_evaluate(model, version.replacing(dataloader=loader), seed) for seed, loader in enumerate(loaders)
        ]
        metric = "rmse" if "rmse" in outcomes[0].metrics else "accuracy"
        seconds = f"{statistics.median(outcome.seconds for outcome in outcomes):.2f}"
        score = spread(outcome.score for outcome in outcomes)
        rows.append([name, version.name, metric, score, dummy, TARGETS[name], str(seeds), seconds])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="2 seeds, without MNIST")
    quick = parser.parse_args().quick
    os.chdir(PROJECT)
    rows = [row for name in list(TARGETS)[:4] for row in rows_of(name, 2 if quick else 10)]
    if not quick and (MNIST / "MNIST" / "raw").exists():
        rows += rows_of("cnn_mnist", 3)
    header = ["script", "version", "metric", "mean ± deviation", "dummy", "to reach", "seeds", "seconds"]
    print_table("Quality on the test part", header, rows)
    if quick or not (MNIST / "MNIST" / "raw").exists():
        print(f"\nMNIST was left out{'' if quick else f': it is not in {MNIST}; set MNIST_FOLDER'}.")


if __name__ == "__main__":
    main()
