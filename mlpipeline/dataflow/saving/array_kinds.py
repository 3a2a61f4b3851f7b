"""Kinds of NumPy: arrays, single values, dtypes, random generators."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from mlpipeline.dataflow.saving.archive import as_array, npy_header
from mlpipeline.dataflow.saving.codec import Decoder, Encoder, Json, Kind
from mlpipeline.dataflow.saving.plain_kinds import of_type
from mlpipeline.dataflow.spec import Array
from mlpipeline.errors import PipelineError

BIT_GENERATORS = ("MT19937", "PCG64", "PCG64DXSM", "Philox", "SFC64")


def without_padding(array: Array) -> Array:
    """Return an array of records with zeros between their fields, where anything may lie; any other as it is."""
    if array.dtype.names is None:
        return array
    clean = np.zeros(array.shape, array.dtype)
    for name in array.dtype.names:
        clean[name] = array[name]
    return clean


def _encode_array(encoder: Encoder, value: Array, where: str) -> Json:
    _checked_dtype(value.dtype, where)
    array = without_padding(np.asarray(value))
    try:
        npy_header(array)
    except UnicodeEncodeError:  # the names of its fields are beyond Latin-1
        told = {"dtype": _encode_descr(encoder, array.dtype, where)}
        return {"entry": encoder.add("arrays", "npy", array.view(f"V{array.itemsize}")), **told}
    return {"entry": encoder.add("arrays", "npy", array)}


def _decode_array(decoder: Decoder, told: Json) -> Array:
    array = as_array(decoder.part(told["entry"]), str(told["entry"]))
    if "dtype" not in told:
        return array
    dtype = _decode_dtype(decoder, {"descr": told["dtype"]})
    if dtype.hasobject or dtype.itemsize != array.itemsize:
        raise ValueError(f"{told['entry']} holds no values of {dtype}")
    return array.view(dtype)


def _encode_objects(encoder: Encoder, value: Array, where: str) -> Json:
    items = [encoder.encode(each, f"{where}: at {i}") for i, each in enumerate(value.ravel().tolist())]
    return {"shape": list(value.shape), "items": items}


def _decode_objects(decoder: Decoder, told: Json) -> Array:
    items = told["items"]
    flat = np.empty(len(items), object)
    for i, each in enumerate(items):
        flat[i] = decoder.decode(each)
    return flat.reshape(told["shape"])


def _encode_scalar(encoder: Encoder, value: Any, where: str) -> Json:
    array = np.asarray(value)
    return {"dtype": _encode_descr(encoder, array.dtype, where), "base64": base64.b64encode(array.tobytes()).decode()}


def _decode_scalar(decoder: Decoder, told: Json) -> Any:
    dtype = _decode_dtype(decoder, {"descr": told["dtype"]})
    content = base64.b64decode(told["base64"], validate=True)
    if dtype.hasobject or dtype.itemsize != len(content):
        raise ValueError(f"{len(content)} bytes are no value of {dtype}")
    return np.ndarray((), dtype, content)[()]


def _encode_descr(encoder: Encoder, value: np.dtype[Any], where: str) -> Any:
    return encoder.encode(np.lib.format.dtype_to_descr(_checked_dtype(value, where)), where)


def _decode_dtype(decoder: Decoder, told: Json) -> np.dtype[Any]:
    return np.lib.format.descr_to_dtype(decoder.decode(told["descr"]))


def _encode_generator(encoder: Encoder, value: np.random.Generator, where: str) -> Json:
    if value.bit_generator.state["bit_generator"] not in BIT_GENERATORS:
        raise PipelineError(f"{where}: expected a bit generator of NumPy, but got {type(value.bit_generator).__name__}")
    return {"state": encoder.encode(dict(value.bit_generator.state), where)}


def _decode_generator(decoder: Decoder, told: Json) -> np.random.Generator:
    state = decoder.decode(told["state"])
    if state["bit_generator"] not in BIT_GENERATORS:
        raise ValueError(f"{state['bit_generator']!r:.40} is no bit generator")
    bits = getattr(np.random, state["bit_generator"])()
    bits.state = state
    return np.random.Generator(bits)


def _checked_dtype(dtype: np.dtype[Any], where: str) -> np.dtype[Any]:
    if dtype.kind not in "biufcmMSUVO" or (dtype.kind == "V" and dtype.hasobject):
        raise PipelineError(f"{where}: cannot save an array of {dtype}; turn it into one of numbers, texts or objects")
    return dtype


def _is_array(value: Any) -> bool:
    return type(value) in (np.ndarray, np.memmap) and value.dtype != object


KINDS = {
    "array": Kind(_is_array, _encode_array, _decode_array),
    "object array": Kind(of_type(np.ndarray), _encode_objects, _decode_objects),
    "scalar": Kind(lambda value: isinstance(value, np.generic), _encode_scalar, _decode_scalar),
    "dtype": Kind(
        lambda value: isinstance(value, np.dtype),
        lambda encoder, value, where: {"descr": _encode_descr(encoder, value, where)},
        _decode_dtype,
    ),
    "random generator": Kind(of_type(np.random.Generator), _encode_generator, _decode_generator),
}
