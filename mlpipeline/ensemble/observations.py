"""Observations: rows of whatever kind a user brings, counted, taken and told apart."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from mlpipeline.ensemble.splits import RowNumbers
from mlpipeline.errors import EnsembleError


@runtime_checkable
class Source(Protocol):
    """Rows that do not lie in memory: files of images, say."""

    def __len__(self) -> int: ...

    def take_rows(self, rows: RowNumbers) -> Self:
        """Return the source of these rows; reads nothing."""
        ...

    def read(self, rows: RowNumbers) -> NDArray[np.float32]:
        """Return the rows themselves, float32[len(rows), ...]."""
        ...

    def digest(self) -> str:
        """Return a hash that changes when the rows do."""
        ...


@dataclass(frozen=True, eq=False)
class Observations:
    """Rows with what belongs to each.

    Args:
        X: [n, ...]: an array, a data frame, a sparse matrix, a tensor, arrays by name, or a `Source`.
        y: [n] or [n, k]; None where it is not known.
        ids: [n], what the rows are called; their numbers if None.
        groups: [n], for plans that keep groups together.
        weights: [n], of each row in the loss.
    """

    X: Any
    y: Any = None
    ids: Any = None
    groups: Any = None
    weights: Any = None

    def __len__(self) -> int:
        return count_rows(self.X)


@dataclass(frozen=True, eq=False)
class Part:
    """Some rows of the observations, which are copied only when they are asked for.

    Args:
        source: all rows, X of `Observations`.
        rows: which of them; None for all.
        y, weights: of those rows alone.
    """

    source: Any
    rows: RowNumbers | None
    y: NDArray[Any] | None = None
    weights: NDArray[Any] | None = None

    @property
    def X(self) -> Any:
        """The rows themselves."""
        return self.source if self.rows is None else take(self.source, self.rows)

    def __len__(self) -> int:
        return count_rows(self.source) if self.rows is None else len(self.rows)


def as_inputs(X: Any, name: str = "X") -> Any:
    """Return what was given as X in a kind that can be taken from by row.

    Args:
        X: an array, a frame, a sparse matrix, a tensor, lists, arrays by name, or a `Source`; outputs of a data
            pipeline are put beside each other as columns. name: what to call it in messages.
    Raises: EnsembleError: it has no rows, or arrays by name differ in their number.
    """
    if isinstance(X, Mapping) and not hasattr(X, "__array__"):
        arrays = {key: as_inputs(value, f"{name}[{key!r}]") for key, value in X.items()}
        counts = {key: count_rows(value) for key, value in arrays.items()}
        if len(set(counts.values())) != 1:
            raise EnsembleError(f"{name}: all arrays need the same number of rows, but got {counts}")
        return arrays
    if hasattr(X, "tocsr"):
        X = X.tocsr()  # other sparse formats have no rows to take
    elif hasattr(X, "detach"):
        X = X.detach()
    elif isinstance(X, Mapping) or not (isinstance(X, Source) or hasattr(X, "iloc") or hasattr(X, "shape")):
        try:
            X = np.asarray(X)
        except ValueError as error:
            raise EnsembleError(f"{name} must be an array, a data frame or lists of equal length: {error}") from None
    if getattr(X, "shape", (1,)) == ():
        raise EnsembleError(f"{name} must hold rows, but is a single value")
    if count_rows(X) == 0:
        raise EnsembleError(f"{name} must hold rows, but is empty")
    return X


def count_rows(X: Any) -> int:
    """Return the number of rows."""
    if isinstance(X, Mapping):
        return count_rows(next(iter(X.values())))
    return int(X.shape[0]) if hasattr(X, "shape") else len(X)


def take(X: Any, rows: RowNumbers) -> Any:
    """Return some rows, in the kind that X has."""
    if isinstance(X, Mapping):
        return {key: take(value, rows) for key, value in X.items()}
    if isinstance(X, Source):
        return X.take_rows(rows)
    return X.iloc[rows] if hasattr(X, "iloc") else X[rows]


def read(X: Any, rows: RowNumbers) -> Any:
    """Return some rows as arrays: files are read."""
    if isinstance(X, Mapping):
        return {key: read(value, rows) for key, value in X.items()}
    return X.read(rows) if isinstance(X, Source) else take(X, rows)


def digest(*values: Any) -> str:
    """Return a hash of arrays, frames and sources; the same values give the same hash in every process."""
    content = hashlib.sha256()
    for value in values:
        _add(content, value)
    return content.hexdigest()[:32]


def check_finite(X: Any, name: str = "X") -> None:
    """Raises: EnsembleError: a value is missing or infinite; names the first. Files are not read for that."""
    if isinstance(X, Mapping):
        for key, value in X.items():
            check_finite(value, f"{name}[{key!r}]")
        return
    places = [] if isinstance(X, Source) else _missing_places(X)
    if not len(places):
        return
    where = f"row {places[0][0]}" + (f", column {places[0][1]}" if len(places[0]) == 2 else "")
    raise EnsembleError(
        f"{name} has {len(places)} values that are missing or infinite, the first in {where}; fill them "
        "(preprocessing=SimpleImputer() fits on each member's training rows alone) or drop their rows"
    )


def _missing_places(X: Any) -> Any:
    """Return the places, int[k, axes], of values that are missing or infinite."""
    if hasattr(X, "tocoo"):
        stored = X.tocoo()
        wrong = _missing_places(stored.data)
        return np.column_stack([stored.row[wrong[:, 0]], stored.col[wrong[:, 0]]]) if len(wrong) else wrong
    if hasattr(X, "iloc") and X.ndim == 2 and len({str(dtype) for dtype in X.dtypes}) > 1:
        columns = [_missing_places(X.iloc[:, column]) for column in range(X.shape[1])]
        found = [(int(row), column) for column, rows in enumerate(columns) for (row,) in rows]
        return sorted(found)
    values = _as_array(X)
    if values.dtype.kind == "O":
        import pandas as pd

        return np.argwhere(pd.isna(values))
    if values.dtype.kind not in "fcmM":
        return []
    if values.dtype.kind in "fc":
        with np.errstate(all="ignore"):
            total = values.sum(dtype=np.result_type(values, np.float64))  # takes no memory, as a mask would
        if np.isfinite(total):
            return []
    return np.argwhere(~np.isfinite(values))


def _as_array(value: Any) -> NDArray[Any]:
    return np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)


def _add(content: Any, value: Any) -> None:
    if isinstance(value, Mapping):
        for key in value:
            content.update(f"{key!r} ".encode())
            _add(content, value[key])
    elif isinstance(value, Source):
        content.update(value.digest().encode())
    elif value is None:
        content.update(b"none")
    elif hasattr(value, "iloc"):
        import pandas as pd

        names = list(value.columns) if value.ndim == 2 else [value.name]
        content.update(f"{names} {value.shape}".encode())
        content.update(pd.util.hash_pandas_object(value, index=False).to_numpy().tobytes())
    elif hasattr(value, "tocsr"):
        matrix = value.tocsr()
        content.update(f"{matrix.shape}".encode())
        for array in (matrix.data, matrix.indices, matrix.indptr):
            _add(content, array)
    else:
        _add_array(content, _as_array(value))


def _add_array(content: Any, array: NDArray[Any]) -> None:
    content.update(f"{array.shape} {array.dtype.str} ".encode())
    if array.dtype.kind not in "OT":
        content.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
        return
    for item in array.reshape(-1):  # the text of a long array leaves out its middle
        if isinstance(item, (np.ndarray, list, tuple)):
            _add(content, item)
        else:
            content.update(f"{item!r} ".encode())
