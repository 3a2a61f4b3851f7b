"""The files of a folder: packs of writes, recalls of earlier writes, and the order of the ids.

A manifest in JSON says what a folder holds. A pack has an npy file for its ids and for each output.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from mlpipeline.dataflow.spec import Array
from mlpipeline.dataflow.storage.base import Run
from mlpipeline.dataflow.storage.ids import kind_of
from mlpipeline.dataflow.storage.values import Specs, dtype_of, from_json, shape_of, specs_of, to_json
from mlpipeline.errors import StorageError

FORMAT = 1
_MANIFEST = "manifest.json"
_IDS = "ids.npy"
_CHUNK = 1 << 22  # bytes that are copied at a time
_MAPPED = 1 << 20  # bytes; a smaller file is read, since a map holds a file descriptor


@dataclass(frozen=True, eq=False)
class Heading:
    """What is told of a write: of two writes the higher number wins, if no recall says otherwise."""

    number: int
    run: Run
    replaces_all: bool


@dataclass(frozen=True, eq=False)
class Pack:
    """Writes whose rows lie one after the other in the same files."""

    folder: Path
    ids_dtype: np.dtype[Any]
    specs: Specs
    n: int
    writes: Sequence[Write]

    @property
    def kind(self) -> str:
        return kind_of(np.empty(0, self.ids_dtype))

    @cached_property
    def first(self) -> int:
        """The number before which nothing counts any more; 0 where no write replaced everything."""
        return max((each.number for each in self.writes if each.replaces_all), default=0)

    @cached_property
    def ids(self) -> Array:
        return load_array(self.folder / _IDS, self.ids_dtype, (self.n,))

    def output(self, name: str, mode: Literal["r", "c"] = "r") -> Array:
        """Return the rows of an output: "r" for read-only, "c" for writable, and never written to the file."""
        spec = self.specs[name]
        path = self.folder / f"{list(self.specs).index(name)}.npy"
        array = load_array(path, dtype_of(spec), (self.n, *shape_of(spec)), mode)
        array.flags.writeable = mode == "c"
        return array

    def size(self) -> int:
        """Return the bytes of all files."""
        return sum(each.stat().st_size for each in os.scandir(self.folder))


@dataclass(frozen=True, eq=False)
class Write(Heading):
    """One write, and where its rows are."""

    pack: Pack
    begin: int

    @property
    def specs(self) -> Specs:
        return self.pack.specs

    @cached_property
    def ids(self) -> Array:
        return self.rows(self.pack.ids)

    def rows(self, of_pack: Array) -> Array:
        """Return the rows of this write among those of its pack."""
        return of_pack[self.begin : self.begin + self.run.n]


@dataclass(frozen=True)
class Recall:
    """Says that an earlier write counts as if it were written now."""

    number: int
    recalled: int


@dataclass(frozen=True, eq=False)
class Order:
    """The ids in the order of their first write, some of which may be deleted."""

    number: int
    folder: Path
    ids_dtype: np.dtype[Any]
    n: int

    @cached_property
    def ids(self) -> Array:
        return load_array(self.folder / _IDS, self.ids_dtype, (self.n,))


def save_pack(folder: Path, headings: Sequence[Heading], ids: Array, outputs: Mapping[str, Array]) -> None:
    """Write a pack into a new folder."""
    folder.mkdir(parents=True)
    save_array(folder / _IDS, ids)
    for number, array in enumerate(outputs.values()):
        save_array(folder / f"{number}.npy", array)
    writes = [
        {"number": each.number, **vars(each.run), **({"replaces_all": True} if each.replaces_all else {})}
        for each in headings
    ]
    _save_manifest(folder, {"ids": ids.dtype.str, "outputs": to_json(specs_of(outputs)), "writes": writes})


def save_recall(folder: Path, number: int) -> None:
    """Write, into a new folder, that an earlier write is the current one again."""
    folder.mkdir(parents=True)
    _save_manifest(folder, {"recalls": number})


def save_order(folder: Path, ids: Array) -> None:
    """Write the order of ids into a new folder."""
    folder.mkdir(parents=True)
    save_array(folder / _IDS, ids)
    _save_manifest(folder, {"ids": ids.dtype.str, "order_of": len(ids)})


def _save_manifest(folder: Path, content: Mapping[str, Any]) -> None:
    (folder / _MANIFEST).write_text(json.dumps({"format": FORMAT, **content}), encoding="utf-8")


def save_array(path: Path, array: Array) -> None:
    """Write an array row after row, so that a row lies in one place; a strided array is copied in parts."""
    if array.flags.c_contiguous:
        np.save(path, array, allow_pickle=False)
        return
    header = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape}
    rows = max(1, _CHUNK // max(1, array.nbytes // max(1, len(array))))
    with path.open("wb") as file:
        np.lib.format.write_array_header_2_0(file, header)
        for begin in range(0, len(array), rows):
            np.ascontiguousarray(array[begin : begin + rows]).tofile(file)


def load_array(
    path: Path, dtype: np.dtype[Any], shape: tuple[int, ...], mode: Literal["r", "c"] | None = None
) -> Array:
    """Return an array of a file; a large one is mapped when a mode is given.

    Raises: StorageError: the file is cut off, or is another one. OSError: it cannot be read.
    """
    try:
        if mode is None or np.prod(shape) * dtype.itemsize < _MAPPED:
            with path.open("rb") as file:
                array: Array = np.lib.format.read_array(file, allow_pickle=False)
        else:
            array = np.lib.format.open_memmap(path, mode=mode).view(np.ndarray)
    except (ValueError, EOFError, SyntaxError) as error:
        raise _damaged(path, str(error)) from error
    if array.dtype != dtype or array.shape != shape:
        raise _damaged(path, f"expected {dtype} of shape {shape}, but it holds {array.dtype} of shape {array.shape}")
    return array


def load_entry(folder: Path, number: int) -> Pack | Recall | Order:
    """Read a manifest.

    Args:
        folder: to read.
        number: that its name begins with.
    Raises: StorageError: it is damaged, or of a newer version. OSError: it cannot be read.
    """
    path = folder / _MANIFEST
    content = path.read_bytes()
    try:
        found = json.loads(content)
        if found["format"] > FORMAT:
            raise StorageError(f"{path} was written by a newer version of mlpipeline; update mlpipeline to read it")
        if "recalls" in found:
            return Recall(number, int(found["recalls"]))
        dtype = np.dtype(str(found["ids"]))
        if dtype.kind not in "iU":
            raise ValueError(f"ids of {dtype}")
        if "order_of" in found:
            return Order(number, folder, dtype, int(found["order_of"]))
        return _as_pack(folder, dtype, from_json(found["outputs"]), found["writes"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from error


def _as_pack(folder: Path, dtype: np.dtype[Any], specs: Specs, told: Sequence[Mapping[str, Any]]) -> Pack:
    writes: list[Write] = []
    pack = Pack(folder, dtype, specs, sum(int(each["n"]) for each in told), writes)
    begin = 0
    for each in told:
        run = Run(str(each["key"]), dict(each["parts"]), int(each["n"]), str(each["written"]))
        writes.append(Write(int(each["number"]), run, bool(each.get("replaces_all")), pack, begin))
        begin += run.n
    return pack


def _damaged(path: Path, why: str) -> StorageError:
    return StorageError(f"{path} is damaged ({why}); delete the folder {path.parent} to go on without this write")
