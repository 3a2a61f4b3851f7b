"""Affine: y = (x - center) * scale + shift or (x - center) @ matrix + shift, and how two become one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mlpipeline.dataflow.spec import Array


@dataclass(frozen=True)
class Affine:
    """An affine map of observations.

    The center stays apart, so that values far from zero lose no digits when maps are composed.

    Args:
        factor: float[n_in] or a float[] that multiplies each value; float[n_in, n_out] for a matrix product.
        center: float[n_in] or 0.0, what is subtracted first.
        shift: float[n_out] or 0.0, what is added last.
    """

    factor: Array
    center: Array | float = 0.0
    shift: Array | float = 0.0

    @property
    def is_matrix(self) -> bool:
        """Whether values are mixed."""
        return self.factor.ndim == 2

    def then(self, after: Affine) -> Affine:
        """Return the map that does this one and then another."""
        moved = np.asarray(self.shift) - after.center
        if after.is_matrix:
            moved = np.broadcast_to(moved, after.factor.shape[:1]) @ after.factor
        else:
            moved = moved * after.factor
        if self.is_matrix and after.is_matrix:
            factor = self.factor @ after.factor
        elif self.is_matrix:
            factor = self.factor * after.factor
        elif after.is_matrix:
            factor = self.factor[..., None] * after.factor
        else:
            factor = self.factor * after.factor
        return Affine(factor, self.center, moved + after.shift)

    def __call__(self, x: Array) -> Array:
        """Return the map of array[n, n_in]; never x itself."""
        centered = x if isinstance(self.center, float) and self.center == 0.0 else x - self.center
        if self.is_matrix:
            result = centered @ self.factor
        elif centered is x:
            result = x * self.factor
        else:
            result = np.multiply(centered, self.factor, out=centered)
        if not (isinstance(self.shift, float) and self.shift == 0.0):
            result += self.shift
        return result
