"""What is said and done about missing values."""

from __future__ import annotations

import math

import numpy as np

from mlpipeline.dataflow.spec import Array
from mlpipeline.errors import DataError


def is_missing(values: Array) -> Array:
    """Return where values are None, NaN or NaT: bool[...]."""
    kind = values.dtype.kind
    if kind in "fc":
        return np.isnan(values)
    if kind in "mM":
        return np.isnat(values)
    if kind != "O":
        return np.zeros(values.shape, dtype=bool)
    import pandas as pd

    return np.asarray(pd.isna(values))


def refuse_missing(values: Array) -> Array:
    """Return the values of observations; what follows from NaN or infinity in an observation is not finite.

    Raises: DataError: says in how many rows.
    """
    if not math.isfinite(np.add.reduce(values, axis=None)):
        _refuse_rows(~np.isfinite(values), "NaN or infinity")
    return values


def refuse_infinity(values: Array) -> Array:
    """Return the values of observations, which may be NaN.

    Raises: DataError: says in how many rows one is infinite.
    """
    if not math.isfinite(np.add.reduce(values, axis=None)):
        _refuse_rows(np.isinf(values), "infinity")
    return values


def rows_with(bad: Array) -> int:
    """Return in how many observations something is bad."""
    return int(bad.reshape(len(bad), -1).any(axis=1).sum())


def missing_text(rows: int, n: int, what: str = "NaN or infinity") -> str:
    """Return what to say about rows with NaN."""
    return f"{rows} of {n} rows hold {what}, which it does not take; put an Impute before it or drop the rows"


def _refuse_rows(bad: Array, what: str) -> None:
    rows = rows_with(bad)
    if rows:
        raise DataError(missing_text(rows, len(bad), what))
