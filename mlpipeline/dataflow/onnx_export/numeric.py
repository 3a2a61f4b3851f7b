"""Numeric layers as ONNX operators."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mlpipeline.dataflow.layers.numeric import (
    Add,
    Divide,
    Dot,
    ElementWiseMultiply,
    Normalize,
    ScalarMultiply,
    StaticDot,
    Subtract,
    Whiten,
)
from mlpipeline.dataflow.onnx_export.builder import Tensor
from mlpipeline.dataflow.onnx_export.call import BOOL, Call, wide_dtype


def _elementwise(kind: str) -> Callable[[Call], Tensor]:
    def convert(call: Call) -> Tensor:
        total, *others = _aligned(call)
        for other in others:
            total = call.op(kind, *_promoted(call, total, other))
        return total

    return convert


def _divide(call: Call) -> Tensor:
    dividend, divisor = (call.cast(each, call.result_dtype) for each in _aligned(call))
    dtype = dividend.dtype
    nothing = call.equal(divisor, np.zeros((), dtype))
    quotient = call.op("Div", dividend, call.where(nothing, np.ones((), dtype), divisor))
    return call.where(nothing, np.asarray(call.layer.impute, dtype), quotient)


def _scalar_multiply(call: Call) -> Tensor:
    values = call.cast(call.operand(), call.result_dtype)
    return call.op("Mul", values, np.asarray(call.layer.factor, values.dtype))


def _static_dot(call: Call) -> Tensor:
    values, matrix = call.operand(), call.layer.W
    both_float = values.dtype.kind == "f" and matrix.dtype.kind == "f"
    dtype = values.dtype if both_float else np.result_type(values.dtype, wide_dtype(matrix.dtype))
    if len(call.shape) == 1 and matrix.ndim == 2:
        return call.table_product(call.cast(values, dtype), matrix)
    return call.product(call.cast(values, dtype), matrix, call.result_shape)


def _dot(call: Call) -> Tensor:
    product, ndim = call.operand(), len(call.shape)
    for position in range(1, len(call.inputs)):
        more = len(call.shapes[position])
        left, right = "nij" if ndim == 2 else "nj", "njk"[: more + 1]
        inner = left[1:-1] + right[2:]
        pair = _promoted(call, product, call.operand(position))
        product = call.op("Einsum", *pair, equation=f"{left},{right}->n{inner}")
        ndim = len(inner)
    return product


def _normalize(call: Call) -> Tensor:
    values = call.real()
    dtype = values.dtype
    total = call.op("ReduceSum", values, np.array([-1]), keepdims=1)
    nothing = call.equal(total, np.zeros((), dtype))
    differs = call.op("Not", call.equal(values, np.zeros((), dtype)))
    bad = call.op("And", nothing, differs, dtype=BOOL)
    shares = call.op("Div", values, call.where(nothing, np.ones((), dtype), total))
    equal_shares = np.asarray(1 / call.shape[-1], dtype)
    return call.refuse(call.where(nothing, equal_shares, shares), bad, "values sum to 0 and are not all 0")


def _whiten(call: Call) -> Tensor:
    values, state = call.real(), call.layer.metadata
    centered = call.op("Sub", values, state["mean"].astype(values.dtype))
    return call.op("Div", centered, state["divisor"].astype(values.dtype))


def _aligned(call: Call) -> list[Tensor]:
    """Return the inputs with as many axes each; new ones stand behind the observations."""
    most = max(map(len, call.shapes))
    return [
        call.unsqueeze(call.operand(position), *range(1, 1 + most - len(shape)))
        for position, shape in enumerate(call.shapes)
    ]


def _promoted(call: Call, one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    dtype = np.result_type(one.dtype, other.dtype)
    return call.cast(one, dtype), call.cast(other, dtype)


CONVERTERS: dict[type, Callable[[Call], Tensor]] = {
    Add: _elementwise("Add"),
    Divide: _divide,
    Dot: _dot,
    ElementWiseMultiply: _elementwise("Mul"),
    Normalize: _normalize,
    ScalarMultiply: _scalar_multiply,
    StaticDot: _static_dot,
    Subtract: _elementwise("Sub"),
    Whiten: _whiten,
}
