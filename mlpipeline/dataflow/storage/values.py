"""What is stored of outputs: arrays whose bytes alone say what they hold, and rows put together again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlpipeline.dataflow.outputs import Outputs
from mlpipeline.dataflow.spec import Array, Spec, shape_text
from mlpipeline.errors import StorageError, did_you_mean

Specs = dict[str, Spec]


def storable(name: str, values: Any, n: int) -> Array:
    """Return an output as an array of n rows of numbers, truth values, times, texts or bytes.

    Python's strings in an array of objects become an array of text. This is what a later `find` gives.

    Args:
        name: of the output, for messages.
        values: an array, or what makes one.
        n: observations.
    Raises: StorageError: it has another number of rows, or holds objects.
    """
    array = np.asarray(values)
    if array.ndim == 0 or len(array) != n:
        raise StorageError(f"output {name!r}: expected {n} rows, one for each id, but got shape {array.shape}")
    if array.dtype.kind in "OT":
        return _as_texts(name, array)
    if array.dtype.kind not in "biufcmMSU":
        raise StorageError(f"output {name!r}: {array.dtype} cannot be stored; cast it to a plain dtype first")
    return array


def _as_texts(name: str, array: Array) -> Array:
    values = array.ravel().tolist()
    odd = [value for value in values if not isinstance(value, str) or value.endswith("\0")]
    if odd and odd[0] is None and len(odd) < len(values):
        raise StorageError(f"output {name!r}: expected texts, but some are None; fill in what is missing first")
    if odd:
        raise StorageError(
            f"output {name!r}: objects are not stored, but for strings without NUL at their end; got {odd[0]!r} of "
            f"type {type(odd[0]).__name__}. Cast to numbers or strings first"
        )
    return np.array(array.tolist(), dtype=np.str_).reshape(array.shape)


def specs_of(outputs: Mapping[str, Array]) -> Specs:
    """Return shape and dtype of the rows of each output."""
    return {name: Spec.of(array) for name, array in outputs.items()}


def to_json(specs: Specs) -> list[dict[str, Any]]:
    """Return specs as values for JSON."""
    return [{"name": name, "dtype": dtype_of(spec).str, "shape": list(shape_of(spec))} for name, spec in specs.items()]


def from_json(values: Iterable[Mapping[str, Any]]) -> Specs:
    """Return the specs that `to_json` wrote; a dtype that holds objects is refused.

    Raises: KeyError, TypeError, ValueError: they are something else.
    """
    specs = {}
    for value in values:
        dtype = np.dtype(str(value["dtype"]))
        if dtype.kind not in "biufcmMSU":
            raise ValueError(f"{dtype} is never stored")
        specs[str(value["name"])] = Spec(tuple(int(length) for length in value["shape"]), dtype)
    return specs


def shape_of(spec: Spec) -> tuple[int, ...]:
    """Return the shape of a stored row."""
    return tuple(length or 0 for length in spec.shape or ())


def dtype_of(spec: Spec) -> np.dtype[Any]:
    """Return the dtype of stored values."""
    return np.dtype(spec.dtype)


def row_bytes(spec: Spec) -> int:
    """Return how many bytes a row has."""
    return (spec.size or 0) * dtype_of(spec).itemsize


def as_blobs(rows: Array) -> list[bytes]:
    """Return the bytes of each row."""
    width = row_bytes(Spec.of(rows))
    if not width:
        return [b""] * len(rows)
    flat = np.ascontiguousarray(rows).reshape(len(rows), -1)
    blobs: Any = flat.view(np.dtype((np.void, width))).ravel().tolist()
    return list(blobs)


def from_blobs(blobs: Sequence[bytes], spec: Spec) -> Array:
    """Return rows from the bytes of each.

    Raises: StorageError: the bytes are too many or too few.
    """
    shape = (len(blobs), *shape_of(spec))
    content = bytearray().join(blob or b"" for blob in blobs)
    if len(content) != len(blobs) * row_bytes(spec):
        raise StorageError(f"the database is damaged: rows of {len(content)} bytes in all are no {spec}")
    if not content:
        return np.zeros(shape, spec.dtype)
    return np.frombuffer(content, spec.dtype).reshape(shape)


def empty(specs: Specs, names: Iterable[str]) -> Outputs:
    """Return outputs without rows, with their dtypes and shapes."""
    return Outputs({name: np.empty((0, *shape_of(specs[name])), specs[name].dtype) for name in names})


def chosen(cols: Sequence[str] | None, specs: Sequence[Specs], known: Iterable[str]) -> list[str]:
    """Return the names of the outputs to read.

    Args:
        cols: names, or None for all.
        specs: of each write that the rows come from.
        known: the outputs of all writes.
    Raises: StorageError: there is no such output, or some of the rows lack it.
    """
    everywhere = [name for name in specs[-1] if all(name in each for each in specs)]
    if cols is None:
        if all(len(each) == len(everywhere) for each in specs):
            return everywhere
        raise StorageError(
            "these observations were written with different outputs: "
            + "; ".join(sorted({", ".join(each) for each in specs}))
            + f". Read those that all have, cols={everywhere}, or fewer rows"
        )
    for name in cols:
        if name not in set(known):
            hint = did_you_mean(name, known)
            raise StorageError(f"there is no output {name!r}{hint}; expected some of {', '.join(map(repr, known))}")
        if name not in everywhere:
            raise StorageError(f"some of these observations were written without the output {name!r}; read fewer rows")
    return list(cols)


@dataclass(frozen=True)
class Piece:
    """Rows that come from one write: the values of each output, and their places in the result, int[k]."""

    at: Array
    outputs: Mapping[str, Array]


def assemble(names: Iterable[str], n: int, pieces: Sequence[Piece]) -> Outputs:
    """Return the rows of several writes as one array for each output; dtypes that differ are promoted.

    Raises: StorageError: their shapes or kinds do not go together.
    """
    return Outputs({name: _joined(name, n, [(piece.at, piece.outputs[name]) for piece in pieces]) for name in names})


def _joined(name: str, n: int, parts: Sequence[tuple[Array, Array]]) -> Array:
    shapes = {values.shape[1:] for _, values in parts}
    if len(shapes) > 1:
        raise StorageError(
            f"output {name!r}: these observations were written with different shapes, "
            f"{' and '.join(shape_text(shape) for shape in sorted(shapes))}; read those of one shape at a time"
        )
    try:
        dtype = np.result_type(*{values.dtype for _, values in parts})
    except TypeError:
        dtypes = ", ".join(sorted({str(values.dtype) for _, values in parts}))
        raise StorageError(
            f"output {name!r}: these observations were written with dtypes that do not go together, {dtypes}; "
            "read those of one dtype at a time"
        ) from None
    joined = np.empty((n, *shapes.pop()), dtype)
    for at, values in parts:
        joined[at] = values
    return joined
