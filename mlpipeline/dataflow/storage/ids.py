"""Ids of observations: integers or strings, and where they stand."""

from __future__ import annotations

from functools import cached_property
from hashlib import blake2b
from typing import Any

import numpy as np

from mlpipeline.dataflow.spec import Array
from mlpipeline.errors import StorageError

INTEGER, TEXT = "integer", "text"
_SHOWN = 10
_LOWEST, _HIGHEST = -(2**63), 2**63 - 1


def as_ids(values: Any) -> Array:
    """Return ids as int64[n] or str[n]; one id as an array of one; integers among strings as strings.

    Raises: StorageError: they are neither integers nor strings, or have two axes.
    """
    if isinstance(values, str):
        return _from_objects([values])
    array = np.asarray(values)
    if array.ndim == 0:
        array = array.reshape(1)
    if array.ndim != 1:
        raise StorageError(f"ids: expected a list of integers or strings, but got an array of shape {array.shape}")
    if array.size == 0:
        return array if array.dtype.kind == "U" else np.empty(0, np.int64)
    if array.dtype.kind in "OT":
        return _from_objects(list(values) if isinstance(values, list | tuple) else array.tolist())
    if array.dtype.kind == "U" and not isinstance(values, np.ndarray):
        return _from_objects(list(values))  # an array of texts has lost what ended in NUL
    if array.dtype.kind == "i" or (array.dtype.kind == "u" and int(array.max()) <= _HIGHEST):
        return array.astype(np.int64, copy=False)
    if array.dtype.kind == "U":
        return array
    raise StorageError(f"ids: expected integers of 64 bits or strings, but got {array.dtype}")


def _from_objects(values: list[Any]) -> Array:
    odd = [value for value in values if not isinstance(value, str | int | np.integer) or isinstance(value, bool)]
    if odd:
        raise StorageError(f"ids: expected integers or strings, but got {odd[0]!r} of type {type(odd[0]).__name__}")
    if any(isinstance(value, str) for value in values):
        texts = [str(value) for value in values]
        if any(text.endswith("\0") for text in texts):
            raise StorageError("ids: a string ends with the character NUL, which NumPy drops")
        return np.array(texts, dtype=np.str_)
    wide = [value for value in values if not _LOWEST <= value <= _HIGHEST]
    if wide:
        raise StorageError(f"ids: expected integers of 64 bits, but got {wide[0]}")
    return np.array(values, dtype=np.int64)


def kind_of(ids: Array) -> str:
    """Return whether ids are integers or texts."""
    return INTEGER if ids.dtype.kind == "i" else TEXT


def check_writable(ids: Array) -> None:
    """Refuse ids that cannot name one row each.

    Raises: StorageError: lists ids that come twice; names a text that a database cannot hold.
    """
    if kind_of(ids) == INTEGER:
        if bool(np.all(ids[1:] > ids[:-1])):
            return
    else:
        texts = ids.tolist()
        odd = None if _is_storable("".join(texts)) else next(text for text in texts if not _is_storable(text))
        if odd is not None:
            raise StorageError(f"ids: {odd!r} has a character that is no text (NUL, or half of a pair)")
        if len(set(texts)) == len(texts):
            return
    unique, counts = np.unique(ids, return_counts=True)
    twice = unique[counts > 1]
    if len(twice):
        raise StorageError(f"ids: each must come once in a write, but {listed(twice)} came more than once")


def check_kind(stored: str | None, given: str) -> None:
    """Refuse integers beside texts, since 7 and "7" mean the same observation.

    Raises: StorageError.
    """
    if stored not in (None, given):
        raise StorageError(
            f"the stored ids are {stored}s, but these are {given}s; use ids of one kind, another version, "
            "or overwrite=True"
        )


def _is_storable(text: str) -> bool:
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


def listed(ids: Array) -> str:
    """Return the first ten ids, and how many there are."""
    shown = ", ".join(map(repr, ids[:_SHOWN].tolist()))
    return shown if len(ids) <= _SHOWN else f"{shown}, ... ({len(ids)} in all)"


