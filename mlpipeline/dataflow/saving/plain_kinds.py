"""Kinds of plain Python values: what JSON cannot hold, tuples, dictionaries, sets, slices, partials."""

from __future__ import annotations

import base64
import functools
import json
import math
from collections.abc import Callable
from typing import Any

from mlpipeline.dataflow.saving.codec import Decoder, Encoder, Json, Kind


def of_type(*types: type) -> Callable[[Any], bool]:
    """Return a function that knows values of exactly these types."""
    return lambda value: type(value) in types


def _encode_float(encoder: Encoder, value: float, where: str) -> Any:
    return value if math.isfinite(value) else {"value": repr(value)}


def _decode_float(decoder: Decoder, told: Json) -> float:
    if told["value"] not in ("nan", "inf", "-inf"):
        raise ValueError(f"expected nan or inf, but got {told['value']!r:.40}")
    return float(told["value"])


def _encode_text(encoder: Encoder, value: str, where: str) -> Any:
    try:
        value.encode()
    except UnicodeEncodeError:  # JSON would join two halves of a surrogate pair
        return {"utf8": _text(value.encode("utf-8", "surrogatepass"))}
    return value


def _decode_text(decoder: Decoder, told: Json) -> str:
    return _bytes(told["utf8"]).decode("utf-8", "surrogatepass")


def _encode_items(encoder: Encoder, value: Any, where: str) -> Json:
    return {"items": [encoder.encode(each, f"{where}[{i}]") for i, each in enumerate(value)]}


def _encode_set(encoder: Encoder, value: Any, where: str) -> Json:
    items = [encoder.encode(each, f"{where}: in the set") for each in value]
    return {"items": sorted(items, key=json.dumps)}  # a set has no order; a file has one


def _encode_dict(encoder: Encoder, value: dict[Any, Any], where: str) -> Json:
    pairs = []
    for key, each in value.items():
        told = encoder.encode(key, f"{where}: the key {key!r:.40}")
        pairs.append([told, encoder.encode(each, f"{where}[{key!r:.40}]")])
    return {"items": pairs}


def _decode_dict(decoder: Decoder, told: Json) -> dict[Any, Any]:
    return {decoder.decode(key): decoder.decode(each) for key, each in told["items"]}


def _encode_slice(encoder: Encoder, value: Any, where: str) -> Json:
    return _encode_items(encoder, (value.start, value.stop, value.step), where)


def _three(decoder: Decoder, told: Json) -> Any:
    start, stop, step = decoder.decode(told["items"])
    return start, stop, step


def _encode_complex(encoder: Encoder, value: complex, where: str) -> Json:
    return _encode_items(encoder, (value.real, value.imag), where)


def _encode_partial(encoder: Encoder, value: Any, where: str) -> Json:
    return _encode_items(encoder, (value.func, value.args, value.keywords), f"{where}: in the partial")


def _decode_partial(decoder: Decoder, told: Json) -> Any:
    function, positional, keywords = decoder.decode(told["items"])
    return functools.partial(function, *positional, **keywords)


def _encode_bytes(encoder: Encoder, value: bytes, where: str) -> Json:
    return {"base64": _text(value)}


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


KINDS = {
    "float": Kind(of_type(float), _encode_float, _decode_float),
    "text": Kind(of_type(str), _encode_text, _decode_text),
    "dict": Kind(of_type(dict), _encode_dict, _decode_dict),
    "tuple": Kind(of_type(tuple), _encode_items, lambda decoder, told: tuple(decoder.decode(told["items"]))),
    "int": Kind(of_type(int), lambda _, value, where: {"hex": hex(value)}, lambda _, told: int(told["hex"], 16)),
    "set": Kind(of_type(set), _encode_set, lambda decoder, told: set(decoder.decode(told["items"]))),
    "frozenset": Kind(of_type(frozenset), _encode_set, lambda decoder, told: frozenset(decoder.decode(told["items"]))),
    "complex": Kind(of_type(complex), _encode_complex, lambda decoder, told: complex(*decoder.decode(told["items"]))),
    "bytes": Kind(of_type(bytes), _encode_bytes, lambda decoder, told: _bytes(told["base64"])),
    "slice": Kind(of_type(slice), _encode_slice, lambda decoder, told: slice(*_three(decoder, told))),
    "range": Kind(of_type(range), _encode_slice, lambda decoder, told: range(*_three(decoder, told))),
    "ellipsis": Kind(of_type(type(...)), lambda encoder, value, where: {}, lambda decoder, told: ...),
    "partial": Kind(of_type(functools.partial), _encode_partial, _decode_partial),
}
