"""The columns of a table as numbers: standardised, or one column for each category."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlpipeline.errors import DataError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class NumberColumn:
    """A column of numbers; what is subtracted and divided by was fitted on the training part."""

    name: Any
    mean: float
    deviation: float

    def encode(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Return float[n, 1]. Raises: DataError: a value is no finite number."""
        try:
            numbers = np.asarray(values, dtype=np.float64)
        except (TypeError, ValueError):
            raise DataError(f"column {self.name!r} must hold numbers, but holds {_first_text(values)!r}") from None
        if not np.isfinite(numbers).all():
            row = int(np.flatnonzero(~np.isfinite(numbers))[0])
            raise DataError(f"column {self.name!r} has no value in row {row} (counted from 0); fill it or drop the row")
        return ((numbers - self.mean) / self.deviation)[:, None]


@dataclass(frozen=True)
class TextColumn:
    """A column of categories, those of the training part; any other becomes all zeros."""

    name: Any
    categories: tuple[str, ...]

    def encode(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Return float[n, categories], 1 where the category is that one."""
        is_category = values.astype(str)[:, None] == np.array(self.categories)[None, :]
        return np.asarray(is_category, dtype=np.float64)


@dataclass(frozen=True)
class TableEncoder:
    """Turns raw rows with the columns of the training part into inputs."""

    columns: tuple[NumberColumn | TextColumn, ...]

    def encode(self, rows: Any) -> Tensor:
        """Return float32[n, features].

        Args:
            rows: a data frame (by name; by position where the names differ), an array or lists of
                rows, or one row.
        Raises: DataError: the number of columns differs, or a value cannot be used.
        """
        frame = self._as_frame(rows)
        parts = [column.encode(frame.iloc[:, place].to_numpy()) for place, column in enumerate(self.columns)]
        return torch.from_numpy(np.concatenate(parts, axis=1).astype(np.float32))

    def _as_frame(self, rows: Any) -> pd.DataFrame:
        import pandas as pd

        names = [column.name for column in self.columns]
        if isinstance(rows, pd.DataFrame) and set(names) <= set(rows.columns):
            return rows[names]
        one_row = not isinstance(rows, pd.DataFrame) and len(rows) > 0 and np.ndim(rows[0]) == 0
        frame = pd.DataFrame([rows] if one_row else rows)
        if frame.shape[1] != len(names):
            raise DataError(
                f"each row must have the {len(names)} columns of the training data "
                f"({', '.join(map(str, names[:8]))}{', ...' if len(names) > 8 else ''}), but has {frame.shape[1]}"
            )
        return frame


def fit_columns(frame: pd.DataFrame, scale: bool) -> TableEncoder:
    """Fit an encoder on the rows of the training part.

    Args:
        frame: the columns of the inputs.
        scale: standardise numbers; categories are never scaled.
    """
    return TableEncoder(tuple(_fit_column(name, frame[name], scale) for name in frame.columns))


def _fit_column(name: Any, series: pd.Series[Any], scale: bool) -> NumberColumn | TextColumn:
    from pandas.api.types import is_bool_dtype, is_numeric_dtype

    if is_numeric_dtype(series.dtype) or is_bool_dtype(series.dtype):
        numbers = series.to_numpy(dtype=np.float64)
        deviation = float(numbers.std()) if scale else 1.0
        # a constant column carries nothing; dividing by 1 makes it 0 instead of nan
        return NumberColumn(name, float(numbers.mean()) if scale else 0.0, deviation or 1.0)
    return TextColumn(name, tuple(sorted(series.astype(str).unique())))


def _first_text(values: NDArray[Any]) -> object:
    return next((value for value in values if isinstance(value, str)), values[0])
