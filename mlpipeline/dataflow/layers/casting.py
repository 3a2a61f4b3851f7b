"""Casting values to another dtype without losing any silently."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlpipeline.dataflow.spec import Array
from mlpipeline.errors import DataError


def cast(values: Array, dtype: np.dtype[Any]) -> Array:
    """Return values in another dtype; the array itself where it has that already.

    Raises: DataError: a value is not a number, out of the range of the dtype, or a longer text than it holds.
    """
    if values.dtype == dtype:
        return values
    if dtype.kind in "biufc" and values.dtype.kind in "mM":
        _refuse(np.isnat(values), f"has NaT, which {dtype} cannot hold; put the layer Impute before it")
    if dtype.kind in "iu" and not np.can_cast(values.dtype, dtype):
        _check_range(values, dtype)
    try:
        with np.errstate(over="ignore"):
            if dtype.kind in "SU" and dtype.itemsize:
                _check_lengths(values.astype(dtype.kind), dtype)
            result = values.astype(dtype)
    except (ValueError, TypeError, OverflowError) as error:
        raise DataError(f"{values.dtype} cannot be cast to {dtype}: {error}{_hint(values, dtype)}") from None
    if dtype.kind in "fc" and not np.can_cast(values.dtype, dtype):
        _check_overflow(values, result)
    return result


def _check_range(values: Array, dtype: np.dtype[Any]) -> None:
    """Refuse numbers that an integer dtype cannot hold."""
    if values.dtype.kind not in "fiu" or not values.size:
        return
    limits = np.iinfo(dtype)
    if values.dtype.kind == "f":
        _refuse(~np.isfinite(values), f"has NaN or infinity, which {dtype} cannot hold; put the layer Impute before it")
        least, most = np.trunc(values.min()), np.trunc(values.max())
        fits = least >= float(limits.min) and most < float(limits.max) + (float(limits.max) <= 2**53)
    else:
        least, most = values.min(), values.max()
        fits = int(least) >= limits.min and int(most) <= limits.max
    if not fits:
        raise DataError(f"{dtype} holds {limits.min} to {limits.max}, but the values go from {least} to {most}")


def _check_lengths(texts: Array, dtype: np.dtype[Any]) -> None:
    """Refuse texts that a dtype of fixed length would cut."""
    most = dtype.itemsize // np.dtype(f"{dtype.kind}1").itemsize
    full = "str" if dtype.kind == "U" else "bytes"
    _refuse(np.char.str_len(texts) > most, f"has a text of more than {most} characters; Cast({full}) keeps all")


def _check_overflow(values: Array, result: Array) -> None:
    """Refuse numbers that have become infinite."""
    infinite = np.isinf(result)
    if infinite.any():
        given = values if values.dtype.kind in "iufc" else values.astype(np.result_type(result, np.float64))
        _refuse(infinite & ~np.isinf(given), f"has a number too large for {result.dtype}; Cast(float) holds it")


def _refuse(bad: Array, reason: str) -> None:
    """Name the first observation with a bad value, if there is one."""
    if bad.any():
        raise DataError(f"observation {np.argwhere(bad)[0, 0]} {reason}")


def _hint(values: Array, dtype: np.dtype[Any]) -> str:
    return "; put the layer Impute before it" if values.dtype == object and dtype.kind in "iuf" else ""
