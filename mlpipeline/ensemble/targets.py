"""Targets: what y says: classes, as labels or one-hot, or values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpipeline.errors import EnsembleError

CLASSES, VALUES = "classes", "values"
_FEW_VALUES = 20


@dataclass(frozen=True, eq=False)
class Targets:
    """What the targets of all rows have in common.

    Args:
        kind: "classes" or "values".
        classes: the labels in sorted order, of one-hot rows the numbers of their columns; None for values.
        is_one_hot: each row is 1 in the column of its class and 0 elsewhere.
    """

    kind: str
    classes: NDArray[Any] | None
    is_one_hot: bool = False

    def indices(self, y: NDArray[Any]) -> NDArray[np.int64]:
        """Return the number of each row's class, [n], whether y holds labels or one-hot rows."""
        assert self.classes is not None
        if self.is_one_hot:
            return np.asarray(y.argmax(axis=1), dtype=np.int64)
        return np.asarray(np.searchsorted(self.classes, y.reshape(len(y))), dtype=np.int64)

    def labels(self, predictions: NDArray[Any]) -> NDArray[Any]:
        """Return the most probable label of each row, [n], from probabilities [n, classes] or [n, 1]; or the values."""
        if self.classes is None:
            return predictions
        one_column = predictions.ndim == 1 or predictions.shape[1] == 1
        chosen = (predictions.reshape(-1) > 0.5).astype(int) if one_column else predictions.argmax(axis=1)
        return np.asarray(self.classes[chosen])


def read_targets(y: Any, task: str | None, name: str = "y") -> tuple[NDArray[Any], Targets]:
    """Return y as an array, and what it says.

    Args:
        y: [n] labels or values, [n, classes] one-hot, or [n, k] values.
        task: "classes" or "values"; None to tell by what is in y.
        name: what to call y in messages.
    Raises: EnsembleError: y is missing numbers, has one class only, or the task does not fit it.
    """
    array = as_targets(y, name)
    one_hot = array.ndim == 2 and array.shape[1] > 1 and is_one_hot(array)
    if task is None:
        task = (
            CLASSES if one_hot or (array.dtype.kind not in "f" and (array.ndim == 1 or array.shape[1] == 1)) else VALUES
        )
        if task == CLASSES and array.dtype.kind in "iu" and not one_hot and len(np.unique(array)) > _FEW_VALUES:
            task = VALUES
    if task == VALUES:
        if array.dtype.kind not in "biuf":
            raise EnsembleError(f"{name} must hold numbers for a regression, but has {array.dtype} ({array.flat[0]!r})")
        return array, Targets(VALUES, None)
    if task != CLASSES:
        raise EnsembleError(f'task must be "classes", "values" or None, but got {task!r}')
    if array.ndim == 2 and array.shape[1] > 1 and not one_hot:
        raise EnsembleError(
            f"{name} of classes must be labels [n] or one-hot rows, but rows of {array.shape} have no single 1"
        )
    classes = np.arange(array.shape[1]) if one_hot else np.unique(array)
    if len(classes) < 2:
        raise EnsembleError(f"{name} has the one class {classes[0]!r} only; at least two are needed")
    return array, Targets(CLASSES, classes, one_hot)


def as_targets(y: Any, name: str = "y") -> NDArray[Any]:
    """Return y as an array. Raises: EnsembleError: values are missing or infinite, or it has more than two axes."""
    array = np.asarray(y.detach().cpu() if hasattr(y, "detach") else y)
    if array.ndim not in (1, 2) or not len(array):
        raise EnsembleError(f"{name} must be [n] or [n, k], but has the shape {array.shape}")
    if array.dtype == object:
        missing = np.flatnonzero([item is None or item != item for item in array.reshape(-1)])
        kinds = {type(item).__name__ for item in array.reshape(-1)}
        if len(missing) == 0 and len(kinds) > 1:
            raise EnsembleError(f"{name} mixes {', '.join(sorted(kinds))}; give all labels one type")
        array = array if len(missing) else np.array(array.tolist())
    else:
        is_float = array.dtype.kind == "f"
        missing = np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(axis=1) if is_float else [])
    if len(missing):
        raise EnsembleError(
            f"{name} is missing or infinite in {len(missing)} rows, the first of them row {missing[0]}; drop them"
        )
    return array


def is_one_hot(array: NDArray[Any]) -> bool:
    """Tell whether each row has a single 1 and is 0 elsewhere."""
    if array.dtype.kind not in "biuf":
        return False
    return bool(((array == 0) | (array == 1)).all() and (array.sum(axis=1) == 1).all())


def check_alike(first: NDArray[Any], second: NDArray[Any], names: tuple[str, str]) -> None:
    """Raises: EnsembleError: one holds one-hot rows and the other labels, or they differ in columns or labels' type."""
    if first.ndim != second.ndim or first.shape[1:] != second.shape[1:]:
        what = ["labels" if array.ndim == 1 else f"rows of {array.shape[1]}" for array in (first, second)]
        raise EnsembleError(
            f"{names[0]} holds {what[0]} and {names[1]} {what[1]}; give both as labels or both as one-hot rows"
        )
    if (first.dtype.kind in "biuf") != (second.dtype.kind in "biuf"):
        raise EnsembleError(f"{names[0]} has {first.dtype} and {names[1]} {second.dtype}; give both the same labels")
