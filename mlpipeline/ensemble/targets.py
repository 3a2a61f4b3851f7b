"""Targets: what y says: classes, as labels or one-hot, or values."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Number
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
        """Return the number of each row's class, [n], whether y holds labels or one-hot rows.

        Raises: EnsembleError: a label is none of the classes.
        """
        assert self.classes is not None
        if self.is_one_hot:
            return np.asarray(y.argmax(axis=1), dtype=np.int64)
        labels = y.reshape(len(y))
        numbers = np.searchsorted(self.classes, labels)
        is_other = self.classes[np.minimum(numbers, len(self.classes) - 1)] != labels
        if is_other.any():
            raise EnsembleError(
                f"{labels[is_other][0].item()!r} is none of the {len(self.classes)} classes "
                f"{self.classes.tolist()!r:.80}"
            )
        return np.asarray(numbers, dtype=np.int64)

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
        task: "classes" or "values"; None to tell by what is in y: texts, truth values, whole numbers of at most 20
            kinds and one-hot rows are classes, all other numbers are values.
        name: what to call y in messages.
    Raises: EnsembleError: y is missing numbers, has one class only, or the task does not fit it.
    """
    array = as_targets(y, name)
    one_hot = array.ndim == 2 and array.shape[1] > 1 and is_one_hot(array)
    if task is None:
        task = _task_of(array, one_hot, name)
    if task == VALUES:
        if array.dtype.kind not in "biuf":
            raise EnsembleError(f"{name} must hold numbers for a regression, but has {array.dtype} ({array.flat[0]!r})")
        return array, Targets(VALUES, None)
    if task != CLASSES:
        raise EnsembleError(f'task must be "classes", "values" or None, but got {task!r}')
    if not one_hot:
        _check_labels(array, name)
    classes = np.arange(array.shape[1]) if one_hot else np.unique(array)
    if len(classes) < 2:
        raise EnsembleError(f"{name} has the one class {classes[0].item()!r} only; at least two are needed")
    return array, Targets(CLASSES, classes, one_hot)


def _task_of(array: NDArray[Any], one_hot: bool, name: str) -> str:
    if one_hot:
        return CLASSES
    if array.ndim == 2 and array.shape[1] > 1:
        if array.dtype.kind in "biuf" and ((array == 0) | (array == 1)).all():
            raise EnsembleError(
                f"{name} has rows of 0 and 1, but {_first_not_one_hot(array)}; give one-hot rows, or say "
                'task="values" if each column stands for itself'
            )
        return VALUES
    if array.dtype.kind == "f" and set(np.unique(array)[:3].tolist()) == {0.0, 1.0}:
        return CLASSES
    if array.dtype.kind == "f" or (array.dtype.kind in "iu" and len(np.unique(array)) > _FEW_VALUES):
        return VALUES
    return CLASSES


def _check_labels(array: NDArray[Any], name: str) -> None:
    """Raises: EnsembleError: rows have several labels or none, or the numbers are no labels."""
    if array.ndim == 2 and array.shape[1] > 1:
        raise EnsembleError(
            f"{name} of classes must be labels [n] or one-hot rows, but got {array.shape}, in which "
            f"{_first_not_one_hot(array)}"
        )
    if array.dtype.kind == "f" and (array != np.floor(array)).any():
        raise EnsembleError(
            f"{name} of classes must be labels, but holds {array[array != np.floor(array)][0].item()!r}; "
            "train a regression, or cut the values into classes"
        )


def _first_not_one_hot(array: NDArray[Any]) -> str:
    if array.dtype.kind not in "biuf":
        return f"row 0 is {array[0].tolist()!r:.80}"
    row = int(np.flatnonzero(((array != 0) & (array != 1)).any(axis=1) | (array.sum(axis=1) != 1))[0])
    return f"row {row} is {array[row].tolist()!r:.80}"


def as_targets(y: Any, name: str = "y") -> NDArray[Any]:
    """Return y as an array of numbers, truth values or texts.

    Args:
        y: an array, a tensor, a column or frame, or lists. name: what to call it in messages.
    Raises: EnsembleError: values are missing or infinite, labels are of several types, or it has no one or two axes.
    """
    if y is None:
        raise EnsembleError(f"{name} is missing; training needs a label or value for each row")
    if hasattr(y, "tocsr"):
        raise EnsembleError(f"{name} is a sparse matrix; give labels [n], or {name}.toarray()")
    try:
        array = np.asarray(y.detach().cpu() if hasattr(y, "detach") else y)
    except ValueError as error:
        raise EnsembleError(f"{name} must be an array or a list of labels or values: {error}") from None
    if array.ndim not in (1, 2) or not array.size:
        raise EnsembleError(f"{name} must be [n] or [n, k], but has the shape {array.shape}")
    if isinstance(y, (list, tuple)) and array.dtype.kind == "U":
        array = np.asarray(y, dtype=object)  # NumPy makes texts of numbers, and of NaN, that stand beside texts
    if array.dtype.kind == "O":
        return _of_one_type(array, name)
    if array.dtype.kind not in "biufUST":
        raise EnsembleError(f"{name} must hold labels or numbers, but has {array.dtype}")
    if array.dtype.kind == "f":
        _check_present(~np.isfinite(array), name)
    return array


def _of_one_type(array: NDArray[Any], name: str) -> NDArray[Any]:
    """Return an array of objects in the dtype that they have in common."""
    import pandas as pd

    _check_present(np.asarray(pd.isna(array)), name)
    kinds = {type(item) for item in array.reshape(-1)}
    are_numbers = [issubclass(kind, Number) and not issubclass(kind, (bool, np.bool)) for kind in kinds]
    if len(kinds) > 1 and not all(are_numbers) and not all(issubclass(kind, str) for kind in kinds):
        names = ", ".join(sorted(kind.__name__ for kind in kinds))
        raise EnsembleError(f"{name} mixes {names}; give all labels one type")
    try:
        common = np.array(array.tolist())
    except ValueError:  # rows of different length
        common = array
    if common.dtype.kind == "O":
        raise EnsembleError(
            f"{name} must hold labels or numbers, but has {kinds.pop().__name__} ({array.flat[0]!r:.80})"
        )
    return as_targets(common, name)


def _check_present(is_missing: NDArray[np.bool], name: str) -> None:
    rows = np.flatnonzero(is_missing.reshape(len(is_missing), -1).any(axis=1))
    if len(rows):
        raise EnsembleError(
            f"{name} is missing or infinite in {len(rows)} rows, the first of them row {rows[0]}; drop them"
        )


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
