"""Numeric layers: arithmetic of each observation, products, and values brought to a common scale.

Integers and truth values are calculated in int64, so that small ones do not wrap; float16 in float64; all else as it
is. Arrays of different shapes are broadcast within the observation, never over the observations.
"""

from __future__ import annotations

from functools import partial, reduce
from typing import Any, ClassVar

import numpy as np

from mlpipeline.dataflow.affine import Affine
from mlpipeline.dataflow.layer import StatefulLayer, StatelessLayer
from mlpipeline.dataflow.layers.checking import as_real, check_shape, expect_real, learned, real_result
from mlpipeline.dataflow.layers.moments import learn_moments
from mlpipeline.dataflow.layers.operands import (
    aligned,
    as_operand,
    combine,
    expect_operand,
    infer_elementwise,
    infer_product,
    observation_product,
)
from mlpipeline.dataflow.spec import Array, Spec, shape_text
from mlpipeline.errors import DataError, PipelineError


class _ValueByValue(StatelessLayer):
    """An operation on two or more arrays, value by value."""

    checks_itself = True
    operation: ClassVar[np.ufunc]

    def transform(self, x: Array, y: Array, *more: Array) -> Array:
        total = combine(self.operation, x, y)
        return reduce(partial(combine, self.operation), more, total) if more else total

    def infer(self, *specs: Spec) -> Spec:
        return infer_elementwise(self.operation, specs)


class Add(_ValueByValue):
    """The sum of two or more arrays, value by value."""

    operation = np.add


class ElementWiseMultiply(_ValueByValue):
    """The product of two or more arrays, value by value."""

    operation = np.multiply


class Subtract(StatelessLayer):
    """The first array less the second, value by value."""

    checks_itself = True

    def transform(self, x: Array, y: Array) -> Array:
        return combine(np.subtract, x, y)

    def infer(self, x: Spec, y: Spec) -> Spec:
        return infer_elementwise(np.subtract, (x, y))


class Divide(StatelessLayer):
    """The first array divided by the second, value by value.

    Args:
        impute: the result where the divisor is 0.
    """

    checks_itself = True

    def __init__(self, impute: float = 0) -> None:
        self.impute = impute

    def transform(self, x: Array, y: Array) -> Array:
        if np.count_nonzero(y) == y.size:
            return combine(np.true_divide, x, y)
        dividend, divisor = aligned(x, y)
        shape = np.broadcast_shapes(dividend.shape, divisor.shape)
        quotient = np.full(shape, self.impute, np.true_divide(dividend[:0], divisor[:0]).dtype)
        return np.true_divide(dividend, divisor, out=quotient, where=divisor != 0)

    def infer(self, x: Spec, y: Spec) -> Spec:
        return infer_elementwise(np.true_divide, (x, y))


class ScalarMultiply(StatelessLayer):
    """Each value times one number.

    Args:
        factor: the number; a whole one leaves integers integers (int64).
    """

    checks_itself = True

    def __init__(self, factor: float) -> None:
        if np.ndim(factor) or not np.issubdtype(np.asarray(factor).dtype, np.number):
            raise PipelineError(
                f"ScalarMultiply: expected a number, but got {factor!r}; for arrays there are ElementWiseMultiply and "
                "StaticDot"
            )
        self.factor = factor

    def transform(self, x: Array) -> Array:
        return np.asarray(np.multiply(as_operand(x), _plain(self.factor)))

    def infer(self, x: Spec) -> Spec:
        expect_operand(x)
        return Spec(x.shape, None if x.dtype is None else self.compute(np.empty(0, x.dtype)).dtype)

    def affine(self, spec: Spec) -> Affine | None:
        factor = _plain(self.factor)
        return Affine(np.asarray(factor, float)) if spec.is_table and isinstance(factor, int | float) else None

    def feature_names(self, *names: Any) -> Any:
        return names[0]


