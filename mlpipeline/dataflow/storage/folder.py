"""A storage in a folder: each write is a folder of npy files that is moved into place whole.

    <folder>/<name-version>/writes/<number>-<token>/   manifest.json, ids.npy, 0.npy, 1.npy, ...
    <folder>/<name-version>/aside/                     a write that is not there yet
    <folder>/<name-version>/lock                       held while a process writes

A later write wins for the ids that it names. Replaced rows stay in their files, so that `find` can make
an earlier write current again; `overwrite=True`, or deleting the folder, frees the space.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from mlpipeline.dataflow.outputs import Outputs
from mlpipeline.dataflow.spec import Array
from mlpipeline.dataflow.storage.base import Run, Storage
from mlpipeline.dataflow.storage.folder_files import Recall, Write, load_entry, save_recall, save_write
from mlpipeline.dataflow.storage.folder_index import FolderIndex, names_of
from mlpipeline.dataflow.storage.ids import check_kind, in_kind, kind_of, one_in_kind
from mlpipeline.dataflow.storage.values import Piece, assemble, chosen, empty
from mlpipeline.errors import StorageError

T = TypeVar("T")
_SETTLED_NS = 50_000_000  # two changes within a tick of the file system's clock leave the same time
_NAME = re.compile("[0-9]{12}-[0-9a-f]{8}")  # the token: a folder that was deleted and made anew has other names
_LOCK_SECONDS = 600
_ATTEMPTS = 3


@dataclass(frozen=True)
class _Seen:
    """What was found in the folder of writes, and the time and number of links that it had then."""

    stamp: tuple[int, int]
    is_settled: bool
    names: set[str]
    entries: Mapping[str, Write | Recall]
    index: FolderIndex


_NOTHING_SEEN = _Seen((0, 0), False, set(), {}, FolderIndex({}))


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
        self.folder = Path(folder).absolute() / self.table
        self._writes = self.folder / "writes"
        self._writes_text = str(self._writes)
        self._seen = _NOTHING_SEEN

    def ids(self) -> Array:
        return self._retrying(lambda index: index.positions.ids.copy())

    def runs(self) -> list[Run]:
        return self._retrying(lambda index: [write.run for write in index.writes])

    def close(self) -> None:
        """Forget the maps; arrays that were handed out stay valid."""
        self._seen = _NOTHING_SEEN

    def __len__(self) -> int:
        return self._retrying(lambda index: len(index.positions.ids))

    def _write(self, ids: Array, outputs: dict[str, Array], key: str, parts: str) -> None:
        with self._alone() as aside:
            if len(ids) and not self._overwrites:
                check_kind(self._current_index().kind, kind_of(ids))
            save_write(aside, ids, outputs, key, parts, replaces_all=self._overwrites)
            self._commit(aside)
            self._overwrites = False

    def _find(self, key: str, ids: Array) -> dict[str, Array] | None:
        return self._retrying(lambda index: self._found(index, key, ids))

    def _holds(self, key: str, ids: Array) -> bool:
        return self._retrying(lambda index: index.latest_with(key, ids) is not None)

    def _found(self, index: FolderIndex, key: str, ids: Array) -> dict[str, Array] | None:
        at = index.latest_with(key, ids)
        if at is None:
            return None
        outputs = {name: index.writes[at].output(name) for name in index.writes[at].specs}
        return outputs if index.is_current(at) or self._recall(index.numbers[at]) else None

    def _recall(self, number: int) -> bool:
        """Make an earlier write current again; return whether it is still there."""
        with self._alone() as aside:
            if number not in self._current_index().numbers:
                return False
            earlier = [name for name, each in self._seen.entries.items() if each == Recall(number)]
            save_recall(aside, number)
            self._commit(aside)
            for name in earlier:
                shutil.rmtree(self._writes / name, ignore_errors=True)
        return True

    def _read(self, ids: Array | None, cols: Any) -> tuple[Outputs, Array]:
        return self._retrying(lambda index: self._rows(index, ids, cols))

    def _rows(self, index: FolderIndex, ids: Array | None, cols: Any) -> tuple[Outputs, Array]:
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

    def _from_one(self, index: FolderIndex, write: Write, at: Array | None, cols: Any) -> Outputs:
        names = chosen(cols, [write.specs], names_of(index.writes))
        return Outputs({name: write.output(name) if at is None else write.output(name)[at] for name in names})

    def _from_several(self, index: FolderIndex, at: Array, cols: Any) -> Outputs:
        owners, rows = index.owners[at], index.rows[at]
        used = np.unique(owners).tolist()
        names = chosen(cols, [index.writes[owner].specs for owner in used], names_of(index.writes))
        pieces = []
        for owner in used:
            places = np.flatnonzero(owners == owner)
            write = index.writes[owner]
            pieces.append(Piece(places, {name: write.output(name)[rows[places]] for name in names}))
        return assemble(names, len(at), pieces)

    def _read_one(self, asked: int | str, cols: Any) -> Outputs | None:
        try:
            index = self._current_index()
            wanted = one_in_kind(asked, index.kind) if index.kind else None
            at = -1 if wanted is None else index.positions.locate_one(wanted)
            if at < 0:
                return None
            write = index.only_write
            if write is None:
                write, at = index.writes[index.owners[at]], int(index.rows[at])
            names = write.specs if cols is None else (cols,) if isinstance(cols, str) else cols
            return Outputs({name: write.output(name)[at : at + 1].copy() for name in names})
        except (KeyError, FileNotFoundError):
            return None

    def _retrying(self, work: Callable[[FolderIndex], T]) -> T:
        """Work on what the folder holds; again when another process replaced its files meanwhile."""
        for attempt in range(_ATTEMPTS):
            try:
                return work(self._current_index())
            except FileNotFoundError as error:
                if attempt == _ATTEMPTS - 1:
                    raise StorageError(
                        f"{error.filename} is missing; delete the folder {Path(error.filename).parent} "
                        "to go on without this write"
                    ) from error
                self.close()
        raise AssertionError  # the last attempt returns or raises

    def _current_index(self) -> FolderIndex:
        """Return the index, made anew when the folder's time shows a change."""
        try:
            status = os.stat(self._writes_text)
        except FileNotFoundError:
            self.close()
            return self._seen.index
        seen, stamp = self._seen, (status.st_mtime_ns, status.st_nlink)
        if stamp != seen.stamp or not seen.is_settled:
            seen = self._seen = self._looked_again(seen, stamp)
        return seen.index

    def _looked_again(self, seen: _Seen, stamp: tuple[int, int]) -> _Seen:
        is_settled = time.time_ns() - stamp[0] > _SETTLED_NS
        names = _names_in(self._writes)
        if names == seen.names:
            return replace(seen, stamp=stamp, is_settled=is_settled)
        entries: dict[str, Write | Recall] = {}
        for name in sorted(names, reverse=True):
            entry = seen.entries.get(name) or self._loaded(name)
            if entry:
                entries[name] = entry
            if isinstance(entry, Write) and entry.replaces_all:
                break  # what is older does not count, be it damaged
        index = FolderIndex({_number(name): each for name, each in entries.items()})
        return _Seen(stamp, is_settled, names, entries, index)

    def _loaded(self, name: str) -> Write | Recall | None:
        try:
            return load_entry(self._writes / name)
        except FileNotFoundError:
            if (self._writes / name).exists():
                raise
            return None  # another process has deleted it meanwhile

    @contextmanager
    def _alone(self) -> Iterator[Path]:
        """Hold the folder's lock; give the path to write to, which a killed process may have left filled."""
        from filelock import FileLock, Timeout

        aside = self.folder / "aside"
        try:
            self._writes.mkdir(parents=True, exist_ok=True)
            with FileLock(self.folder / "lock", timeout=_LOCK_SECONDS):
                shutil.rmtree(aside, ignore_errors=True)
                try:
                    yield aside
                finally:
                    shutil.rmtree(aside, ignore_errors=True)
        except Timeout:
            raise StorageError(
                f"{self.folder / 'lock'} was held for {_LOCK_SECONDS} s; does another process hang while it writes?"
            ) from None
        except OSError as error:
            raise StorageError(f"cannot write to {self.folder}: {error}") from error

    def _commit(self, aside: Path) -> None:
        """Move a write into place, which is the moment at which it counts; then delete what it replaced."""
        taken = _names_in(self._writes)
        number = max(map(_number, taken), default=0) + 1
        os.rename(aside, self._writes / f"{number:012d}-{secrets.token_hex(4)}")
        first = self._current_index().first
        for name in taken:
            if _number(name) < first:
                shutil.rmtree(self._writes / name, ignore_errors=True)


def _names_in(writes: Path) -> set[str]:
    return {name for name in os.listdir(writes) if _NAME.fullmatch(name)}


def _number(name: str) -> int:
    return int(name[:12])