def in_kind(asked: Array, kind: str) -> tuple[Array, Array]:
    """Return asked ids as they are stored: "7" finds the integer 7, and 7 finds the string "7".

    Returns: ids of that kind; and for each whether it can be one ("07" is never an integer).
    """
    if kind_of(asked) == kind:
        if kind == INTEGER or _is_storable("".join(asked.tolist())):
            return asked, np.ones(len(asked), bool)
        return asked, np.array([_is_storable(text) for text in asked.tolist()], bool)
    found = [one_in_kind(each, kind) for each in asked.tolist()]
    can_be = np.array([each is not None for each in found], bool)
    if kind == TEXT:
        return asked.astype(np.str_), can_be
    return np.array([0 if each is None else each for each in found], np.int64), can_be


def one_in_kind(asked: int | str, kind: str) -> int | str | None:
    """Return one asked id as it is stored, or None when it cannot be stored under that kind."""
    if kind == TEXT:
        text = str(asked)
        return text if _is_storable(text) else None
    if isinstance(asked, str):
        try:
            number = int(asked)
        except ValueError:
            return None
        if str(number) != asked:
            return None
        asked = number
    return asked if _LOWEST <= asked <= _HIGHEST else None


def digest_of(ids: Array) -> str:
    """Return a text that two lists of ids share only when they are the same in the same order."""
    kind = kind_of(ids)
    content = ids.astype("<i8").tobytes() if kind == INTEGER else "\0".join(ids.tolist()).encode()
    return f"{kind}-{len(ids)}-{blake2b(content, digest_size=16).hexdigest()}"


def are_same(ids: Array, others: Array) -> bool:
    """Return whether two lists of ids are the same in the same order; without ids there is no kind."""
    return len(ids) == len(others) and (
        len(ids) == 0 or (kind_of(ids) == kind_of(others) and bool((ids == others).all()))
    )


def numbered(ids: Array) -> tuple[Array, Array]:
    """Return each id once, in the order of first appearance, and for each given id its position among these."""
    unique, firsts, inverse = np.unique(ids, return_index=True, return_inverse=True)
    order = np.argsort(firsts)
    position = np.empty_like(order)
    position[order] = np.arange(len(order))
    return unique[order], position[inverse]


class Positions:
    """Where each id stands in an array of ids that are all different.

    Args:
        ids: int64[n] or str[n].
    """

    def __init__(self, ids: Array) -> None:
        self.ids = ids
        self.kind = kind_of(ids)
        steps_by_one = self.kind == INTEGER and len(ids) > 0 and bool(np.all(ids[1:] - ids[:-1] == 1))
        self._first = int(ids[0]) if steps_by_one else None

    def locate(self, asked: Array) -> Array:
        """Return the position of each asked id of the same kind, int[n]; -1 where it is not there."""
        if self._first is not None:
            at = asked - self._first
            return np.where((asked >= self._first) & (asked < self._first + len(self.ids)), at, -1)
        if self.kind == TEXT:
            return np.fromiter((self._by_text.get(text, -1) for text in asked.tolist()), np.int64, len(asked))
        if not len(self.ids):
            return np.full(len(asked), -1)
        ordered, order = self._ordered
        at = np.minimum(np.searchsorted(ordered, asked), len(ordered) - 1)
        return np.where(ordered[at] == asked, order[at], -1)

    def locate_one(self, asked: int | str) -> int:
        """Return the position of one id of the same kind, or -1."""
        if isinstance(asked, str):
            return self._by_text.get(asked, -1)
        if self._first is not None:
            return asked - self._first if 0 <= asked - self._first < len(self.ids) else -1
        return int(self.locate(np.array([asked]))[0])

    @cached_property
    def _by_text(self) -> dict[str, int]:
        return {text: at for at, text in enumerate(self.ids.tolist())}

    @cached_property
    def _ordered(self) -> tuple[Array, Array]:
        order = np.argsort(self.ids, kind="stable")
        return self.ids[order], order
