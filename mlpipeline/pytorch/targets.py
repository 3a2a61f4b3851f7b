"""Targets as a network sees them, and the way back: class indices and scaled values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlpipeline.errors import DataError
from mlpipeline.pytorch.tasks import BINARY, MULTICLASS, REGRESSION, Task, task_named

# an integer target with so few values may mean classes or amounts
_FEW_VALUES = 20


@dataclass(frozen=True)
class ClassLabels:
    """Labels <-> class indices, in sorted order; `classes[i]` is the label of index i."""

    classes: NDArray[Any]

    def encode(self, labels: NDArray[Any]) -> NDArray[np.int64]:
        """Return the class index of each label; all must be known."""
        return np.asarray(np.searchsorted(self.classes, labels), dtype=np.int64)

    def decode(self, probabilities: Tensor) -> NDArray[Any]:
        """Return the most likely label of each row, from float[n, classes]."""
        return np.asarray(self.classes[probabilities.argmax(dim=1).cpu().numpy()])

    def unscale(self, outputs: Tensor) -> Tensor:
        """Return the outputs as they are: classes have no unit."""
        return outputs


@dataclass(frozen=True)
class ValueScale:
    """Values <-> standardised values; mean and deviation, float[k], are those of the training part."""

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]

    def encode(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """Return float32[n, k] with the training part's mean 0 and deviation 1."""
        return ((_as_columns(values) - self.mean) / self.deviation).astype(np.float32)

    def unscale(self, outputs: Tensor) -> Tensor:
        """Return outputs, float[n, k], in the unit of the data."""
        mean, deviation = (torch.as_tensor(a, dtype=torch.float32) for a in (self.mean, self.deviation))
        return outputs.float() * deviation.to(outputs.device) + mean.to(outputs.device)

    def decode(self, outputs: Tensor) -> NDArray[Any]:
        """Return values in the unit of the data, [n] or [n, k]."""
        values: NDArray[Any] = self.unscale(outputs).cpu().numpy()
        return values[:, 0] if len(self.mean) == 1 else values


Targets = ClassLabels | ValueScale


def choose_task(name: str | None, values: NDArray[Any]) -> Task:
    """Return the named task, or the one that the target's type and values tell.

    Raises: DataError: the name is unknown, does not fit the values, or is needed and missing.
    """
    distinct = len(np.unique(values)) if values.ndim == 1 else 0
    task = task_named(name) if name is not None else _guess_task(values, distinct)
    if task.has_classes and (distinct < 2 or (task is BINARY and distinct > 2)):
        raise DataError(f"task {task.name!r} does not fit a target with {distinct} distinct values")
    return task


def _guess_task(values: NDArray[Any], distinct: int) -> Task:
    if values.dtype.kind not in "iuf":
        return BINARY if distinct == 2 else MULTICLASS
    if values.dtype.kind in "iu" and values.ndim == 1 and distinct <= _FEW_VALUES:
        raise DataError(
            f"the target holds whole numbers with {distinct} distinct values, which may be classes or amounts; "
            f"say task='{'binary' if distinct == 2 else 'multiclass'}' or task='regression'"
        )
    return REGRESSION


def fit_targets(task: Task, train_values: NDArray[Any], all_values: NDArray[Any]) -> Targets:
    """Return the coding of the targets: all labels that occur, or the scale of the training part.

    Raises: DataError: the values of a regression are not finite numbers.
    """
    if task.has_classes:
        return ClassLabels(np.unique(all_values))
    numbers = _as_columns(train_values)
    deviation = numbers.std(axis=0)
    return ValueScale(numbers.mean(axis=0), np.where(deviation > 0, deviation, 1.0))


def encode_targets(task: Task, targets: Targets, values: NDArray[Any]) -> Tensor:
    """Return the targets in the shape and type that the task's loss expects."""
    return task.shape_targets(torch.from_numpy(targets.encode(values)))


def _as_columns(values: NDArray[Any]) -> NDArray[np.float64]:
    try:
        numbers = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(
            "the target of a regression must hold numbers, but some values are not; name its column"
        ) from None
    if not np.isfinite(numbers).all():
        raise DataError("the target of a regression must hold finite numbers; drop the rows that have none")
    return numbers.reshape(len(numbers), -1)
