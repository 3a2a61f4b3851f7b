"""Operands: arrays made ready for arithmetic, and what is known of its result before there are values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial, reduce

import numpy as np

from mlpipeline.dataflow.spec import Array, Shape, Spec, as_working, shape_text
from mlpipeline.errors import DataError, PipelineError

READY = frozenset("fdgFDGlqMm")  # dtypes to calculate in as they are: 32 bits and more, times and dates
KINDS = "biufcMm"
MOST = np.iinfo(np.int64).max


def combine(operation: Callable[[Array, Array], Array], x: Array, y: Array) -> Array:
    """Return the result of an operation value by value, observation by observation.

    Raises: DataError: these are not numbers, or do not fit together.
    """
    if x.dtype.char in READY and y.dtype.char in READY and x.shape == y.shape:
        return operation(x, y)
    return operation(*aligned(x, y))


def aligned(x: Array, y: Array) -> tuple[Array, Array]:
    """Return arrays ready for arithmetic, with as many axes each: NumPy then broadcasts within the observations."""
    check_lengths(x, y)
    ndim = max(x.ndim, y.ndim)
    first, second = (
        array.reshape(len(array), *(1,) * (ndim - array.ndim), *array.shape[1:]) if array.ndim < ndim else array
        for array in (as_operand(x), as_operand(y))
    )
    try:
        np.broadcast_shapes(first.shape, second.shape)
    except ValueError:
        raise DataError(f"expected arrays of the same shape, but got {x.shape} and {y.shape}") from None
    return first, second


def check_lengths(x: Array, y: Array) -> None:
    """Refuse arrays of different numbers of observations."""
    if len(x) != len(y):
        raise DataError(f"expected arrays of the same observations, but got {len(x)} and {len(y)} of them")


def as_operand(values: Array) -> Array:
    """Return values in a dtype that does not wrap: integers and truth values as int64.

    Raises: DataError: these are not numbers, or too large ones.
    """
    dtype = values.dtype
    if dtype.char in READY:
        return values
    if dtype.kind in "biu":
        if dtype.itemsize == 8 and dtype.kind == "u" and values.size and values.max() > MOST:
            raise DataError(
                f"expected integers up to {MOST}, but got {values.max()}; put the layer Cast(float) before it"
            )
        return values.astype(np.int64)
    if dtype.kind == "f":
        return as_working(values)
    raise DataError(f"expected numbers, but got {dtype}; put the layer Cast(float) before it")


def infer_elementwise(operation: Callable[[Array, Array], Array], specs: Sequence[Spec]) -> Spec:
    """Return the spec of an operation value by value on two nodes or, from left to right, on more.

    Raises: PipelineError: too few nodes, not numbers, or shapes that do not fit.
    """
    if len(specs) < 2:
        raise PipelineError("expected two or more nodes, but got one")
    for spec in specs:
        expect_operand(spec)
    shapes = [spec.shape for spec in specs]
    shape = None if None in shapes else _broadcast([each for each in shapes if each is not None])
    dtypes = [spec.dtype for spec in specs]
    if None in dtypes:
        return Spec(shape)
    return Spec(shape, reduce(partial(combine, operation), [np.empty(0, dtype) for dtype in dtypes]).dtype)


def expect_operand(spec: Spec) -> None:
    """Refuse a node that is known to hold no numbers."""
    if spec.dtype is not None and spec.dtype.kind not in KINDS:
        raise PipelineError(f"expected numbers, but got {spec}; put the layer Cast(float) before it")


def observation_product(first: Array, second: Array) -> Array:
    """Return the matrix product within each observation, of vectors and matrices.

    Raises: DataError: the shapes do not fit.
    """
    left, right = as_operand(first), as_operand(second)
    check_lengths(left, right)
    infer_product(Spec(left.shape[1:]), Spec(right.shape[1:]), DataError)
    if left.ndim == 2 and right.ndim == 2:
        return np.asarray(np.einsum("ij,ij->i", left, right))
    if right.ndim == 2:
        return np.asarray(np.matmul(left, right[:, :, None])[..., 0])
    if left.ndim == 2:
        return np.asarray(np.matmul(left[:, None, :], right)[:, 0, :])
    return np.asarray(np.matmul(left, right))


def infer_product(first: Spec, second: Spec, refusal: type[Exception] = PipelineError) -> Spec:
    """Return the spec of the matrix product within each observation.

    Raises: PipelineError: these are no vectors or matrices, or their lengths differ; or what `refusal` says.
    """
    dtype = None
    if first.dtype is not None and second.dtype is not None:
        dtype = infer_elementwise(np.multiply, [Spec((), first.dtype), Spec((), second.dtype)]).dtype
    left, right = first.shape, second.shape
    if left is None or right is None:
        return Spec(None, dtype)
    if len(left) not in (1, 2) or len(right) not in (1, 2):
        raise refusal(
            "expected vectors (n, k) or matrices (n, m, k), but got "
            f"{shape_text(left)} and {shape_text(right)}; value by value there is ElementWiseMultiply"
        )
    inner, outer = left[-1], right[0]
    if inner is not None and outer is not None and inner != outer:
        raise refusal(f"expected {inner} values to multiply with, but got {shape_text(left)} and {shape_text(right)}")
    return Spec(left[:-1] + right[1:], dtype)


def _broadcast(shapes: Sequence[Shape]) -> Shape:
    """Return the shape of arrays that are broadcast; a length that is not known stays so where nothing tells it."""
    ndim = max(map(len, shapes))
    result: list[int | None] = []
    for lengths in zip(*((1,) * (ndim - len(shape)) + tuple(shape) for shape in shapes), strict=True):
        known = {length for length in lengths if length not in (1, None)}
        if len(known) > 1:
            raise PipelineError(f"expected the same shape, but got {' and '.join(map(shape_text, shapes))}")
        result.append(known.pop() if known else None if None in lengths else 1)
    return tuple(result)