class StaticDot(StatelessLayer):
    """The matrix product of each observation with a fixed matrix: `x @ W`.

    Args:
        W: array[k, m] or array[k], where k is the length of an observation's last axis. It is taken in
            the dtype of the data where both are floats.
    """

    checks_itself = True

    def __init__(self, W: Any) -> None:  # noqa: N803
        self.W = np.array(W)
        if self.W.ndim not in (1, 2) or self.W.dtype.kind not in "biufc":
            raise PipelineError(f"StaticDot: expected W as numbers of shape (k,) or (k, m), but got {_told(self.W)}")

    def transform(self, x: Array) -> Array:
        values, matrix = as_operand(x), as_operand(self.W)
        if values.ndim < 2 or values.shape[-1] != len(matrix):
            raise DataError(f"expected an array of shape (n, ..., {len(matrix)}), as W is long, but got {x.shape}")
        if matrix.dtype != values.dtype and values.dtype.kind == "f" and matrix.dtype.kind == "f":
            matrix = matrix.astype(values.dtype)
        product: Array = values @ matrix
        return product

    def infer(self, x: Spec) -> Spec:
        if x.shape is None:
            return Spec()
        length = len(self.W)
        if not x.shape or x.shape[-1] not in (None, length):
            raise PipelineError(f"expected (n, ..., {length}), as W is long, but got {shape_text(x.shape)}")
        expect_operand(x)
        dtype = None if x.dtype is None else self.compute(np.empty((0, length), x.dtype)).dtype
        return Spec((*x.shape[:-1], *self.W.shape[1:]), dtype)

    def affine(self, spec: Spec) -> Affine | None:
        is_matrix = self.W.ndim == 2 and self.W.dtype.kind in "biuf"
        return Affine(self.W.astype(float)) if is_matrix and spec.is_table and spec.shape == self.W.shape[:1] else None


class Dot(StatelessLayer):
    """The matrix product of two or more arrays within each observation, from left to right.

    What `a @ b` gives for one observation of each: two vectors give a number, a matrix and a vector a
    vector, two matrices a matrix. So (n, k) and (n, k) give (n,); (n, m, k) and (n, k) give (n, m).
    """

    checks_itself = True

    def transform(self, *arrays: Array) -> Array:
        if len(arrays) < 2:
            raise PipelineError("Dot: expected two or more arrays, but got one")
        return reduce(observation_product, arrays)

    def infer(self, *specs: Spec) -> Spec:
        if len(specs) < 2:
            raise PipelineError("expected two or more nodes, but got one")
        return reduce(infer_product, specs)


class Normalize(StatelessLayer):
    """The values along the last axis divided by their sum, so that they sum to one; all zeros become equal shares."""

    checks_itself = True

    def transform(self, x: Array) -> Array:
        values = as_real(x)
        if values.ndim < 2:
            raise DataError("expected several values in an observation, (n, ..., k), but got one: (n,)")
        total = values.sum(axis=-1, keepdims=True)
        return values / total if np.count_nonzero(total) == total.size else _with_equal_shares(values, total)

    def infer(self, x: Spec) -> Spec:
        expect_real(x)
        if x.shape == ():
            raise PipelineError("expected several values in an observation, (n, ..., k), but got one: (n,)")
        return Spec(x.shape, real_result(x))


class Whiten(StatefulLayer):
    """Each value less its mean over the observations, divided by its standard deviation (of a population).

    A value that is the same in every observation is divided by 1. NaN is no value: it teaches
    nothing and stays NaN. Learns `mean` and `std`, merged over batches.
    """

    checks_itself = True
    is_iterative = False

    def partial_fit(self, x: Array) -> None:
        state = learn_moments(self.metadata, x)
        self.metadata = state | {"divisor": np.where(state["std"] > 0, state["std"], 1.0)}

    def transform(self, x: Array) -> Array:
        state = learned(self)
        values, mean, divisor = as_real(x), state["mean"], state["divisor"]
        check_shape(values, mean)
        if values.dtype != mean.dtype:
            mean, divisor = mean.astype(values.dtype), divisor.astype(values.dtype)
        result: Array = values - mean
        result /= divisor
        return result

    def infer(self, x: Spec) -> Spec:
        expect_real(x)
        return Spec(x.shape, real_result(x))

    def affine(self, spec: Spec) -> Affine | None:
        state = self.metadata
        if not state or not spec.is_table or not spec.admits(state["mean"].shape):
            return None
        return Affine(np.asarray(1.0 / state["divisor"]), state["mean"])

    def feature_names(self, *names: Any) -> Any:
        return names[0]


def _with_equal_shares(values: Array, total: Array) -> Array:
    """Return values divided by their sums, some of which are 0."""
    nothing = total == 0
    bad = nothing & values.any(axis=-1, keepdims=True)
    if bad.any():
        row = int(np.argwhere(bad)[0, 0])
        raise DataError(f"observation {row} sums to 0 though its values are not all 0: it cannot be made to sum to 1")
    shares = np.full(values.shape, 1.0 / values.shape[-1], dtype=values.dtype)
    return np.divide(values, total, out=shares, where=~nothing)


def _plain(factor: Any) -> Any:
    """Return a number of Python's, which leaves the dtype of an array as it is."""
    return factor if type(factor) is float or type(factor) is int else np.asarray(factor).item()


def _told(array: Array) -> str:
    return f"{array.dtype} of shape {array.shape}"
