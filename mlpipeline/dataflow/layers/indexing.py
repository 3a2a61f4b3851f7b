"""Indexing behind the observations, each axis for itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlpipeline.dataflow.spec import Array, Shape, shape_text
from mlpipeline.errors import DataError, PipelineError

EXPECTED = "Slice: expected integers, slices, lists of positions or Ellipsis"


def as_index(slices: Any) -> tuple[Any, ...]:
    """Return an index for each axis: an integer, a slice, an array of positions or Ellipsis.

    Raises: PipelineError: something else is among them.
    """
    return tuple(_entry(each) for each in (slices if isinstance(slices, tuple) else (slices,)))


def select(values: Array, index: Sequence[Any]) -> Array:
    """Return a part of array[n, ...] along the axes behind the first; a view where there are no lists.

    Raises: DataError: there are no such axes or positions.
    """
    entries = _spread(index, values.ndim - 1)
    try:
        for axis, entry in enumerate(entries, start=1):
            if isinstance(entry, np.ndarray) and entry.dtype == bool:
                _length(entry, values.shape[axis])  # a short mask would cut the axis
                values = np.compress(entry, values, axis)
            elif isinstance(entry, np.ndarray):
                values = values.take(entry, axis)
        basic = (slice(None) if isinstance(entry, np.ndarray) else entry for entry in entries)
        return values[(slice(None), *basic)]
    except IndexError as error:
        raise DataError(f"{error}; observations have the shape {values.shape[1:]}") from None


def selected_shape(shape: Shape, index: Sequence[Any]) -> Shape:
    """Return the shape of the part of observations of this shape; lengths that are not known stay so.

    Raises: PipelineError: there are no such axes or positions.
    """
    try:
        entries = _spread(index, len(shape))
        lengths = [_length(entry, length) for entry, length in zip(entries, shape, strict=True)]
    except DataError as error:
        raise PipelineError(str(error)) from None
    except IndexError as error:
        raise PipelineError(f"{error}, in observations {shape_text(shape)}") from None
    return tuple(length for length, entry in zip(lengths, entries, strict=True) if not isinstance(entry, int))


def _entry(entry: Any) -> Any:
    if entry is Ellipsis or isinstance(entry, slice):
        return entry
    if isinstance(entry, int | np.integer) and not isinstance(entry, bool):
        return int(entry)
    if isinstance(entry, list | np.ndarray):
        positions = np.asarray(entry)
        if positions.ndim == 1 and positions.dtype.kind in "iub":
            return positions
    raise PipelineError(f"{EXPECTED}, but got {entry!r}")


def _spread(index: Sequence[Any], ndim: int) -> list[Any]:
    """Return an index for each of ndim axes, Ellipsis and what is left out being whole axes."""
    ellipses = [position for position, entry in enumerate(index) if entry is Ellipsis]
    given = len(index) - len(ellipses)
    if len(ellipses) > 1 or given > ndim:
        raise DataError(f"expected an index for each of {ndim} axes at most and one Ellipsis, but got {len(index)}")
    at = ellipses[0] if ellipses else len(index)
    return [*index[:at], *[slice(None)] * (ndim - given), *index[at + 1 :]]


def _length(entry: Any, length: int | None) -> int | None:
    """Return how long an axis is after it was indexed; a length that is not known can fit anything."""
    if isinstance(entry, slice):
        return None if length is None else len(range(*entry.indices(length)))
    if isinstance(entry, int):
        if length is not None and not -length <= entry < length:
            raise IndexError(f"there is no position {entry} in an axis of length {length}")
        return 1
    if entry.dtype == bool:
        if length not in (None, len(entry)):
            raise IndexError(f"expected {length} truth values, but got {len(entry)}")
        return int(entry.sum())
    for position in entry:
        _length(int(position), length)
    return len(entry)
