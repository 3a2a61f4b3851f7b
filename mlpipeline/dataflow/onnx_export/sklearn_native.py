"""Estimators that are an affine map and a link, as ONNX operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mlpipeline.dataflow.affine import Affine
from mlpipeline.dataflow.layers.sklearn_maps import NativeForm, flatten, sigmoid_pair, softmax
from mlpipeline.dataflow.onnx_export.builder import Tensor
from mlpipeline.dataflow.onnx_export.call import BOOL, INT, Call
from mlpipeline.dataflow.spec import Array, working_dtype


def native_outputs(call: Call, table: Tensor, form: NativeForm, estimator: Any) -> Tensor:
    """Return what an estimator gives for a table.

    Args:
        call: of the layer.
        table: numbers [n, width].
        form: of the fitted estimator.
        estimator: whose classes are picked where the form's link picks some.
    """
    x = call.cast(table, working_dtype(table.dtype))
    values = _affine(call, x, form.affine_for(x.dtype))
    if form.link is None:
        return call.refuse_missing(values) if form.refuses_missing else values
    link = LINKS.get(form.link)
    checked = call.refuse_missing(values)
    if link is not None:
        return link(call, checked)
    return _picked(call, checked, estimator.classes_, form.affine.factor.shape[1] == 1)


def _affine(call: Call, x: Tensor, affine: Affine) -> Tensor:
    parts = [each for each in (affine.factor, affine.center, affine.shift) if isinstance(each, np.ndarray)]
    dtype = np.result_type(x.dtype, *parts)
    values = call.cast(x, dtype)
    if np.any(affine.center):
        values = call.op("Sub", values, np.asarray(affine.center, dtype))
    if affine.is_matrix:
        values = call.table_product(values, affine.factor)
    else:
        values = call.op("Mul", values, affine.factor.astype(dtype))
    return call.op("Add", values, np.asarray(affine.shift, dtype)) if np.any(affine.shift) else values


def _flatten(call: Call, values: Tensor) -> Tensor:
    return call.op("Squeeze", values, np.array([1]))


def _sigmoid_pair(call: Call, values: Tensor) -> Tensor:
    one = np.ones((), values.dtype)
    second = call.op("Div", one, call.op("Add", call.op("Exp", call.op("Neg", values)), one))
    return call.op("Concat", call.op("Sub", one, second), second, axis=1)


def _softmax(call: Call, values: Tensor) -> Tensor:
    return call.op("Softmax", values, axis=1)


def _picked(call: Call, values: Tensor, classes: Array, one_column: bool) -> Tensor:
    if one_column:
        above = call.op("Greater", _flatten(call, values), np.zeros((), values.dtype), dtype=BOOL)
        return call.op("Gather", classes, call.cast(above, INT))
    largest = call.op("ArgMax", values, dtype=INT, axis=1, keepdims=0)
    return call.op("Gather", classes, largest)


LINKS: dict[Any, Callable[[Call, Tensor], Tensor]] = {
    flatten: _flatten,
    sigmoid_pair: _sigmoid_pair,
    softmax: _softmax,
}
