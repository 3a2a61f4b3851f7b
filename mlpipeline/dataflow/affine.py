"""Affine: y = (x - center) * factor + shift or (x - center) @ factor + shift, and how two become one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mlpipeline.dataflow.spec import Array


@dataclass(frozen=True)
class Affine:
    """An affine map of observations.

    The center stays apart, so that values far from zero lose no digits when maps are composed.

    Args:
        factor: float[n_in] or float[], multiplies each value; or float[n_in, n_out], a matrix product.
        center: float[n_in] or a number, subtracted first.
        shift: float[n_out] or a number, added last.
        refuses_missing: observations with NaN or infinity are an error.
        refuses_infinity: observations with infinity are.
    """

    factor: Array
    center: Array | float = 0.0
    shift: Array | float = 0.0
    refuses_missing: bool = False
    refuses_infinity: bool = False

    @property
    def is_matrix(self) -> bool:
        """Whether values are mixed."""
        return self.factor.ndim == 2

    @property
    def is_identity(self) -> bool:
        """Whether nothing happens."""
        return self.factor.ndim == 0 and self.factor == 1.0 and _is_zero(self.center) and _is_zero(self.shift)

    def then(self, after: Affine) -> Affine:
        """Return the map that does this one and then another."""
        if self.is_identity:
            return after
        refuses = (
            self.refuses_missing or after.refuses_missing,
            self.refuses_infinity or after.refuses_infinity,
        )
        if not self.is_matrix and not after.is_matrix and np.all(self.factor):
            # the center is moved instead of the result, which would lose digits where values are far from zero
            center = _plain(self.center + _minus(after.center, self.shift) / self.factor)
            return Affine(self.factor * after.factor, center, after.shift, *refuses)
        moved = _minus(self.shift, after.center)
        if after.is_matrix:
            moved = np.broadcast_to(moved, len(after.factor)) @ after.factor
            factor = self.factor @ after.factor if self.is_matrix else self.factor[..., None] * after.factor
        else:
            moved = moved * after.factor
            factor = self.factor * after.factor
        return Affine(factor, self.center, _plain(moved + after.shift), *refuses)

    def part(self, start: int, stop: int) -> Affine:
        """Return what happens to some of the values; a matrix still gives all of its results, without the shift."""
        shift = 0.0 if self.is_matrix else _cut(self.shift, start, stop)
        factor = self.factor if self.factor.ndim == 0 else self.factor[start:stop]
        return Affine(factor, _cut(self.center, start, stop), shift, self.refuses_missing, self.refuses_infinity)

    def as_type(self, dtype: Any) -> Affine:
        """Return the map with numbers of another dtype."""
        center, shift = (
            part if isinstance(part, float) else part.astype(dtype, copy=False) for part in (self.center, self.shift)
        )
        return Affine(self.factor.astype(dtype, copy=False), center, shift, self.refuses_missing, self.refuses_infinity)

    def __call__(self, x: Array) -> Array:
        """Return the map of float[n, n_in]; never x itself."""
        is_centered = _is_zero(self.center)
        centered = x if is_centered else x - self.center
        if self.is_matrix:
            result = centered @ self.factor
        elif is_centered:
            result = x * self.factor
        else:
            result = np.multiply(centered, self.factor, out=centered)
        if not _is_zero(self.shift):
            result += self.shift
        return result


def _plain(value: Any) -> Array | float:
    """Return one number as Python's, which leaves the dtype of an array as it is."""
    return value if np.ndim(value) else float(value)


def _is_zero(value: Array | float) -> bool:
    return type(value) is float and value == 0.0


def _minus(value: Array | float, other: Array | float) -> Any:
    return value if _is_zero(other) else value - other


def _cut(value: Array | float, start: int, stop: int) -> Array | float:
    return value[start:stop] if isinstance(value, np.ndarray) and value.ndim else value
