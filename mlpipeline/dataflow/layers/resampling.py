"""Resampling along one axis of a whole batch: each new value is a weighted mean of a few old ones."""

from __future__ import annotations

from functools import cache

import numpy as np

from mlpipeline.dataflow.spec import Array


def resample(values: Array, axis: int, positions: Array, weights: Array) -> Array:
    """Return an array with another length along an axis.

    Args:
        values: array[n, ...].
        axis: which one.
        positions: int[taps, new length], the old positions that a new value is made of.
        weights: float[taps, new length], their shares.
    """
    along = [1] * values.ndim
    along[axis] = -1
    shares = weights.astype(values.dtype)
    total: Array = values.take(positions[0], axis)
    total *= shares[0].reshape(along)
    for position, share in zip(positions[1:], shares[1:], strict=True):
        part = values.take(position, axis)
        part *= share.reshape(along)
        total += part
    return total


@cache
def area_weights(old: int, new: int) -> tuple[Array, Array]:
    """Return positions and weights by which each new value is the mean of the part of the axis that it covers."""
    edges = np.arange(new + 1) * old
    first = edges[:-1] // new
    taps = int((-(-edges[1:] // new) - first).max())
    positions = first + np.arange(taps)[:, None]
    overlap = np.minimum(edges[1:], (positions + 1) * new) - np.maximum(edges[:-1], positions * new)
    return np.minimum(positions, old - 1), np.maximum(overlap, 0) / old


@cache
def bilinear_weights(old: int, new: int) -> tuple[Array, Array]:
    """Return positions and weights by which new values lie on the lines between old ones.

    Values stand in the middle of their part of the axis; behind the outermost they stay as they are.
    """
    centers = np.clip((np.arange(new) + 0.5) * old / new - 0.5, 0, old - 1)
    lower = np.minimum(centers.astype(np.int64), max(old - 2, 0))
    share = centers - lower
    return np.stack([lower, np.minimum(lower + 1, old - 1)]), np.stack([1 - share, share])
