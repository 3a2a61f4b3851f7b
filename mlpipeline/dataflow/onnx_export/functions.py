"""NumPy's functions as ONNX operators: those that onnxruntime has in float64, or that are made of such."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mlpipeline.dataflow.layer import Lambda
from mlpipeline.dataflow.onnx_export.builder import NotExportable, Tensor
from mlpipeline.dataflow.onnx_export.call import BOOL, Call, wide_dtype

OPERATORS: dict[Any, str] = {
    np.absolute: "Abs",
    np.add: "Add",
    np.ceil: "Ceil",
    np.cos: "Cos",
    np.divide: "Div",
    np.equal: "Equal",
    np.exp: "Exp",
    np.fabs: "Abs",
    np.floor: "Floor",
    np.greater: "Greater",
    np.greater_equal: "GreaterOrEqual",
    np.isinf: "IsInf",
    np.isnan: "IsNaN",
    np.less: "Less",
    np.less_equal: "LessOrEqual",
    np.log: "Log",
    np.logical_and: "And",
    np.logical_not: "Not",
    np.logical_or: "Or",
    np.maximum: "Max",
    np.minimum: "Min",
    np.multiply: "Mul",
    np.negative: "Neg",
    np.power: "Pow",
    np.reciprocal: "Reciprocal",
    np.rint: "Round",
    np.sign: "Sign",
    np.sin: "Sin",
    np.sqrt: "Sqrt",
    np.subtract: "Sub",
    np.tanh: "Tanh",
}
ON_BOOL = ("And", "Not", "Or")
ON_INTEGERS = frozenset(
    (
        *("Abs", "Add", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Min", "Mul", "Neg"),
        *("Pow", "Sign", "Sub"),
    )
)


def _log(base: float) -> Callable[[Call, Tensor], Tensor]:
    return lambda call, x: call.op("Mul", call.op("Log", x), np.asarray(1 / np.log(base), x.dtype))


def _log1p(call: Call, x: Tensor) -> Tensor:
    """log(u) * x / (u - 1) for u = 1 + x, which is exact to the last digits near 0 (Kahan)."""
    one = np.ones((), x.dtype)
    u = call.op("Add", x, one)
    log = call.op("Log", u)
    rest = call.op("Sub", u, one)
    is_plain = call.op("Or", call.equal(rest, np.zeros((), x.dtype)), call.is_not_finite(rest), dtype=BOOL)
    ratio = call.op("Div", x, call.where(is_plain, one, rest))
    near = call.where(call.equal(rest, np.zeros((), x.dtype)), x, log)
    return call.where(is_plain, near, call.op("Mul", log, ratio))


def _expm1(call: Call, x: Tensor) -> Tensor:
    """tanh(x / 2) * (exp(x) + 1), which loses no digits near 0."""
    half = call.op("Tanh", call.op("Mul", x, np.asarray(0.5, x.dtype)))
    return call.op("Mul", half, call.op("Add", call.op("Exp", x), np.ones((), x.dtype)))


def _isfinite(call: Call, x: Tensor) -> Tensor:
    return call.op("Not", call.is_not_finite(x))


COMPOSED: dict[Any, Callable[[Call, Tensor], Tensor]] = {
    np.expm1: _expm1,
    np.isfinite: _isfinite,
    np.log10: _log(10),
    np.log1p: _log1p,
    np.log2: _log(2),
    np.square: lambda call, x: call.op("Mul", x, x),
    np.tan: lambda call, x: call.op("Div", call.op("Sin", x), call.op("Cos", x)),
}


def _function(call: Call) -> Tensor:
    function = call.layer.function
    if call.layer.kwargs or function not in (*OPERATORS, *COMPOSED):
        name = getattr(function, "__name__", type(function).__name__)
        raise NotExportable(f"{name} is none of NumPy's functions that onnxruntime computes in float64")
    loop = function.resolve_dtypes((*(each.dtype for each in call.inputs), None))[:-1]
    if function in COMPOSED:
        return COMPOSED[function](call, _widened(call, 0, loop[0], is_float=function is not np.square))
    kind = OPERATORS[function]
    if kind in ON_BOOL:
        return call.op(kind, *(call.cast(each, BOOL) for each in call.inputs), dtype=BOOL)
    arguments = [_widened(call, i, dtype, kind not in ON_INTEGERS) for i, dtype in enumerate(loop)]
    return call.op(kind, *arguments, dtype=BOOL if call.result_dtype == BOOL else arguments[0].dtype)


def _widened(call: Call, position: int, loop: np.dtype[Any], is_float: bool) -> Tensor:
    """Return an input in the dtype in which NumPy's function computes, or a wider one."""
    dtype = wide_dtype(loop)
    if is_float and dtype.kind != "f":
        raise NotExportable(f"ONNX has it for floats, not for {loop}; put the layer Cast(float) before it")
    return call.cast(call.inputs[position], dtype)


CONVERTERS: dict[type, Callable[[Call], Tensor]] = {Lambda: _function}
