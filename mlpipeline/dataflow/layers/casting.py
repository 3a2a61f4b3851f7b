"""Casting values to another dtype without losing any silently."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlpipeline.dataflow.spec import Array
from mlpipeline.errors import DataError


def cast(values: Array, dtype: np.dtype[Any]) -> Array:
    """Return values in another dtype; the array itself where it has that already.

    Raises: DataError: a value is not a number, or out of the range of the dtype.
    """
    if values.dtype == dtype:
        return values
    if dtype.kind in "iu" and not np.can_cast(values.dtype, dtype):
        _check_range(values, dtype)
    try:
        with np.errstate(over="ignore"):
            return values.astype(dtype)
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(f"{values.dtype} cannot be cast to {dtype}: {error}{_hint(values, dtype)}") from None


def _check_range(values: Array, dtype: np.dtype[Any]) -> None:
    """Refuse numbers that an integer dtype cannot hold."""
    if values.dtype.kind not in "fiu" or not values.size:
        return
    limits = np.iinfo(dtype)
    if values.dtype.kind == "f":
        finite = np.isfinite(values)
        if not finite.all():
            row = int(np.argwhere(~finite)[0, 0])
            raise DataError(
                f"observation {row} has NaN or infinity, which {dtype} cannot hold; put the layer Impute before it"
            )
        least, most = np.trunc(values.min()), np.trunc(values.max())
        fits = least >= float(limits.min) and most < float(limits.max) + (float(limits.max) <= 2**53)
    else:
        least, most = values.min(), values.max()
        fits = int(least) >= limits.min and int(most) <= limits.max
    if not fits:
        raise DataError(f"{dtype} holds {limits.min} to {limits.max}, but the values go from {least} to {most}")


def _hint(values: Array, dtype: np.dtype[Any]) -> str:
    return "; put the layer Impute before it" if values.dtype == object and dtype.kind in "iuf" else ""
