"""Labels: the different values of an array, and where each value stands among them."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlpipeline.dataflow.missing_values import is_missing
from mlpipeline.dataflow.spec import Array
from mlpipeline.errors import DataError

KINDS = {
    "string": np.str_,
    "bytes": np.bytes_,
    "boolean": np.bool_,
    "integer": np.int64,
    "floating": np.float64,
    "mixed-integer-float": np.float64,
}  # what pandas calls the values of an array of objects


def different_values(values: Array) -> tuple[Array, Array]:
    """Return the sorted different values and how often each is there; missing ones are left out.

    Args:
        values: array[n] of texts, integers, truth values or other values that can be sorted. Objects
            become an array of texts, numbers or truth values.
    Raises: DataError: values of several kinds are mixed, or of a kind that is no label.
    """
    if values.dtype.kind in "OfmM":
        values = plain(values[~is_missing(values)])
    labels, counts = np.unique(values, return_counts=True)
    return labels, counts


def merge_counts(labels: Array, counts: Array, more: Array, more_counts: Array) -> tuple[Array, Array]:
    """Return sorted labels and their counts from two sets of them."""
    if not len(labels) or not len(more):
        return (more, more_counts) if len(more) else (labels, counts)
    _check_same_kind(labels, more)
    merged, positions = np.unique(np.concatenate([labels, more]), return_inverse=True)
    total = np.zeros(len(merged), dtype=np.int64)
    np.add.at(total, positions, np.concatenate([counts, more_counts]))
    return merged, total


def positions_among(labels: Array, values: Array) -> Array:
    """Return the position of each value among sorted labels, int64[...]; -1 where it is none of them."""
    if not len(labels):
        return np.full(values.shape, -1)
    if values.dtype == object:
        import pandas as pd

        known = pd.Index(labels.astype(object), dtype=object)
        found = known.get_indexer(pd.Index(values.ravel(), dtype=object))
        return np.asarray(found, dtype=np.int64).reshape(values.shape)
    if _sort(values.dtype) != _sort(labels.dtype):
        return np.full(values.shape, -1)
    positions = np.searchsorted(labels, values)
    positions[positions == len(labels)] = 0
    return np.where(labels[positions] == values, positions, -1)


def plain(values: Array) -> Array:
    """Return an array of objects as texts, numbers or truth values; any other array as it is."""
    if values.dtype != object:
        return values
    import pandas as pd

    if not len(values):
        return values.astype(np.str_)
    kind = pd.api.types.infer_dtype(values, skipna=False)
    if kind not in KINDS:
        raise DataError(f"expected labels of one kind (texts, integers or truth values), but got {kind}")
    return values.astype(KINDS[kind])


def _check_same_kind(labels: Array, more: Array) -> None:
    if _sort(labels.dtype) != _sort(more.dtype):
        raise DataError(f"expected labels of {labels.dtype} as in the batches before, but got {more.dtype}")


def _sort(dtype: np.dtype[Any]) -> str:
    return "number" if dtype.kind in "biuf" else dtype.kind  # numpy holds True for 1 too
