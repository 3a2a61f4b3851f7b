"""Runs of a model that needs nothing which loads slowly, for tests that start processes."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpipeline.ensemble import Ensemble
from mlpipeline.ensemble.trainer import Assignment, Fitted

ROWS = np.random.default_rng(0).normal(size=(6000, 3))
LABELS = (ROWS.sum(axis=1) > 0).astype(int)
QUARTERS = [(np.setdiff1d(np.arange(6000), part), part) for part in np.split(np.arange(6000), 4)]


@dataclass(frozen=True)
class Centroids:
    """The centre of each class, moved at random by the member's seed.

    Args:
        behaviour: of member 1: "exit", "raise"; of members 2 and 3: "wait".
    """

    behaviour: str = ""
    suffix: str = ".npy"
    accepts_missing: bool = False
    task: str = "classes"

    def fit(self, assignment: Assignment) -> Fitted:
        _behave(self.behaviour, assignment.number)
        train = assignment.train
        assert train.y is not None
        rows = train.X["rows"] if isinstance(train.X, Mapping) else np.asarray(train.X)
        centres = np.stack([rows[train.y == label].mean(axis=0) for label in (0, 1)])
        centres += np.random.default_rng(assignment.seed).normal(0, 0.1, centres.shape)
        return Fitted(centres, best_epoch=1, statistics=_surroundings(assignment))

    def predict(self, fitted: Fitted, X: Any, *, seed: int = 0, is_test: bool = False) -> NDArray[Any]:  # noqa: N803
        rows = X["rows"] if isinstance(X, Mapping) else np.asarray(X)
        closeness = np.exp(-((rows[:, None] - fitted.model) ** 2).sum(axis=2))
        return np.asarray(closeness / closeness.sum(axis=1, keepdims=True))

    def save(self, fitted: Fitted, path: Path) -> None:
        np.save(path, fitted.model)

    def load(self, path: Path) -> Any:
        return np.load(path)


def run(folder: str | Path, name: str | None, behaviour: str = "", workers: int = 1, *, resume: bool = False) -> Any:
    """Train four members; the readable account and the picture, which load much, are left out."""
    ensemble = Ensemble(
        Centroids(behaviour), QUARTERS, metrics="accuracy", workers=workers, run_save_name=name, src_dir=folder,
        resume=resume, save_history=False, save_statistics=False,
    )  # fmt: skip
    return ensemble.fit(ROWS, LABELS, ROWS[:50] + 1)


def _behave(behaviour: str, number: int | None) -> None:
    if behaviour == "exit" and number == 1:
        os._exit(3)
    if behaviour == "raise" and number == 1:
        raise ZeroDivisionError("a fault of the model's own")
    if behaviour == "wait" and number in (2, 3):
        time.sleep(60)


def _surroundings(assignment: Assignment) -> dict[str, Any]:
    import threadpoolctl

    source = assignment.train.source
    array = source["rows"] if isinstance(source, Mapping) else np.asarray(source)
    while array is not None and not isinstance(array, np.memmap):
        array = getattr(array, "base", None)
    return {
        "process": np.array(os.getpid()),
        "threads": np.array([pool["num_threads"] for pool in threadpoolctl.threadpool_info()]),
        "is_mapped": np.array(array is not None),
    }
