"""Values and named tensors as a safetensors file, and back. Nothing is ever unpickled."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import Tensor

from mlpipeline.errors import DataError

_PLAIN = (float, int, str, bool, type(None))
_LENGTH_BYTES = 8
_VALUES, _LAYOUT, _CHECKSUM = "values", "layout", "crc32"
_TYPES = [value for value in vars(torch).values() if isinstance(value, torch.dtype)]
_TYPE_NAMES = {dtype: str(dtype).removeprefix("torch.") for dtype in _TYPES}

_Layout = list[tuple[str, torch.Size, torch.dtype]]


class Contents(NamedTuple):
    """What a file holds.

    Args:
        values: dicts, lists and tuples of numbers, strings and None.
        tensors: by name.
    """

    values: dict[str, Any]
    tensors: dict[str, Tensor]


class Packer:
    """Makes the bytes of a file again and again, for tensors that mostly keep their names and shapes.

    All tensors of one type lie behind one another as one row of bytes, and what tells them apart is
    written anew only if it changes: safetensors' own writer takes five times as long for many
    small tensors, which the epoch of a small table, a millisecond, would feel.
    """

    def __init__(self) -> None:
        self._layout: _Layout = []
        self._described_layout = b"[]"

    def pack(self, contents: Contents) -> bytes:
        """Return a file in the safetensors format.

        Raises: DataError: the values hold an object of another kind.
        """
        self._keep_layout([(name, tensor.shape, tensor.dtype) for name, tensor in contents.tensors.items()])
        rows: dict[torch.dtype, list[Tensor]] = {}
        for tensor in contents.tensors.values():
            rows.setdefault(tensor.dtype, []).append(tensor.flatten())
        bodies = {_LAYOUT: self._described_layout, _VALUES: json.dumps(_describe(contents.values)).encode()}
        bodies |= {_TYPE_NAMES[dtype]: _joined_bytes(tensors) for dtype, tensors in rows.items()}
        body = b"".join(bodies.values())
        header = _header(bodies, zlib.crc32(body))
        return b"".join((len(header).to_bytes(_LENGTH_BYTES, "little"), header, body))

    def _keep_layout(self, layout: _Layout) -> None:
        if layout != self._layout:
            described = [[name, list(shape), _TYPE_NAMES[dtype]] for name, shape, dtype in layout]
            self._layout, self._described_layout = layout, json.dumps(described).encode()


def unpack(data: bytes) -> Contents:
    """Return what was packed. Raises: DataError: the data is damaged."""
    try:
        joined = load(data)
        body_start = _LENGTH_BYTES + int.from_bytes(data[:_LENGTH_BYTES], "little")
        checksum = int(json.loads(data[_LENGTH_BYTES:body_start])["__metadata__"][_CHECKSUM])
        layout, values = joined.pop(_LAYOUT).numpy().tobytes(), joined.pop(_VALUES).numpy().tobytes()
    except (SafetensorError, ValueError, KeyError) as error:
        raise DataError(f"not a whole checkpoint ({error})") from error
    if checksum != zlib.crc32(data[body_start:]):
        raise DataError("a damaged checkpoint (its checksum differs)")
    return Contents(_restore(json.loads(values)), _split(joined, json.loads(layout)))


def _split(joined: Mapping[str, Tensor], layout: list[tuple[str, list[int], str]]) -> dict[str, Tensor]:
    typed = {name: row.view(getattr(torch, name)) for name, row in joined.items()}
    tensors, starts = {}, dict.fromkeys(typed, 0)
    for name, shape, kind in layout:
        start, starts[kind] = starts[kind], starts[kind] + math.prod(shape)
        tensors[name] = typed[kind][start : starts[kind]].reshape(shape).clone()
    return tensors


def _describe(value: Any) -> Any:
    """Return a value as JSON; what JSON has no form for is named by its kind."""
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, dict):
        # pairs, since JSON would turn keys that are numbers into strings
        return {"dict": [[key, _describe(item)] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {kind: [_describe(item) for item in value]}
    raise DataError(
        f"a checkpoint cannot hold a {type(value).__name__} ({value!r}); keep numbers and strings only in the "
        "state of the scheduler and in the groups of the optimizer"
    )


def _restore(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    if "dict" in value:
        return {key: _restore(item) for key, item in value["dict"]}
    kind, items = next(iter(value.items()))
    restored = [_restore(item) for item in items]
    return tuple(restored) if kind == "tuple" else restored


def _joined_bytes(tensors: list[Tensor]) -> bytes:
    # through bytes, because NumPy knows no bfloat16
    data: bytes = torch.cat(tensors).detach().cpu().view(torch.uint8).numpy().tobytes()
    return data


def _header(bodies: Mapping[str, bytes], checksum: int) -> bytes:
    places: dict[str, Any] = {"__metadata__": {_CHECKSUM: str(checksum)}}
    start = 0
    for name, data in bodies.items():
        places[name] = {"dtype": "U8", "shape": [len(data)], "data_offsets": [start, start + len(data)]}
        start += len(data)
    header = json.dumps(places).encode()
    return header.ljust(math.ceil(len(header) / _LENGTH_BYTES) * _LENGTH_BYTES)
