"""Archive: the file of a saved pipeline. A zip archive, although its name ends in .pkl; never a pickle.

Format 1. Entries are stored without compression and with one fixed date, so that the same content is
the same bytes and nothing in it can unfold to more than the file holds:

    README.txt              says what the file is
    pipeline.json           the pipeline; refers to the other entries by their names
    arrays/N.npy            an array in NumPy's format, never of objects
    estimators/N.skops      a scikit-learn estimator, as skops writes it, with numbers in place of addresses
    models/N.json           the configuration of a Keras model; its weights are arrays
    tensors/N.safetensors   the weights of a torch module, or a tensor
    sha256.txt              a line "digest  entry" for each of the others; tells damage, not authorship

pipeline.json is an object with

    format, written_by      1, and the version of mlpipeline
    name, version           of the pipeline; the version is a value
    set_output, columns     what `set_output` asked for, and the names of the columns that it was fitted on
    inputs                  [{"name", "shape", "dtype"}]; they are the nodes 0, 1, ...
    layers                  [{"class", "positional", "arguments"}], what each is made with, as values;
                            "container" and "metadata" where `set_output` or `fit` was called on the layer itself
    applications            [{"layer", "inputs", "names"}]: the number of a layer, the numbers of its nodes, labels
                            last, and the names or null of the nodes that come out and are numbered on
    outputs, metrics, explorers     numbers of nodes
    fitted                  null, or {"layers": [{"application", "metadata"}], "specs": [{"node", "shape", "dtype"}]}

A class or function is "module:Class", a layer of mlpipeline "mlpipeline:Whiten". Values are written by
their type, see `codec`.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import os
import re
import struct
import threading
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from mlpipeline.dataflow.spec import Array
from mlpipeline.errors import PipelineError

FORMAT = 1
DOCUMENT = "pipeline.json"
DIGESTS = "sha256.txt"
README = """This is a pipeline saved by mlpipeline (mlpipeline.dataflow). The file is a zip archive, although its name
ends in .pkl; it holds no pickle. Load it with mlpipeline.dataflow.load_pipeline(path).
"""
Part = bytes | Array
_DATE = (1980, 1, 1, 0, 0, 0)
_CHUNK = 1 << 24
_LONGEST_HEADER = 1 << 17  # NumPy itself reads up to 10,000 bytes
_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*(/[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*)*")
_BROKEN = (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, struct.error, ValueError, KeyError)


def write(path: Path, document: Mapping[str, Any], parts: Mapping[str, Part]) -> Path:
    """Write an archive aside and return where; the caller moves it into place.

    Args:
        path: where it will be. Its folder is made if it is missing.
        document: what becomes pipeline.json.
        parts: arrays and bytes by the name of their entry.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    text = json.dumps(document, allow_nan=False)
    entries: dict[str, Part] = {"README.txt": README.encode(), DOCUMENT: text.encode(), **parts}
    try:
        with aside.open("wb") as file:
            with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
                digests = [f"{_add(archive, name, part)}  {name}\n" for name, part in entries.items()]
                _add(archive, DIGESTS, "".join(digests).encode())
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        aside.unlink(missing_ok=True)
        raise
    return aside


def pack(entries: Mapping[str, bytes]) -> bytes:
    """Return entries as the bytes of a zip archive, the same for the same entries."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in entries.items():
            _add(archive, name, content)
    return buffer.getvalue()


def read(path: Path) -> tuple[dict[str, Any], dict[str, bytearray]]:
    """Read an archive.

    Args:
        path: the file.
    Returns: what pipeline.json says, and the other parts by the name of their entry.
    Raises: PipelineError: there is no file, it is damaged, newer, or something else altogether.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            _check_is_archive(path, file.read(4))
            parts = unpack(file, size, str(path))
    except OSError as error:
        raise PipelineError(f"cannot read {path}: {error.strerror or error}") from None
    if DOCUMENT not in parts:
        raise PipelineError(f"{path} is a zip archive, but not a saved pipeline: it has no {DOCUMENT}")
    document = parsed(parts[DOCUMENT], str(path))
    _check_format(path, document)
    _check_digests(path, parts)
    return document, {name: part for name, part in parts.items() if name not in (DOCUMENT, DIGESTS)}


