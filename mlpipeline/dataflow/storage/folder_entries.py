"""The packs, recalls and orders in a folder: looked at by many, changed by one process at a time."""

from __future__ import annotations

import logging
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from mlpipeline.dataflow.spec import Array
from mlpipeline.dataflow.storage.folder_files import (
    Order,
    Pack,
    Recall,
    Write,
    load_entry,
    save_order,
    save_pack,
)
from mlpipeline.dataflow.storage.folder_index import FolderIndex
from mlpipeline.dataflow.storage.folder_tidying import merged, plan_tidying
from mlpipeline.errors import StorageError

Entry = Pack | Recall | Order
_LOG = logging.getLogger(__name__)
_SETTLED_NS = 50_000_000  # two changes within a tick of the file system's clock leave the same time
_NAME = re.compile("[0-9]{12}-[0-9a-f]{8}")  # the token: a folder that was deleted and made anew has other names
_LOCK_SECONDS = 600
_KEPT_ARRAYS = 128  # each may hold a file descriptor
_TIDIED_EVERY = 32  # writes


@dataclass(frozen=True)
class _Seen:
    """What was found in the folder of writes, and the time and number of links that it had then."""

    stamp: tuple[int, int]
    is_settled: bool
    names: set[str]
    entries: Mapping[str, Entry]
    index: FolderIndex


_NOTHING_SEEN = _Seen((0, 0), False, set(), {}, FolderIndex([]))


class Entries:
    """The entries of a folder. What changes them holds the lock: it stands inside `alone`.

    Args:
        folder: of one name and version; made when something is first written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writes = folder / "writes"
        self._writes_text = str(self._writes)
        self._seen = _NOTHING_SEEN
        self._array = lru_cache(_KEPT_ARRAYS)(Pack.output)
        self._pruned_to = 0  # ids that there were when it was last looked for replaced writes

    def rows(self, write: Write, name: str) -> Array:
        """Return the rows of an output, read-only; they are kept for the next time."""
        return write.rows(self._array(write.pack, name))

    def forget(self) -> None:
        """Let go of all files."""
        self._seen = _NOTHING_SEEN
        self._array.cache_clear()

    def index(self) -> FolderIndex:
        """Return what the folder holds, looked at anew when the folder's time shows a change."""
        return self._look().index

    def _look(self) -> _Seen:
        try:
            status = os.stat(self._writes_text)
        except FileNotFoundError:
            self.forget()
            return _NOTHING_SEEN
        seen, stamp = self._seen, (status.st_mtime_ns, status.st_nlink)
        if stamp != seen.stamp or not seen.is_settled:
            seen = self._seen = self._looked_again(seen, stamp)
        return seen

    def _looked_again(self, seen: _Seen, stamp: tuple[int, int]) -> _Seen:
        is_settled = time.time_ns() - stamp[0] > _SETTLED_NS
        names, before = _names_in(self._writes), seen.names
        if names == before:
            return replace(seen, stamp=stamp, is_settled=is_settled)
        entries = seen.entries
        while names != before:  # or what another process moves meanwhile would be missed
            entries = self._loaded(names, entries)
            names, before = _names_in(self._writes), names
        if not seen.names <= names:
            self._array.cache_clear()  # deleted files take space as long as they are open
        return _Seen(stamp, is_settled, names, entries, FolderIndex(entries.values()))

    def _loaded(self, names: set[str], known: Mapping[str, Entry]) -> dict[str, Entry]:
        """Return the entries since the last write that replaced everything; what is older may be damaged."""
        entries: dict[str, Entry] = {}
        first = 0
        for name in sorted(names, reverse=True):
            if _number(name) < first:
                break
            entry = known.get(name) or self._load(name)
            if entry:
                entries[name] = entry
            if isinstance(entry, Pack):
                first = max(first, entry.first)
        return entries

    def _load(self, name: str) -> Entry | None:
        try:
            return load_entry(self._writes / name, _number(name))
        except FileNotFoundError:
            if (self._writes / name).exists():
                raise
            return None  # another process has deleted it meanwhile

    @contextmanager
    def alone(self) -> Iterator[Path]:
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

    def next_number(self) -> int:
        """Return the number of the next write."""
        return max(map(_number, _names_in(self._writes)), default=0) + 1

    def commit(self, aside: Path, number: int) -> None:
        """Move files into place, which is the moment at which they count."""
        os.rename(aside, self._writes / f"{number:012d}-{secrets.token_hex(4)}")

    def delete_before(self, aside: Path, number: int) -> None:
        """Delete all that is older than a write that replaces everything."""
        self._delete(aside, (name for name in _names_in(self._writes) if _number(name) < number))

    def delete_recalls(self, aside: Path, before: int, recalled: int) -> None:
        """Delete the recalls of a write that are older than its last."""
        entries = self._seen.entries.items()
        recalls = [(name, each) for name, each in entries if isinstance(each, Recall)]
        self._delete(aside, [name for name, each in recalls if each.recalled == recalled and each.number < before])

    def _delete(self, aside: Path, names: Iterable[str]) -> None:
        """Delete the last first: as long as what was merged is there from the first on, its order is the same."""
        with suppress(OSError):  # Windows leaves what is open, which the next tidying finds
            for name in sorted(names, reverse=True):
                aside.mkdir(exist_ok=True)
                os.rename(self._writes / name, aside / name)  # a kill never leaves half a folder in place
        shutil.rmtree(aside, ignore_errors=True)

    def tidy(self, aside: Path, number: int) -> None:
        """Once in some writes put small ones together and delete what is replaced, so that the next stay fast."""
        if number % _TIDIED_EVERY:
            return
        try:
            seen = self._look()
            index = seen.index
            prunes = sum(pack.n for pack in index.packs) >= 2 * self._pruned_to
            plan = plan_tidying(index, prunes=prunes)
            for chains in plan.packs:
                save_pack(aside, *merged(chains))
                self.commit(aside, max(write.number for chain in chains for write in chain))
            if plan.order is not None:
                save_order(aside, plan.order)
                self.commit(aside, number)
            self._delete(aside, [n for n in seen.names if n not in seen.entries or plan.is_gone(seen.entries[n])])
            if prunes:
                self._pruned_to = len(index.positions.ids)
        except (OSError, StorageError) as error:
            _LOG.warning("%s could not be tidied: %s", self.folder, error)


def _names_in(writes: Path) -> set[str]:
    return {name for name in os.listdir(writes) if _NAME.fullmatch(name)}


def _number(name: str) -> int:
    return int(name[:12])
