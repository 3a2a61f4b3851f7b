"""Spec: what is known of an array before it is there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Shape = tuple[int | None, ...]


@dataclass(frozen=True)
class Spec:
    """Shape and dtype of an array without its first axis, the observations.

    Args:
        shape: the length of each further axis, None where it is not known; None when nothing is known.
        dtype: None when it is not known.
    """

    shape: Shape | None = None
    dtype: np.dtype[Any] | None = None

    @classmethod
    def of(cls, value: Array) -> Spec:
        """Return the spec of an array that is there."""
        return cls(value.shape[1:], value.dtype)

    @property
    def size(self) -> int | None:
        """How many values an observation has, or None."""
        if self.shape is None or None in self.shape:
            return None
        size = 1
        for length in self.shape:
            size *= length or 0
        return size

    @property
    def is_table(self) -> bool:
        """Whether observations are known to be a real number or a row of them."""
        return self.shape is not None and len(self.shape) <= 1 and self.dtype is not None and self.dtype.kind in "biuf"

    def admits(self, shape: tuple[int, ...]) -> bool:
        """Return whether observations of this shape are what is described."""
        if self.shape is None:
            return True
        return len(shape) == len(self.shape) and all(
            known is None or known == length for known, length in zip(self.shape, shape, strict=True)
        )

    def with_dtype(self, dtype: np.dtype[Any] | None) -> Spec:
        """Return the same shape with another dtype."""
        return Spec(self.shape, dtype)

    def __str__(self) -> str:
        kind = "any dtype" if self.dtype is None else str(self.dtype)
        return f"{shape_text(self.shape)} of {kind}"


def shape_text(shape: Shape | None) -> str:
    """Return a shape as (n, 48, 48, 3), where n stands for the observations."""
    if shape is None:
        return "(n, ...)"
    inner = ", ".join("?" if length is None else str(length) for length in shape)
    return f"(n, {inner})" if inner else "(n,)"


def is_numeric(dtype: np.dtype[Any] | None) -> bool:
    """Return whether values are numbers or truth values; a dtype that is not known might be."""
    return dtype is None or dtype.kind in "biufc"


def working_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype to calculate in: floats of 32 bits and more as they are, everything else as float64."""
    return dtype if dtype.kind in "fc" and dtype.itemsize >= 4 else np.dtype(np.float64)


def as_working(values: Array) -> Array:
    """Return numbers in the dtype to calculate in; the array itself where it has that already."""
    dtype = values.dtype
    if dtype.kind == "f" and dtype.itemsize >= 4:
        return values
    return values.astype(working_dtype(dtype))