def unpack(file: IO[bytes], size: int, where: str) -> dict[str, bytearray]:
    """Return the entries of a zip archive whose entries are all stored as they are.

    Args:
        file: the archive.
        size: its length in bytes; the entries cannot be longer together.
        where: what to call it in messages.
    Raises: PipelineError: it is damaged, or made to do harm.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            entries = archive.infolist()
            _check_entries(entries, size, where)
            return {entry.filename: _content(archive, entry) for entry in entries}
    except _BROKEN as error:
        raise PipelineError(f"{where} is damaged: {_reason(error)}; save the pipeline again") from None


def parsed(content: bytes | bytearray, where: str) -> dict[str, Any]:
    """Return a JSON object.

    Raises: PipelineError: it is none.
    """
    try:
        document = json.loads(bytes(content).decode())
    except (ValueError, RecursionError) as error:
        raise PipelineError(f"{where} is damaged: its description is no JSON ({_reason(error)})") from None
    if not isinstance(document, dict):
        raise PipelineError(f"{where} is damaged: expected a JSON object, but got {type(document).__name__}")
    return document


def as_array(content: bytearray, where: str) -> Array:
    """Return the array in an .npy entry; it uses the entry's memory.

    Raises: PipelineError: it claims more than is there, or holds objects.
    """
    file = io.BytesIO(memoryview(content)[:_LONGEST_HEADER])
    try:
        read_header = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
        shape, fortran, dtype = read_header[np.lib.format.read_magic(file)[0]](file)
        if dtype.hasobject:
            raise ValueError("it holds Python objects, which only a pickle can hold")
        if any(type(length) is not int or length < 0 for length in shape):
            raise ValueError(f"the shape {shape} is none")
        count = 1
        for length in shape:
            count *= length
        if count * dtype.itemsize != len(content) - file.tell():
            raise ValueError(f"{count} values of {dtype} were announced, but {len(content) - file.tell()} bytes came")
        flat: Array = np.ndarray((count,), dtype, content if count * dtype.itemsize else None, file.tell())
        return flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)
    except (ValueError, TypeError, KeyError, EOFError, OverflowError, MemoryError) as error:
        raise PipelineError(f"{where} is damaged: {_reason(error)}") from None


def same_bytes(one: Path, other: Path) -> bool:
    """Return whether two files hold the same."""
    if one.stat().st_size != other.stat().st_size:
        return False
    with one.open("rb") as first, other.open("rb") as second:
        while chunk := first.read(_CHUNK):
            if chunk != second.read(_CHUNK):
                return False
    return True


def npy_header(array: Array) -> bytes:
    """Return the beginning of an .npy file.

    Raises: UnicodeEncodeError: a field has a name that the format cannot hold.
    """
    header = io.BytesIO()
    described = np.lib.format.header_data_from_array_1_0(array)
    try:
        np.lib.format.write_array_header_1_0(header, described)
    except UnicodeEncodeError:
        raise
    except ValueError:  # many named fields
        np.lib.format.write_array_header_2_0(header, described)
    return header.getvalue()


def npy_bytes(array: Array) -> bytes:
    """Return a small array as an .npy file."""
    return b"".join(bytes(piece) for piece in _pieces(array))


def _add(archive: zipfile.ZipFile, name: str, part: Part) -> str:
    """Add an entry and return its digest."""
    entry = zipfile.ZipInfo(name, _DATE)
    entry.external_attr = 0o644 << 16
    entry.create_system = 3  # the same on every system
    digest = hashlib.sha256()
    large = (part.nbytes if isinstance(part, np.ndarray) else len(part)) > 1 << 30
    with archive.open(entry, "w", force_zip64=large) as file:
        for piece in _pieces(part):
            digest.update(piece)
            file.write(piece)
    return digest.hexdigest()


def _pieces(part: Part) -> Iterable[bytes | memoryview]:
    """Return the content of an entry in pieces, so that a large array is not copied as a whole."""
    if not isinstance(part, np.ndarray):
        return [part]
    flat = (part.T if part.flags.f_contiguous and not part.flags.c_contiguous else part).reshape(-1)
    step = max(1, _CHUNK // max(1, part.itemsize))
    data = (np.ascontiguousarray(flat[i : i + step]).view(np.uint8).data for i in range(0, flat.size, step))
    return itertools.chain([npy_header(part)], data if part.itemsize else ())


def _check_is_archive(path: Path, head: bytes) -> None:
    if head[:2] == b"PK":
        return
    if head[:1] == b"\x80" and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        raise PipelineError(
            f"{path} is a pickle; mlpipeline never reads one, since reading it runs whatever it says. "
            "Load it with the program that wrote it, and save it with pipeline.save"
        )
    raise PipelineError(f"{path} is not a saved pipeline: expected the zip archive that pipeline.save writes")


def _check_entries(entries: Iterable[zipfile.ZipInfo], size: int, where: str) -> None:
    seen: set[str] = set()
    for entry in entries:
        name = entry.filename
        if not _NAME.fullmatch(name):
            raise PipelineError(f"{where} is damaged or made to do harm: it has an entry called {name!r:.80}")
        if name in seen:
            raise PipelineError(f"{where} is damaged or made to do harm: the entry {name} is there twice")
        seen.add(name)
        if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
            raise PipelineError(f"{where} is not as pipeline.save wrote it: the entry {name} is compressed")
        size -= entry.file_size
        if size < 0:
            raise PipelineError(f"{where} is damaged or made to do harm: its entries claim more than it holds")


def _content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytearray:
    content = bytearray(entry.file_size)
    view = memoryview(content)
    with archive.open(entry) as file:
        done = 0
        while piece := file.read(_CHUNK):
            view[done : done + len(piece)] = piece
            done += len(piece)
    if done != entry.file_size:
        raise EOFError(f"the entry {entry.filename} is cut off")
    return content


def _check_format(path: Path, document: Mapping[str, Any]) -> None:
    found = document.get("format")
    if type(found) is not int or found < 1:
        raise PipelineError(f"{path} is damaged: expected the number of its format, but got {found!r:.40}")
    if found > FORMAT:
        raise PipelineError(
            f"{path} was written by {document.get('written_by')!s:.40} in format {found}; this version reads up to "
            f"format {FORMAT}. Update it: pip install --upgrade mlpipeline"
        )


def _check_digests(path: Path, parts: Mapping[str, bytearray]) -> None:
    lines = bytes(parts.get(DIGESTS, b"")).decode(errors="replace").splitlines()
    expected = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    for name in sorted({*expected, *parts} - {DIGESTS}):
        if name not in parts:
            raise PipelineError(f"{path} is damaged: the entry {name} is missing; save the pipeline again")
        if hashlib.sha256(parts[name]).hexdigest() != expected.get(name):
            raise PipelineError(f"{path} is damaged: the entry {name} is not what was saved; save the pipeline again")


def _reason(error: BaseException) -> str:
    return f"{error}"[:200] or type(error).__name__
