"""Replacing given values of an array by others, all at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mlpipeline.dataflow.spec import Array
from mlpipeline.errors import DataError


def replace_values(values: Array, replacements: Mapping[Any, Any]) -> Array:
    """Return a copy in which old values are replaced by new ones, each found in the array as it was.

    Args:
        values: array[n, ...].
        replacements: {old: new}; NaN is found where values are NaN or NaT, None where they are None.
    Raises: DataError: an old value can never be there, or a new one is of another kind.
    """
    result = values.astype(replaced_dtype(values.dtype, replacements))
    for old, new in replacements.items():
        result[_is_old(values, old)] = new
    return result


def replaced_dtype(dtype: np.dtype[Any], replacements: Mapping[Any, Any]) -> np.dtype[Any]:
    """Return the dtype that holds the values of an array and the new ones.

    Raises: DataError: an old value can never be there, or a new one is of another kind.
    """
    if dtype.kind == "O":
        return dtype
    for old, new in replacements.items():
        if isinstance(old, str) != (dtype.kind == "U") and not _is_nan(old) and old is not None:
            raise DataError(f"{old!r} can never be in an array of {dtype}: Impute would have no effect")
        dtype = _widened(dtype, new)
    return dtype


def _widened(dtype: np.dtype[Any], new: Any) -> np.dtype[Any]:
    """Return a dtype for the values of another and a new one; float32 stays as it is for any float."""
    if isinstance(new, str) != (dtype.kind == "U") or new is None:
        raise DataError(f"{new!r} cannot stand in an array of {dtype}; put the layer Cast(object) before it")
    value = new.item() if isinstance(new, np.number) else new
    if dtype.kind == "f" and isinstance(value, int | float):
        return dtype
    if dtype.kind in "iu" and isinstance(value, int) and not isinstance(value, bool):
        limits = np.iinfo(dtype)
        return dtype if limits.min <= value <= limits.max else np.result_type(dtype, np.min_scalar_type(value))
    try:
        return np.result_type(dtype, np.asarray(value).dtype)
    except TypeError:
        raise DataError(f"{new!r} cannot stand in an array of {dtype}") from None


def _is_old(values: Array, old: Any) -> Array:
    """Return where values are the old one: bool[...]."""
    if values.dtype == object:
        same = (_is_same(old, value) for value in values.ravel())
        return np.fromiter(same, dtype=bool, count=values.size).reshape(values.shape)
    if _is_nan(old):
        return np.asarray(values != values)
    return np.zeros(values.shape, dtype=bool) if old is None else np.asarray(values == old)


def _is_same(old: Any, value: Any) -> bool:
    if old is None or value is None:
        return value is old
    if _is_nan(value) or _is_nan(old):
        return _is_nan(value) and _is_nan(old)
    return bool(isinstance(value, bool) == isinstance(old, bool) and value == old)


def _is_nan(value: Any) -> bool:
    """Return whether a value is NaN, NaT or pandas' NA, the ones that differ from themselves."""
    different = value != value
    return (isinstance(different, bool | np.bool_) and bool(different)) or type(value).__name__ == "NAType"
