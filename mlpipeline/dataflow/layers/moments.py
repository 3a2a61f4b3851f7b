"""Moments: count, mean and variance of each value position, merged from batches without losing digits.

Source: T. F. Chan, G. H. Golub, R. J. LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample
Variances", Stanford STAN-CS-79-773 (1979), formulas 2.1; for the shift of the origin: "Algorithms for
Computing the Sample Variance", The American Statistician 37 (1983).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlpipeline.dataflow.spec import Array, shape_text
from mlpipeline.errors import DataError


@dataclass(frozen=True)
class Moments:
    """What is known of the values at each position of an observation; NaN counts as no value.

    Everything is kept relative to an origin near the data, the first value that was seen. So values
    far from zero keep their digits, and the variance of a constant is exactly zero.

    Args:
        count: int64[...], how many values.
        origin: float64[...], NaN where there was no value yet.
        offset: float64[...], the mean less the origin.
        squares: float64[...], the sum of squared distances from the mean.
    """

    count: Array
    origin: Array
    offset: Array
    squares: Array

    @classmethod
    def of(cls, values: Array, near: Array | None = None) -> Moments:
        """Return the moments of array[n, ...] over its observations.

        Args:
            values: numbers; a copy in float64 is worked on.
            near: float64[...], the origin to use; NaN where there is none.
        Raises: DataError: these are not real numbers, or one of them is infinite.
        """
        if values.dtype.kind not in "biuf":
            raise DataError(f"expected numbers, but got {values.dtype}; put the layer Cast(float) before it")
        if near is not None and near.shape != values.shape[1:]:
            raise DataError(
                f"expected observations of shape {shape_text(near.shape)} as in the batches before, "
                f"but got {values.shape}"
            )
        origin = _first_values(values, near)
        distances = np.subtract(values, origin, dtype=np.float64)
        total = distances.sum(axis=0)
        if np.isfinite(total).all():
            count = np.full(origin.shape, len(values))
            offset = total / max(len(values), 1)
            distances -= offset
        else:
            count, offset = _center_known(distances)
        return cls(count, origin, np.asarray(offset), np.asarray(np.einsum("i...,i...->...", distances, distances)))

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Moments | None:
        """Return the moments that `state` holds, or None."""
        if "squares" not in state:
            return None
        return cls(state["count"], state["origin"], state["offset"], state["squares"])

    def as_state(self) -> dict[str, Any]:
        """Return the moments as named arrays, with the mean and the standard deviation that follow from them."""
        return {
            "mean": self.mean,
            "std": self.std,
            "count": self.count,
            "origin": self.origin,
            "offset": self.offset,
            "squares": self.squares,
        }

    @property
    def mean(self) -> Array:
        """The mean, float64[...]; NaN without a value."""
        return np.asarray(self.origin + self.offset)

    @property
    def variance(self) -> Array:
        """The variance of a population (ddof 0), float64[...]; 0 without a value."""
        return np.asarray(self.squares / np.maximum(self.count, 1))

    @property
    def std(self) -> Array:
        """The standard deviation of a population, float64[...]."""
        return np.asarray(np.sqrt(self.variance))

    def merge(self, other: Moments) -> Moments:
        """Return the moments of both sets of values together."""
        origin = np.where(np.isnan(self.origin), other.origin, self.origin)
        moved = np.where(other.count > 0, other.origin - origin, 0.0)
        count = self.count + other.count
        delta = moved + other.offset - self.offset
        share = other.count / np.maximum(count, 1)
        offset = self.offset + delta * share
        squares = self.squares + other.squares + delta * delta * self.count * share
        return Moments(count, origin, np.asarray(offset), np.asarray(squares))


def learn_moments(state: Mapping[str, Any], values: Array) -> dict[str, Any]:
    """Return the state of a layer after one more batch, as named arrays."""
    known = Moments.from_state(state)
    batch = Moments.of(values, None if known is None else known.origin)
    return (batch if known is None else known.merge(batch)).as_state()


def _first_values(values: Array, near: Array | None) -> Array:
    """Return the first value at each position that is not NaN; NaN where there is none."""
    if near is not None and not np.isnan(near).any():
        return near
    origin = np.full(values.shape[1:], np.nan) if near is None else near.copy()
    if not len(values):
        return origin
    origin = np.where(np.isnan(origin), values[0], origin)
    if np.isnan(origin).any():
        rows = np.isnan(values).argmin(axis=0)[None]
        origin = np.where(np.isnan(origin), np.take_along_axis(values, rows, axis=0)[0], origin)
    return np.asarray(origin, dtype=np.float64)


def _center_known(distances: Array) -> tuple[Array, Array]:
    """Center what is not NaN in place, set the rest to 0; return the counts and the means."""
    if np.isinf(distances).any():
        raise DataError("expected finite numbers or NaN, but got an infinite value")
    unknown = np.isnan(distances)
    count = len(distances) - unknown.sum(axis=0)
    distances[unknown] = 0.0
    offset = distances.sum(axis=0) / np.maximum(count, 1)
    distances -= offset
    distances[unknown] = 0.0
    return np.asarray(count), offset
