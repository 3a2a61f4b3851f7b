"""Which uploads to MLflow are finished, and which process uploads: files beside the journals."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from mlpipeline.journal import whole_lines
from mlpipeline.records import dumps


@contextlib.contextmanager
def alone(path: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold a lock file, so that no run is uploaded twice; wait for whoever has it."""
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say("another upload is under way; waiting for its end")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def digest_of(place: str) -> str:
    """Return a name for a place, as a part of the name of a file."""
    return hashlib.sha256(place.encode(errors="backslashreplace")).hexdigest()[:12]


class DoneList:
    """The ids of runs whose upload is finished, one a line; a server need not be asked for these.

    Args:
        ignores_old: only what is added from now on counts.
    """

    def __init__(self, path: Path, *, ignores_old: bool) -> None:
        self._path = path
        self._read = 0
        self._ids: set[str] = set()
        self._ignores_old = ignores_old

    def __contains__(self, run_id: str) -> bool:
        return run_id in self._ids

    def refresh(self) -> None:
        """Take in what other processes have added."""
        try:
            for line in whole_lines(self._path, self._read):
                self._read += len(line)
                if not self._ignores_old:
                    self._ids.add(_line_text(line))
        except OSError:  # there is none yet
            return

    def add(self, run_id: str) -> None:
        self._ids.add(run_id)
        with self._path.open("ab+") as file:
            file.seek(0, 2)
            if torn := file.tell():
                file.seek(torn - 1)
                file.write(b"" if file.read(1) == b"\n" else b"\n")
            file.write(dumps(run_id).encode() + b"\n")


def _line_text(line: bytes) -> str:
    try:
        value: Any = json.loads(line)
    except ValueError:
        return ""
    return value if isinstance(value, str) else ""
