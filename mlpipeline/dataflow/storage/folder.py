"""A storage in a folder: each write is a folder of npy files that is moved into place whole.

    <folder>/<name-version>/writes/<number>-<token>/   manifest.json, ids.npy, 0.npy, 1.npy, ...
    <folder>/<name-version>/aside/                     what is not there yet, or not any more
    <folder>/<name-version>/lock                       held while a process writes

A later write wins for the ids that it names. Replaced rows stay in their files for a while, so that `find` can
make an earlier write current again. Now and then small writes are put together, and what is replaced is deleted;
each step leaves a folder that reads the same, so that a kill does no harm.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from json import loads
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from mlpipeline.dataflow.outputs import Outputs
from mlpipeline.dataflow.spec import Array
from mlpipeline.dataflow.storage.base import Run, Storage
from mlpipeline.dataflow.storage.folder_entries import Entries
from mlpipeline.dataflow.storage.folder_files import Heading, Write, save_pack, save_recall
from mlpipeline.dataflow.storage.folder_index import FolderIndex, names_of
from mlpipeline.dataflow.storage.ids import check_kind, in_kind, kind_of, one_in_kind
from mlpipeline.dataflow.storage.values import Piece, assemble, chosen, empty
from mlpipeline.errors import StorageError

T = TypeVar("T")
_ATTEMPTS = 3


class FolderStorage(Storage):
    """The outputs of a pipeline and version in npy files, read through memory maps.

    A killed process leaves all or nothing of its write. Data is not synced: after a power cut the last writes
    may be missing or damaged, and reading a damaged one is an error that names its file.

    Args:
        folder: may hold many pipelines and versions; made when something is first written.
        name: of the pipeline.
        version: of the pipeline.
        overwrite: whether the first write replaces all that is stored of this name and version.
    """

    def __init__(self, folder: str | Path, name: str, version: object | None, overwrite: bool = False) -> None:
        super().__init__(name, version, overwrite)
        self._root = Path(folder).absolute()
        self.folder = self._root / self.table
        self._entries = Entries(self.folder)

    def ids(self) -> Array:
        return self._retrying(lambda index: index.positions.ids.copy())

    def runs(self) -> list[Run]:
        return self._retrying(lambda index: [write.run for write in index.writes])

    def close(self) -> None:
        """Forget the maps; arrays that were handed out stay valid."""
        self._entries.forget()

    def __len__(self) -> int:
        return self._retrying(lambda index: len(index.positions.ids))

    def __reduce__(self) -> tuple[Any, ...]:
        return FolderStorage, (self._root, self.name, self.version, self._overwrites)

    def _opened_anew(self, name: str, version: object | None, overwrite: bool) -> FolderStorage:
        return FolderStorage(self._root, name, version, overwrite)

    def _write(self, ids: Array, outputs: dict[str, Array], key: str, parts: str) -> None:
        entries = self._entries
        with entries.alone() as aside:
            if len(ids) and not self._overwrites:
                check_kind(entries.index().kind, kind_of(ids))
            number = entries.next_number()
            run = Run(key, loads(parts), len(ids), datetime.now(UTC).isoformat())
            save_pack(aside, [Heading(number, run, self._overwrites)], ids, outputs)
            entries.commit(aside, number)
            if self._overwrites:
                entries.delete_before(aside, number)
            self._overwrites = False
            entries.tidy(aside, number)

    def _find(self, key: str, ids: Array) -> dict[str, Array] | None:
        return self._retrying(lambda index: self._found(index, key, ids))

    def _holds(self, key: str, ids: Array) -> bool:
        return self._retrying(lambda index: index.latest_with(key, ids) is not None)

    def _found(self, index: FolderIndex, key: str, ids: Array) -> dict[str, Array] | None:
        at = index.latest_with(key, ids)
        if at is None:
            return None
        write = index.writes[at]
        outputs = {name: _own_rows(write, name) for name in write.specs}
        return outputs if index.is_current(at) or self._recall(write.number) else None

    def _recall(self, recalled: int) -> bool:
        """Make an earlier write current again; return whether it is still there."""
        entries = self._entries
        with entries.alone() as aside:
            if not entries.index().holds(recalled):
                return False
            number = entries.next_number()
            save_recall(aside, recalled)
            entries.commit(aside, number)
            entries.delete_recalls(aside, number, recalled)
            entries.tidy(aside, number)
        return True

    def _read(self, ids: Array | None, cols: Sequence[str] | None) -> tuple[Outputs, Array]:
        return self._retrying(lambda index: self._rows(index, ids, cols))

    def _rows(self, index: FolderIndex, ids: Array | None, cols: Sequence[str] | None) -> tuple[Outputs, Array]:
        if not index.writes:
            raise self._nothing_stored()
        if ids is None:
            found = np.ones(len(index.positions.ids), bool)
            at = np.arange(len(found))
        else:
            asked, can_be = in_kind(ids, index.kind or kind_of(ids))
            at = np.where(can_be, index.positions.locate(asked), -1) if index.kind else np.full(len(ids), -1)
            found = at >= 0
            at = at[found]
        if not len(at):
            last = index.writes[-1].specs
            return empty(last, chosen(cols, [last], names_of(index.writes))), found
        if index.only_write:
            return self._from_one(index, index.only_write, None if ids is None else at, cols), found
        return self._from_several(index, at, cols), found

    def _from_one(self, index: FolderIndex, write: Write, at: Array | None, cols: Sequence[str] | None) -> Outputs:
        names = chosen(cols, [write.specs], names_of(index.writes))
        if at is None:
            return Outputs({name: _own_rows(write, name) for name in names})
        return Outputs({name: self._entries.rows(write, name)[at] for name in names})

    def _from_several(self, index: FolderIndex, at: Array, cols: Sequence[str] | None) -> Outputs:
        owners, rows = index.owners[at], index.rows[at]
        used = np.unique(owners).tolist()
        names = chosen(cols, [index.writes[owner].specs for owner in used], names_of(index.writes))
        pieces = []
        for owner in used:
            places = np.flatnonzero(owners == owner)
            write = index.writes[owner]
            pieces.append(Piece(places, {name: self._entries.rows(write, name)[rows[places]] for name in names}))
        return assemble(names, len(at), pieces)

    def _read_one(self, asked: int | str, cols: Sequence[str] | None) -> Outputs | None:
        try:
            index = self._entries.index()
            wanted = one_in_kind(asked, index.kind) if index.kind else None
            at = -1 if wanted is None else index.positions.locate_one(wanted)
            if at < 0:
                return None
            write = index.only_write
            if write is None:
                write, at = index.writes[index.owners[at]], int(index.rows[at])
            names = write.specs if cols is None else cols
            return Outputs({name: self._entries.rows(write, name)[at : at + 1].copy() for name in names})
        except (KeyError, OSError):
            return None

    def _retrying(self, work: Callable[[FolderIndex], T]) -> T:
        """Work on what the folder holds; again when another process replaced its files meanwhile."""
        for attempt in range(_ATTEMPTS):
            try:
                return work(self._entries.index())
            except FileNotFoundError as error:
                if attempt == _ATTEMPTS - 1:
                    raise StorageError(
                        f"{error.filename} is missing; delete the folder {Path(error.filename).parent} "
                        "to go on without this write"
                    ) from error
                self.close()
            except OSError as error:
                raise StorageError(f"cannot read {self.folder}: {error}") from error
        raise AssertionError  # the last attempt returns or raises


def _own_rows(write: Write, name: str) -> Array:
    """Return rows that the caller may change without changing the file."""
    return write.rows(write.pack.output(name, "c"))
