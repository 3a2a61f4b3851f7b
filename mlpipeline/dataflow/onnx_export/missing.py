"""Layers for missing values as ONNX operators."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from mlpipeline.dataflow.layers.missing import Impute, ImputeMean, ImputeMedian, ImputeMode
from mlpipeline.dataflow.onnx_export.builder import TEXT, NotExportable, Tensor
from mlpipeline.dataflow.onnx_export.call import BOOL, INT, Call, wide_dtype
from mlpipeline.dataflow.spec import Array

NO_MISSING_TEXTS = "texts are never missing in ONNX"


def _impute(call: Call) -> Tensor:
    """Look for each old value in the input as it was."""
    old_values = call.widened(call.x)
    result = old_values if old_values.dtype == TEXT else call.cast(call.x, wide_dtype(call.result_dtype))
    for old, new in call.layer.replacements.items():
        found = _found(call, old_values, old)
        if found is not None:
            result = call.where(found, _new(new, result.dtype), result)
    return result


def _found(call: Call, values: Tensor, old: Any) -> Tensor | None:
    """Return where values are the old one; None where they can never be."""
    if values.dtype == TEXT:
        return _found_text(call, values, old)
    if old is None or (old != old and values.dtype.kind != "f"):
        return None
    if old != old:
        return call.is_nan(values)
    if values.dtype == INT:
        is_held = old == int(old) and -(2**63) <= old < 2**63
        return call.equal(values, np.asarray(int(old))) if is_held else None
    dtype = np.result_type(call.x.dtype, old)  # where NumPy compares
    wide = np.promote_types(dtype, values.dtype)
    return call.equal(call.cast(values, wide), np.asarray(old, dtype).astype(wide))


def _found_text(call: Call, values: Tensor, old: Any) -> Tensor:
    if not isinstance(old, str):
        raise NotExportable(NO_MISSING_TEXTS)
    found = call.ml_op("LabelEncoder", values, dtype=INT, keys_strings=[old], values_int64s=[1], default_int64=0)
    return call.cast(found, BOOL)


def _new(new: Any, dtype: np.dtype[Any]) -> Array:
    if isinstance(new, str) != (dtype == TEXT):
        raise NotExportable("ONNX has no arrays of texts and numbers")
    return np.asarray(new) if dtype == TEXT else np.asarray(new).astype(dtype)


def _filled(name: str, call: Call) -> Tensor:
    values = call.real()
    return call.where(call.is_nan(values), call.layer.metadata[name].astype(values.dtype), values)


def _impute_mode(call: Call) -> Tensor:
    if call.x.dtype == TEXT and np.dtype(call.results[0].dtype).kind == "O":
        raise NotExportable(NO_MISSING_TEXTS)
    if call.x.dtype.kind != "f":
        return call.x
    values = call.widened(call.x)
    modes = [known["labels"][known["counts"].argmax()] for known in call.layer.metadata["counts"]]
    return call.where(call.is_nan(values), np.array(modes, values.dtype).reshape(call.shape), values)


CONVERTERS: dict[type, Callable[[Call], Tensor]] = {
    Impute: _impute,
    ImputeMean: partial(_filled, "mean"),
    ImputeMedian: partial(_filled, "median"),
    ImputeMode: _impute_mode,
}
