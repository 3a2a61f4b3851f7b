"""The files of one write to a folder: a manifest in JSON, and an npy file for the ids and for each output."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mlpipeline.dataflow.spec import Array
from mlpipeline.dataflow.storage.base import Run
from mlpipeline.dataflow.storage.ids import kind_of
from mlpipeline.dataflow.storage.values import Specs, from_json, specs_of, to_json
from mlpipeline.errors import StorageError

FORMAT = 1
_MANIFEST = "manifest.json"
_IDS = "ids.npy"
_CHUNK = 1 << 22  # bytes that are copied at a time


def save_write(
    folder: Path, ids: Array, outputs: Mapping[str, Array], key: str, parts: str, *, replaces_all: bool
) -> None:
    """Write the files of a write into a new folder."""
    folder.mkdir(parents=True)
    save_array(folder / _IDS, ids)
    for number, array in enumerate(outputs.values()):
        save_array(folder / f"{number}.npy", array)
    manifest = {
        "format": FORMAT,
        "key": key,
        "parts": json.loads(parts),
        "n": len(ids),
        "written": datetime.now(UTC).isoformat(),
        "ids": ids.dtype.str,
        "outputs": to_json(specs_of(outputs)),
        "replaces_all": replaces_all,
    }
    (folder / _MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")


def save_recall(folder: Path, number: int) -> None:
    """Write, into a new folder, that an earlier write is the current one again."""
    folder.mkdir(parents=True)
    (folder / _MANIFEST).write_text(json.dumps({"format": FORMAT, "recalls": number}), encoding="utf-8")


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


def load_array(path: Path, dtype: np.dtype[Any], shape: tuple[int, ...]) -> Array:
    """Return a read-only array that lies in a file.

    Raises: StorageError: the file is cut off, or is another one. FileNotFoundError: it is not there.
    """
    try:
        if 0 in shape or not dtype.itemsize:
            with path.open("rb") as file:
                array: Array = np.lib.format.read_array(file, allow_pickle=False)
        else:
            array = np.lib.format.open_memmap(path, mode="r").view(np.ndarray)
    except FileNotFoundError:
        raise
    except (OSError, ValueError, EOFError, SyntaxError) as error:
        raise _damaged(path, str(error)) from error
    if array.dtype != dtype or array.shape != shape:
        raise _damaged(path, f"expected {dtype} of shape {shape}, but it holds {array.dtype} of shape {array.shape}")
    array.flags.writeable = False
    return array


@dataclass(frozen=True)
class Write:
    """One write as its manifest tells; the arrays are mapped when they are first asked for."""

    folder: Path
    run: Run
    ids_dtype: np.dtype[Any]
    specs: Specs
    replaces_all: bool

    @cached_property
    def ids(self) -> Array:
        return load_array(self.folder / _IDS, self.ids_dtype, (self.run.n,))

    @property
    def kind(self) -> str:
        return kind_of(np.empty(0, self.ids_dtype))

    def output(self, name: str) -> Array:
        """Return the rows of one output, read-only."""
        found = self._outputs.get(name)
        if found is None:
            spec = self.specs[name]
            path = self.folder / f"{list(self.specs).index(name)}.npy"
            shape = (self.run.n, *(length or 0 for length in spec.shape or ()))
            found = self._outputs[name] = load_array(path, np.dtype(spec.dtype), shape)
        return found

    @cached_property
    def _outputs(self) -> dict[str, Array]:
        return {}


@dataclass(frozen=True)
class Recall:
    """The number of a write that is current again."""

    number: int


def load_entry(folder: Path) -> Write | Recall:
    """Read a manifest.

    Raises: StorageError: it is damaged, or of a newer version. FileNotFoundError: it is not there.
    """
    path = folder / _MANIFEST
    try:
        found = json.loads(path.read_bytes())
        if found["format"] > FORMAT:
            raise StorageError(f"{path} was written by a newer version of mlpipeline; update mlpipeline to read it")
        if "recalls" in found:
            return Recall(int(found["recalls"]))
        run = Run(str(found["key"]), dict(found["parts"]), int(found["n"]), str(found["written"]))
        dtype = np.dtype(str(found["ids"]))
        if dtype.kind not in "iU":
            raise ValueError(f"ids of {dtype}")
        return Write(folder, run, dtype, from_json(found["outputs"]), bool(found["replaces_all"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path, f"{type(error).__name__}: {error}") from error


def _damaged(path: Path, why: str) -> StorageError:
    return StorageError(f"{path} is damaged ({why}); delete the folder {path.parent} to go on without this write")
