"""The journal of runs: one line when a run starts and one when it ends, synced before anything else happens."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from mlpipeline.errors import RecordError
from mlpipeline.journal import whole_lines
from mlpipeline.project import Project
from mlpipeline.records import Record
from mlpipeline.runner.plan import Outcome

Key = tuple[str, str | None]


class Journal:
    """Follows the journals of all hosts and appends to this host's.

    Args:
        project: owns the files.
        warn: told once of each damaged line.

    Attributes:
        last: how each version ended last.
        open: starts without an end, by run.
    """

    def __init__(self, project: Project, warn: Callable[[str], None]) -> None:
        self._project = project
        self._warn = warn
        self._offsets: dict[Path, int] = {}
        self._line_counts: dict[Path, int] = {}
        self._latest: dict[Path, str] = {}
        self.last: dict[Key, Outcome] = {}
        self.open: dict[str, Record] = {}
        self._ended_first: set[str] = set()  # ends read before their start, which stands in another host's file

    def refresh(self) -> None:
        """Read what was appended since the last call, by whomever.

        Raises: RecordError: a journal cannot be read.
        """
        for path in self._project.history_files():
            try:
                self._follow(path)
            except OSError as error:
                raise RecordError(f"{path} cannot be read: {error.strerror}; mend it or move it away") from error

    def append(self, record: Record) -> None:
        """Write a record so that it survives a power cut.

        Raises: RecordError: it could not be written; what stood there before is unchanged.
        """
        append_line(self._project.history_file, record.to_line(), synced=True)
        self.refresh()

    def _follow(self, path: Path) -> None:
        offset = self._offsets.get(path, 0)
        size = os.stat(path).st_size
        if size < offset:  # somebody has replaced it
            offset = self._line_counts[path] = 0
        if size == offset:
            return
        for line in whole_lines(path, offset):
            offset += len(line)
            self._take(path, line)
        self._offsets[path] = offset

    def _take(self, path: Path, line: bytes) -> None:
        number = self._line_counts[path] = self._line_counts.get(path, 0) + 1
        if not line.strip():
            return
        try:
            record = Record.from_line(line)
        except RecordError as error:
            self._warn(f"{path.name} line {number} is damaged and skipped: {error}")
            return
        if record.event == "start":
            if record.run_id not in self._ended_first:
                self.open[record.run_id] = record
            return
        if self.open.pop(record.run_id, None) is None:
            self._ended_first.add(record.run_id)
        key = (record.script, record.version)
        known = self.last.get(key)
        # the order of the lines of one host counts more than its clock, which may be set back
        ended = self._latest[path] = max(self._latest.get(path, ""), str(record.details.get("ended", "")))
        if known is None or ended >= known.ended:  # the files of several hosts come one after the other
            self.last[key] = Outcome(record.status, record.fingerprint, ended)


def append_line(path: Path, line: str, *, synced: bool = False) -> None:
    """Append a line; a half line that a crash has left is ended first, so that the new one stands alone.

    Raises: RecordError: the disk is full or the file cannot be written; a part that was written is taken back.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # what is taken back after an error must be this line alone
            size = os.fstat(descriptor).st_size
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            _write_whole(descriptor, (("\n" if torn else "") + line + "\n").encode(errors="backslashreplace"), size)
            if synced:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise RecordError(
            f"{path} cannot be written: {error.strerror}. Nothing recorded before is lost; "
            "make room or mend the permissions, then start again with -u"
        ) from error


def _write_whole(descriptor: int, data: bytes, size_before: int) -> None:
    written = 0
    try:
        while written < len(data):
            written += os.write(descriptor, data[written:])
    except OSError:
        with contextlib.suppress(OSError):  # the first error is the one to tell
            os.ftruncate(descriptor, size_before)
        raise
