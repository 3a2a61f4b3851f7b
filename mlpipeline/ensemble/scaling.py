"""Scaling: tells from the columns of a table that they were centred, standardised or scaled over all rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpipeline.ensemble.observations import Source

_FEWEST_ROWS = 10
_FEW_VALUES = 10  # columns of fewer different values, codes of -1 and 1, are centred by what they mean
_SAMPLE = 1000
_SHOWN = 5
_TOLERANCE = {"float64": 1e-6, "float32": 1e-4, "float16": 1e-2}


def scaled_columns(X: Any, name: str = "X") -> list[str]:
    """Return a text for each way in which the columns of X look as if they had been scaled over all rows.

    A column whose mean over all rows is 0 and whose deviation is 1, to six digits, was standardised with all rows; so
    was a table most of whose columns are centred, and one that fills the range from 0 to 1 in every column.

    Args:
        X: [n, ...], as for `Ensemble.fit`; only numbers with fractions are looked at. name: what to call it.
    """
    if isinstance(X, Mapping):
        return [text for key, value in X.items() for text in scaled_columns(value, f"{name}[{key!r}]")]
    table, names = _table(X)
    if table is None or len(table) < _FEWEST_ROWS:
        return []
    has_many = np.array([len(np.unique(column)) > _FEW_VALUES for column in table[:_SAMPLE].T], dtype=bool)
    table, names = table[:, has_many], [each for each, kept in zip(names, has_many, strict=True) if kept]
    if not table.shape[1]:
        return []
    return _standardised(table, names, name) or _filling_a_range(table, name)


def _table(X: Any) -> tuple[NDArray[Any] | None, list[Any]]:
    """Return the columns of fractions, float[n, k], and their names; None for what is no table."""
    if hasattr(X, "iloc"):
        frame = (X.to_frame() if X.ndim == 1 else X).select_dtypes("float")
        return frame.to_numpy(dtype=np.float64, na_value=np.nan), list(frame.columns)
    if isinstance(X, Source) or hasattr(X, "tocsr"):
        return None, []
    array = np.asarray(X.cpu() if hasattr(X, "cpu") else X)
    if array.ndim != 2 or array.dtype.name not in _TOLERANCE:
        return None, []
    return array, list(range(array.shape[1]))


def _standardised(table: NDArray[Any], names: list[Any], name: str) -> list[str]:
    tolerance = _TOLERANCE[table.dtype.name]
    mean = np.nanmean(table, axis=0, dtype=np.float64)
    deviations = [np.nanstd(table, axis=0, dtype=np.float64, ddof=ddof) for ddof in (0, 1)]
    is_centred = np.abs(mean) < tolerance * deviations[0]
    is_standard = is_centred & np.any([np.abs(each - 1) < tolerance for each in deviations], axis=0)
    if is_standard.any():
        what, which, remedy = "mean 0 and deviation 1", is_standard, "preprocessing=StandardScaler()"
    elif is_centred.mean() >= 0.5:
        what, which, remedy = "mean 0", is_centred, "what prepared it as preprocessing="
    else:
        return []
    listed = [str(each) for each, is_one in zip(names, which, strict=True) if is_one]
    shown = ", ".join(listed[:_SHOWN]) + (", ..." if len(listed) > _SHOWN else "")
    return [
        f"{name} has {what} over all rows in {len(listed)} columns ({shown}): it was prepared with the rows that judge "
        f"the members; give it as it was, and {remedy}, which is fitted on each member's training rows"
    ]


def _filling_a_range(table: NDArray[Any], name: str) -> list[str]:
    lowest, highest = np.nanmin(table, axis=0), np.nanmax(table, axis=0)
    sample = table[:_SAMPLE].astype(np.float64) * 255
    is_image = bool((np.abs(sample - np.round(sample)) < 1e-3).all())  # bytes divided by 255 know of no other row
    if is_image or (np.abs(lowest) > 1e-6).any() or (np.abs(highest - 1) > 1e-6).any():
        return []
    return [
        f"{name} fills the range from 0 to 1 in each of {table.shape[1]} columns: it was prepared with the rows that "
        "judge the members; give it as it was, and preprocessing=MinMaxScaler(), which is fitted on each member's "
        "training rows"
    ]
