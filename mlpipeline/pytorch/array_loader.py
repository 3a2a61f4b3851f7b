"""ArrayLoader: arrays that are already in memory as a data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from mlpipeline.errors import DataError
from mlpipeline.pytorch.batches import Rows
from mlpipeline.pytorch.loading import Parts, TensorLoader
from mlpipeline.pytorch.splitting import split_rows
from mlpipeline.pytorch.targets import Targets, choose_task, encode_targets, fit_targets
from mlpipeline.pytorch.tasks import Task

SCALES = ("columns", "whole", "none")


class ArrayLoader(TensorLoader):
    """Arrays of inputs and targets.

    Args:
        inputs: [n, ...] numbers. targets: [n] labels or values, or [n, k] values.
        test: the test part as (inputs, targets); if None, it is split off.
        task: "binary", "multiclass" or "regression"; told by the targets unless they are few whole numbers.
        test_fraction, seed, stratify: of the split, as for `TableLoader`.
        scale: "columns" standardises each feature, "whole" all numbers by one mean and deviation
            (pixels), "none" nothing; fitted on the training part alone.

    Raises: DataError: the arguments contradict each other.
    """

    def __init__(
        self,
        inputs: ArrayLike,
        targets: ArrayLike,
        test: tuple[ArrayLike, ArrayLike] | None = None,
        task: str | None = None,
        test_fraction: float = 0.33,
        seed: int = 0,
        stratify: bool = False,
        scale: str = "columns",
    ) -> None:
        if scale not in SCALES:
            raise DataError(f"scale must be one of {', '.join(SCALES)}, but got {scale!r}")
        self.inputs = _numbers(inputs)
        self.targets = np.asarray(targets)
        self.test = None if test is None else (_numbers(test[0]), np.asarray(test[1]))
        self.task_name = task
        self.test_fraction = test_fraction
        self.seed = seed
        self.stratify = stratify
        self.scale = scale
        _check_lengths(self.inputs, self.targets)

    def load(self) -> Parts:
        """Divide and scale the arrays."""
        (x, y), (x_test, y_test) = self._divided()
        labels = np.concatenate([y, y_test])
        task = choose_task(self.task_name, labels)
        targets = fit_targets(task, y, labels)
        scaling = ArrayScale.fit(x, self.scale)
        make = _RowsMaker(scaling, task, targets)
        return Parts(make(x, y), make(x_test, y_test), task, targets, scaling.encode)

    def _divided(self) -> tuple[tuple[NDArray[Any], NDArray[Any]], tuple[NDArray[Any], NDArray[Any]]]:
        if self.test is not None:
            _check_lengths(*self.test)
            return (self.inputs, self.targets), self.test
        classes = self.targets if self.stratify else None
        train, test = split_rows(len(self.inputs), self.test_fraction, self.seed, classes)
        return (self.inputs[train], self.targets[train]), (self.inputs[test], self.targets[test])


@dataclass(frozen=True)
class ArrayScale:
    """Standardises arrays of one shape; mean and deviation broadcast against a row."""

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    row_shape: tuple[int, ...]

    @classmethod
    def fit(cls, inputs: NDArray[Any], scale: str) -> ArrayScale:
        """Fit on the training part, [n, ...]."""
        axis = {"columns": 0, "whole": None}.get(scale)
        mean, deviation = (inputs.mean(axis), inputs.std(axis)) if scale != "none" else (0.0, 1.0)
        deviation = np.asarray(deviation, dtype=np.float64)
        return cls(np.asarray(mean, dtype=np.float64), np.where(deviation > 0, deviation, 1.0), inputs.shape[1:])

    def encode(self, rows: Any) -> Tensor:
        """Return float32[n, ...] for raw rows, or for one row. Raises: DataError: their shape differs."""
        values = _numbers(rows)
        values = values[None] if values.shape == self.row_shape else values
        if values.shape[1:] != self.row_shape:
            raise DataError(f"each row must have the shape {self.row_shape}, but got {values.shape[1:]}")
        return torch.from_numpy(((values - self.mean) / self.deviation).astype(np.float32))


@dataclass(frozen=True)
class _RowsMaker:
    scaling: ArrayScale
    task: Task
    targets: Targets

    def __call__(self, inputs: NDArray[Any], targets: NDArray[Any]) -> Rows:
        return Rows(self.scaling.encode(inputs), encode_targets(self.task, self.targets, targets))


def _numbers(values: ArrayLike) -> NDArray[Any]:
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise DataError(f"inputs must be an array of numbers, but got {array.dtype}; encode text, or use TableLoader")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise DataError("inputs must be finite numbers, but some are missing or infinite; fill them or drop their rows")
    return array


def _check_lengths(inputs: NDArray[Any], targets: NDArray[Any]) -> None:
    if inputs.ndim < 2 or targets.ndim not in (1, 2) or len(inputs) != len(targets):
        raise DataError(
            f"inputs must be [n, ...] and targets [n] or [n, k] with the same n, "
            f"but got shapes {inputs.shape} and {targets.shape}"
        )
