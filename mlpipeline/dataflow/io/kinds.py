"""Kind: what a column holds, found in parts and joined; and how a column becomes an array."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mlpipeline.dataflow.spec import Array
from mlpipeline.errors import DataError

Table = Mapping[str, Any]  # a pandas series for each column

OBJECT = np.dtype(object)
FLOAT = np.dtype(np.float64)
MOMENT = np.dtype("datetime64[ns]")
SPAN = np.dtype("timedelta64[ns]")
BY_CONTENT = {  # what pandas finds in a column of Python objects
    "boolean": np.dtype(bool),
    "floating": FLOAT,
    "mixed-integer-float": FLOAT,
    "decimal": FLOAT,
    "empty": FLOAT,
    "complex": np.dtype(np.complex128),
    "datetime": MOMENT,
    "datetime64": MOMENT,
    "date": MOMENT,
    "timedelta": SPAN,
    "timedelta64": SPAN,
}


@dataclass(frozen=True)
class Kind:
    """What the values of a column, or of a part of it, are.

    Args:
        dtype: of the values that are there; object for text and for what has no dtype.
        has_values: whether there is one that is not missing.
        has_missing: whether one is missing.
        has_negative: whether an integer is below zero.
    """

    dtype: np.dtype[Any]
    has_values: bool = True
    has_missing: bool = False
    has_negative: bool = False

    @property
    def array_dtype(self) -> np.dtype[Any]:
        """The dtype of the array: integers and truth values with missing ones among them are floats with NaN."""
        return FLOAT if self.has_missing and self.dtype.kind in "biu" else self.dtype

    def joined(self, other: Kind) -> Kind:
        """Return the kind of a column that has these parts; a part without values says nothing of the dtype."""
        has_missing = self.has_missing or other.has_missing
        if not other.has_values:
            return replace(self, has_missing=has_missing)
        if not self.has_values:
            return replace(other, has_missing=has_missing)
        return Kind(self._common_dtype(other), True, has_missing, self.has_negative or other.has_negative)

    def _common_dtype(self, other: Kind) -> np.dtype[Any]:
        one, two = self.dtype, other.dtype
        if one == two:
            return one
        kinds = one.kind + two.kind
        if not set(kinds) <= set("iufc"):
            return OBJECT
        if set(kinds) == {"i", "u"} and not (self.has_negative or other.has_negative):
            return one if one.kind == "u" else two
        return np.result_type(one, two)


def kind_of(column: Any) -> Kind:
    """Return what the values of a pandas series are."""
    series = _plain(column)
    missing = series.isna()
    dtype = _found_dtype(series, missing)
    is_below_zero = dtype.kind == "i" and bool((series[~missing] < 0).any())
    return Kind(dtype, bool((~missing).any()), bool(missing.any()), is_below_zero)


def kinds_of(table: Table, names: Sequence[str]) -> dict[str, Kind]:
    """Return the kind of each of these columns."""
    return {name: kind_of(table[name]) for name in names}


def joined_kinds(one: Mapping[str, Kind], two: Mapping[str, Kind]) -> dict[str, Kind]:
    """Return the kinds of a table that has these parts."""
    return {name: kind.joined(two[name]) for name, kind in one.items()}


def as_arrays(table: Table, kinds: Mapping[str, Kind]) -> dict[str, Array]:
    """Return an array for each column that has a kind; they share nothing with the table.

    Numbers and truth values keep their dtype, moments become datetime64[ns] (those with a time zone
    in UTC), categories their values, text an object array of `str`. What is missing is NaN, NaT or,
    in text, None.

    Raises: DataError: the values of a column are not of its kind.
    """
    return {name: _as_array(name, table[name], kind.array_dtype) for name, kind in kinds.items()}


def _as_array(name: str, column: Any, dtype: np.dtype[Any]) -> Array:
    series = _plain(column)
    try:
        if dtype == OBJECT:
            return _as_objects(series)
        if dtype.kind in "mM":
            return _as_times(series, dtype)
        missing = {"na_value": np.nan} if dtype.kind in "fc" else {}
        array: Array = series.to_numpy(dtype=dtype, copy=True, **missing)
        return array
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"column {name!r}: expected values that fit in {dtype}, but: {error}") from None


def _as_objects(series: Any) -> Array:
    values: Array = series.to_numpy(dtype=object, copy=True)
    values[series.isna().to_numpy(dtype=bool)] = None
    return values


def _as_times(series: Any, dtype: np.dtype[Any]) -> Array:
    import pandas as pd

    if dtype == SPAN:
        times = pd.to_timedelta(series).dt.as_unit("ns")
    else:
        times = pd.to_datetime(series, utc=True).dt.tz_localize(None).dt.as_unit("ns")
    array: Array = times.to_numpy(dtype=dtype, copy=True)
    return array


def _plain(series: Any) -> Any:
    """Return categories and sparse values as the values that they stand for."""
    import pandas as pd

    if isinstance(series.dtype, pd.CategoricalDtype | pd.SparseDtype):
        return pd.Series(np.asarray(series))
    return series


def _found_dtype(series: Any, missing: Any) -> np.dtype[Any]:
    import pandas as pd

    if isinstance(series.dtype, pd.StringDtype):
        return OBJECT
    if isinstance(series.dtype, pd.DatetimeTZDtype):
        return MOMENT
    dtype = getattr(series.dtype, "numpy_dtype", series.dtype)  # of nullable and Arrow columns
    if not isinstance(dtype, np.dtype) or dtype == OBJECT:
        return _dtype_of_objects(series[~missing])
    return {"M": MOMENT, "m": SPAN}.get(dtype.kind, dtype)


def _dtype_of_objects(present: Any) -> np.dtype[Any]:
    import pandas as pd

    content = pd.api.types.infer_dtype(present, skipna=True)
    if content == "integer":
        least, most = min(present), max(present)
        fitting = [kind for kind in (np.int64, np.uint64) if np.iinfo(kind).min <= least and most <= np.iinfo(kind).max]
        return np.dtype(fitting[0]) if fitting else FLOAT
    return BY_CONTENT.get(content, OBJECT)
