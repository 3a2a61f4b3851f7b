"""One-hot layers as ONNX operators."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mlpipeline.dataflow.layers.onehot import OneHotLabels, OneHotRange
from mlpipeline.dataflow.onnx_export.builder import TEXT, NotExportable, Tensor
from mlpipeline.dataflow.onnx_export.call import FLOAT, INT, Call, wide_dtype
from mlpipeline.dataflow.spec import Array


def _one_hot_range(call: Call) -> Tensor:
    low, high = call.layer.limits()
    return _one_hot(call, call.cast(call.x, INT), np.arange(low, high + 1))


def _one_hot_labels(call: Call) -> Tensor:
    labels = call.layer.metadata["labels"]
    if (labels.dtype.kind == "U") != (call.x.dtype == TEXT) or (labels.dtype.kind == "b") != (call.x.dtype.kind == "b"):
        raise NotExportable(f"its labels are {labels.dtype}, and the file would give it {call.x.dtype}")
    if labels.dtype.kind == "U":
        return _one_hot(call, _positions(call, labels), np.arange(len(labels)))
    dtype = np.result_type(wide_dtype(labels.dtype), wide_dtype(call.x.dtype))
    return _one_hot(call, call.cast(call.x, dtype), labels.astype(dtype))


def _positions(call: Call, labels: Array) -> Tensor:
    """Return the position of each text among the labels, -1 where it is none of them."""
    return call.ml_op(
        "LabelEncoder",
        call.x,
        dtype=INT,
        keys_strings=labels.tolist(),
        values_int64s=list(range(len(labels))),
        default_int64=-1,
    )


def _one_hot(call: Call, codes: Tensor, known: Array) -> Tensor:
    """Return 1.0 where a code is one of those that are known; fails for others if the layer is strict."""
    vectors = call.cast(call.equal(call.unsqueeze(codes, -1), known), FLOAT)
    if not call.layer.strict:
        return vectors
    total = call.op("ReduceSum", vectors, np.array([-1]), keepdims=1)
    return call.refuse(vectors, call.equal(total, np.zeros(())), "values that were not seen")


CONVERTERS: dict[type, Callable[[Call], Tensor]] = {OneHotLabels: _one_hot_labels, OneHotRange: _one_hot_range}
