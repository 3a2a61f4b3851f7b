"""What several layers check: that they have learned, that values are numbers, that axes are there."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlpipeline.dataflow.layer import StatefulLayer
from mlpipeline.dataflow.spec import Array, Shape, Spec, as_working, shape_text, working_dtype
from mlpipeline.errors import DataError, PipelineError


def learned(layer: StatefulLayer) -> dict[str, Any]:
    """Return what a layer has learned.

    Raises: PipelineError: nothing yet.
    """
    state = layer.metadata
    if not state:
        raise PipelineError(f"{type(layer).__name__} has learned nothing yet: call fit first")
    return state


def check_shape(x: Array, known: Array) -> None:
    """Refuse observations of another shape than those that were learned from: NumPy would repeat them.

    Args:
        x: array[n, ...].
        known: array[...], what was learned for each value of an observation.
    """
    if x.shape[1:] != known.shape:
        raise DataError(f"expected observations {shape_text(known.shape)}, as fitted, but got {x.shape}")


def agree(one: Shape | None, other: Shape | None) -> bool:
    """Return whether two shapes can be the same, where what is not known may be anything."""
    if one is None or other is None:
        return True
    return len(one) == len(other) and all(None in pair or pair[0] == pair[1] for pair in zip(one, other, strict=True))


def as_real(values: Array) -> Array:
    """Return real numbers in the dtype to calculate in; the array itself where it has that already.

    Raises: DataError: these are not real numbers.
    """
    if values.dtype.kind not in "biuf":
        raise DataError(f"expected numbers, but got {values.dtype}; put the layer Cast(float) before it")
    return as_working(values)


def expect_real(spec: Spec) -> None:
    """Refuse a node that is known to hold no real numbers."""
    if spec.dtype is not None and spec.dtype.kind not in "biuf":
        raise PipelineError(f"expected numbers, but got {spec}; put the layer Cast(float) before it")


def real_result(spec: Spec) -> np.dtype[Any] | None:
    """Return the dtype that `as_real` gives for a node, None where it is not known."""
    return None if spec.dtype is None else working_dtype(spec.dtype)


def inner_axis(axis: int, ndim: int, layer: str) -> int:
    """Return an axis of an array, counted from 0, after a look whether it is one behind the observations.

    Args:
        axis: as in NumPy: 0 is the observations, -1 the last one.
        ndim: of the array, the observations counted.
        layer: whose axis it is, for the message.
    Raises: PipelineError: it is the observations, or there is no such axis.
    """
    counted = axis + ndim if axis < 0 else axis
    if counted == 0:
        raise PipelineError(f"{layer}: axis={axis} is the observations; expected an axis behind them")
    if not 0 < counted < ndim:
        raise PipelineError(f"{layer}: there is no axis {axis} in an array of {ndim} axes, the observations counted")
    return counted


def check_axis(axis: int, layer: str) -> None:
    """Refuse what is no axis, or axis 0."""
    if isinstance(axis, bool) or not isinstance(axis, int | np.integer):
        raise PipelineError(f"{layer}: expected axis as an integer, but got {axis!r}")
    if axis == 0:
        raise PipelineError(f"{layer}: axis=0 is the observations; expected an axis behind them")
