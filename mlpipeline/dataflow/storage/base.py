"""Storage: what a folder and a database have in common."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Self

from mlpipeline.dataflow.outputs import Outputs
from mlpipeline.dataflow.spec import Array
from mlpipeline.dataflow.storage.ids import as_ids, check_writable, listed
from mlpipeline.dataflow.storage.names import stored_name
from mlpipeline.dataflow.storage.values import storable
from mlpipeline.errors import StorageError

_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True)
class Run:
    """One write: its key, the parts that the key was made of, how many rows, and when (ISO, UTC)."""

    key: str
    parts: dict[str, Any]
    n: int
    written: str


class Storage(ABC):
    """The outputs of a pipeline and version, a row for each observation, under its id.

    Args:
        name: of the pipeline.
        version: another version is another table.
        overwrite: whether the first write replaces all that is stored of this name and version. Until then
            `find` finds nothing.
    """

    def __init__(self, name: str, version: object | None, overwrite: bool = False) -> None:
        self.name = name
        self.version = version
        self.table = stored_name(name, version)
        self._overwrites = overwrite

    def write(self, ids: Any, outputs: Mapping[str, Array], key: str = "", parts: Mapping[str, Any] = _NOTHING) -> None:
        """Store the outputs of some observations, all or none; an id that is there already is replaced.

        Args:
            ids: int[n] or str[n], all different.
            outputs: arrays of n rows by name.
            key: what `find` finds this write by.
            parts: values for JSON that the key was made of, to explain a miss.
        Raises: StorageError: ids come twice, rows are missing, something cannot be stored.
        """
        checked = as_ids(ids)
        check_writable(checked)
        arrays = {name: storable(name, values, len(checked)) for name, values in outputs.items()}
        if not arrays:
            raise StorageError("expected at least one output to store, but got none")
        try:
            text = json.dumps(dict(parts))
        except (TypeError, ValueError) as error:
            raise StorageError(f"parts: expected values for JSON, but {error}") from None
        self._write(checked, arrays, key, text)

    def find(self, key: str, ids: Any) -> dict[str, Array] | None:
        """Return the outputs that were written under a key for the same ids in the same order, or None.

        The arrays are the caller's: changing them changes no file. After a find, `read` gives what was found.
        """
        return self._find(key, as_ids(ids)) if key and not self._overwrites else None

    def holds(self, key: str, ids: Any) -> bool:
        """Return whether `find` would find something; nothing changes."""
        return bool(key) and not self._overwrites and self._holds(key, as_ids(ids))

    def read(self, rows: Any = None, cols: Any = None, *, lookup: Any = None, missing: str = "error") -> Outputs:
        """Look up the outputs of observations.

        Args:
            rows: ids in the order that is wanted, also one id; repeats are allowed. None for all, in the order of
                their first write. "7" finds the integer id 7 as well, and 7 the id "7".
            cols: a name or names of outputs; None for all.
            lookup: the same as `rows`.
            missing: "error", or "skip" to leave out ids that are not there.
        Returns: arrays with a row for each id, dtypes and shapes as written. They are the caller's.
        Raises: StorageError: lists the ids that are not there; there is no such output; the rows do not go together.
        """
        if rows is not None and lookup is not None:
            raise StorageError("read: rows and lookup mean the same; expected one of them, but got both")
        if missing not in ("error", "skip"):
            raise StorageError(f"read: missing is 'error' or 'skip', but got {missing!r}")
        cols = _as_names(cols)
        asked = rows if lookup is None else lookup
        one = asked[0] if type(asked) is list and len(asked) == 1 else asked
        if type(one) is int or type(one) is str:
            found_one = self._read_one(one, cols)
            if found_one is not None:
                return found_one
        ids = None if asked is None else as_ids(asked)
        outputs, found = self._read(ids, cols)
        if ids is not None and missing == "error" and not found.all():
            raise StorageError(
                f"{self}: these ids are not stored: {listed(ids[~found])}; "
                "transform them first, or read with missing='skip'"
            )
        return outputs

    def renamed(self, name: str, version: object | None, overwrite: bool = False) -> Storage:
        """Return the storage of another pipeline or version in the same place; itself when they are its own."""
        if stored_name(name, version) == self.table and not overwrite:
            return self
        return self._opened_anew(name, version, overwrite)

    @abstractmethod
    def ids(self) -> Array:
        """Return the ids of all observations, int64[n] or str[n], in the order of their first write."""

    @abstractmethod
    def runs(self) -> list[Run]:
        """Return the writes, the oldest first."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def close(self) -> None:
        """Let go of files and connections."""

    @abstractmethod
    def _opened_anew(self, name: str, version: object | None, overwrite: bool) -> Storage: ...

    @abstractmethod
    def _write(self, ids: Array, outputs: dict[str, Array], key: str, parts: str) -> None: ...

    @abstractmethod
    def _find(self, key: str, ids: Array) -> dict[str, Array] | None: ...

    @abstractmethod
    def _holds(self, key: str, ids: Array) -> bool: ...

    @abstractmethod
    def _read(self, ids: Array | None, cols: Sequence[str] | None) -> tuple[Outputs, Array]:
        """Return the rows that are there, and for each asked id whether it is, bool[n]."""

    @abstractmethod
    def _read_one(self, asked: int | str, cols: Sequence[str] | None) -> Outputs | None:
        """Return one row the quick way, or None when it takes the long way to find it or to say what is wrong."""

    def __bool__(self) -> bool:
        return True  # a storage without rows is a storage

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *details: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.table})"

    def _nothing_stored(self) -> StorageError:
        return StorageError(f"{self}: nothing is stored yet; transform some data with this storage first")


def _as_names(cols: Any) -> list[str] | None:
    if cols is None:
        return None
    names = [cols] if isinstance(cols, str) else list(cols) if isinstance(cols, Iterable) else [cols]
    if not all(isinstance(name, str) for name in names):
        raise StorageError(f"read: cols are names of outputs, texts; but got {cols!r}")
    return names
