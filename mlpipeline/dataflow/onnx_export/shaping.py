"""Shaping layers as ONNX operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mlpipeline.dataflow.layers.indexing import as_index, select
from mlpipeline.dataflow.layers.shaping import AddDim, Cast, Concatenate, Filter, Flatten, Reshape, Slice
from mlpipeline.dataflow.onnx_export.builder import TEXT, NotExportable, Tensor
from mlpipeline.dataflow.onnx_export.call import BOOL, Call


def _cast(call: Call) -> Tensor:
    dtype = np.dtype(call.layer.dtype)
    if dtype.kind == "U":
        return _as_texts(call, dtype)
    if call.x.dtype == TEXT:
        raise NotExportable("ONNX reads numbers from texts in another way than NumPy")
    return call.cast(_in_range(call, dtype) if dtype.kind in "iu" else call.x, dtype)


def _as_texts(call: Call, dtype: np.dtype[Any]) -> Tensor:
    if dtype.itemsize:
        raise NotExportable(f"ONNX has no texts of a fixed length, {dtype}; use Cast(str)")
    if call.x.dtype.kind not in "iuU":
        raise NotExportable(f"ONNX writes {call.x.dtype} as text in another way than NumPy")
    if call.x.dtype == TEXT:
        return call.x
    return call.op("Cast", call.x, dtype=TEXT, to=call.builder.element_type(TEXT))


def _in_range(call: Call, dtype: np.dtype[Any]) -> Tensor:
    """Return numbers, by an operator that fails where an integer dtype cannot hold them."""
    if np.can_cast(call.x.dtype, dtype):
        return call.x
    values, limits = call.widened(call.x), np.iinfo(dtype)
    if values.dtype.kind == "f":
        low, high = np.nextafter(limits.min, -np.inf) if limits.bits > 32 else limits.min - 1.0, limits.max + 1.0
    else:
        low, high = max(limits.min - 1, -(2**63)), min(limits.max + 1, 2**63 - 1)
    above = call.op("Greater", values, np.asarray(low, values.dtype), dtype=BOOL)
    below = call.op("Less", values, np.asarray(high, values.dtype), dtype=BOOL)
    bad = call.op("Not", call.op("And", above, below))  # NaN is neither above nor below
    return call.refuse(values, bad, f"values that {dtype} cannot hold")


def _reshape(call: Call) -> Tensor:
    return call.reshape(call.x, call.result_shape)


def _concatenate(call: Call) -> Tensor:
    parts = [
        tensor if shape else call.unsqueeze(tensor, 1) for tensor, shape in zip(call.inputs, call.shapes, strict=True)
    ]
    return call.op("Concat", *(call.cast(part, call.result_dtype) for part in parts), axis=call.layer.axis)


def _slice(call: Call) -> Tensor:
    """Pick by positions among all values of an observation: right for every kind of index."""
    everything = np.arange(np.prod(call.shape, dtype=np.int64)).reshape(1, *call.shape)
    picked = select(everything, as_index(call.layer.slices))[0]
    return call.op("Gather", call.reshape(call.x, [-1]), picked, axis=1)


def _filter(call: Call) -> Tensor:
    return call.op("Compress", *call.inputs, axis=0)


CONVERTERS: dict[type, Callable[[Call], Tensor]] = {
    AddDim: _reshape,
    Cast: _cast,
    Concatenate: _concatenate,
    Filter: _filter,
    Flatten: _reshape,
    Reshape: _reshape,
    Slice: _slice,
}
