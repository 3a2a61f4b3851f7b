"""An index of the journals in SQLite, so that a hundred thousand records need not be read again each time.

It is never the truth: without it, or where it does not fit the journals, it is made anew from them; where it cannot be
written, it is made in memory.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from mlpipeline.errors import RecordError
from mlpipeline.journal import whole_lines
from mlpipeline.project import Project
from mlpipeline.records import Record, dumps

DAMAGED = (sqlite3.Error, ValueError, TypeError)
"""What reading a damaged index may raise."""
_LAYOUT = 2  # of the tables; another one is made anew
_MARK_BYTES = 256
_WARNINGS = 5
_WAIT_SECONDS = 30.0
COLUMNS = (
    "run_id", "script", "version", "status", "fingerprint", "place", "started", "ended", "seconds", "peak_memory_mb",
    "steps", "host", "seed", "resumed", "model_dir", "source_digest", "git_commit", "error_summary", "parameters",
    "metrics", "file", "offset",
)  # fmt: skip
_TABLES = f"""
CREATE TABLE files (file TEXT PRIMARY KEY, size INTEGER, changed INTEGER, mark BLOB, lines INTEGER, place TEXT);
CREATE TABLE damaged (file TEXT, line INTEGER, message TEXT);
CREATE TABLE runs ({", ".join(COLUMNS)}, PRIMARY KEY (run_id)) WITHOUT ROWID;
CREATE INDEX by_version ON runs (script, version, place);
PRAGMA user_version = {_LAYOUT};
"""
_INSERT = f"INSERT OR REPLACE INTO runs VALUES ({', '.join('?' * len(COLUMNS))})"


class Index:
    """The runs in the journals of all hosts.

    Args:
        project: owns the journals; the index lies beside them, one for each host.
        warn: told of damaged lines, each time the index is opened.
    """

    def __init__(self, project: Project, warn: Callable[[str], None]) -> None:
        self._project = project
        self._warn = warn
        self._warned: set[str] = set()
        self._seen: set[tuple[str, int, bytes]] = set()
        self._database = self._opened()

    def close(self) -> None:
        self._database.close()

    def refresh(self) -> bool:
        """Take in what was appended to the journals; return whether anything was.

        Raises: RecordError: a journal cannot be read.
        """
        try:
            return self._refresh()
        except sqlite3.Error:  # damaged, locked for long, or on a full disk
            self.make_anew()
            return True

    def make_anew(self) -> None:
        """Give up the file, and read the journals into memory. Raises: RecordError: a journal cannot be read."""
        self._database.close()
        self._database = self._in_memory()
        with contextlib.suppress(OSError):
            self._project.index_file.unlink()
        self._refresh()

    def select(self, where: str = "", values: Sequence[object] = ()) -> Iterator[tuple[Any, ...]]:
        """Yield the `COLUMNS` of runs, in the order in which they ended."""
        listed = ", ".join(f"runs.{name}" for name in COLUMNS)
        return iter(self._database.execute(f"SELECT {listed} FROM runs {where} ORDER BY place, run_id", values))

    def _refresh(self) -> bool:
        known = {row[0]: row[1:] for row in self._database.execute("SELECT * FROM files")}
        paths = {path.name: path for path in self._project.history_files()}
        stale = [name for name, read in known.items() if not _continues(paths.get(name), *read[:3])]
        grown = [name for name in paths if stale or name not in known or _state(paths[name])[0] > known[name][0]]
        if stale or grown:
            with self._database:
                self._database.execute("BEGIN IMMEDIATE")
                if stale:  # as a whole: a run may begin in the file of one host and end in another's
                    for table in ("runs", "files", "damaged"):
                        self._database.execute(f"DELETE FROM {table}")
                for name in grown:
                    self._follow(paths[name])
        self._warn_of_damage()
        # compared with what this one has seen: another process may have taken it in
        before, self._seen = self._seen, set(self._database.execute("SELECT file, size, mark FROM files"))
        return self._seen != before

    def _follow(self, path: Path) -> None:
        # asked again within the transaction: another process may have just followed it
        row = self._database.execute("SELECT size, lines, place FROM files WHERE file = ?", [path.name]).fetchone()
        reading = _Reading(path.name, *(row or (0, 0, "")))
        changed = _state(path)[1]
        try:
            for line in whole_lines(path, reading.size):
                reading.take(line)
            mark = _mark(path, reading.size)
        except OSError as error:
            raise RecordError(f"{path} cannot be read: {error.strerror}; mend it or move it away") from error
        execute = self._database.executemany
        execute(_INSERT, reading.ended)
        # another host's file may hold the end of a run already
        execute(_INSERT.replace("OR REPLACE", "OR IGNORE"), reading.open_starts())
        execute("INSERT INTO damaged VALUES (?, ?, ?)", reading.damaged)
        values = [path.name, reading.size, changed, mark, reading.lines, reading.place]
        self._database.execute("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?)", values)

    def _warn_of_damage(self) -> None:
        rows = self._database.execute("SELECT file, line, message FROM damaged ORDER BY file, line")
        texts = [f"{file} line {line} is damaged and skipped: {message}" for file, line, message in rows]
        new = [text for text in texts if text not in self._warned]
        for text in new[:_WARNINGS]:
            self._warn(text)
        if len(new) > _WARNINGS:
            self._warn(f"... and {len(new) - _WARNINGS} more lines of the history are skipped")
        self._warned.update(new)

    def _opened(self) -> sqlite3.Connection:
        path = self._project.index_file
        if not path.parent.is_dir():
            return self._in_memory()
        try:
            return self._connected(str(path))
        except sqlite3.DatabaseError:
            with contextlib.suppress(OSError):
                path.unlink()
        try:
            return self._connected(str(path))
        except sqlite3.Error:  # a folder that cannot be written
            return self._in_memory()

    def _in_memory(self) -> sqlite3.Connection:
        return self._connected(":memory:")

    def _connected(self, place: str) -> sqlite3.Connection:
        database = sqlite3.connect(place, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            # a power cut may leave it damaged; then it is made anew
            database.execute("PRAGMA synchronous = OFF")
            if (found := database.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                raise sqlite3.DatabaseError(found)
            if database.execute("PRAGMA user_version").fetchone()[0] != _LAYOUT:
                database.execute("BEGIN IMMEDIATE")
                if database.execute("PRAGMA user_version").fetchone()[0] != _LAYOUT:
                    for kind in ("runs", "files", "damaged"):
                        database.execute(f"DROP TABLE IF EXISTS {kind}")
                    for statement in filter(str.strip, _TABLES.split(";")):
                        database.execute(statement)
                database.execute("COMMIT")
        except BaseException:
            database.close()
            raise
        return database


class _Reading:
    """What the new lines of one journal amount to."""

    def __init__(self, file: str, size: int, lines: int, place: str) -> None:
        self.file = file
        self.size = size
        self.lines = lines
        self.place = place
        self.ended: list[tuple[Any, ...]] = []
        self.starts: dict[str, tuple[bytes, int, int]] = {}
        self.damaged: list[tuple[str, int, str]] = []

    def take(self, line: bytes) -> None:
        offset, self.size, self.lines = self.size, self.size + len(line), self.lines + 1
        if line.startswith(b'{"event":"start","run_id":"'):
            # looked into only if no end follows: an end says all that the start does
            self.starts[line[27:].partition(b'"')[0].decode(errors="replace")] = (line, offset, self.lines)
        elif line.strip() and (row := self._row(line, offset, self.lines)):
            self.ended.append(row)

    def open_starts(self) -> list[tuple[Any, ...]]:
        """Return the rows of the starts without an end."""
        rows = [self._row(*start) for start in list(self.starts.values())]
        return [row for row in rows if row]

    def _row(self, line: bytes, offset: int, number: int) -> tuple[Any, ...] | None:
        """Return the row of a record; None where the line is damaged, which is noted."""
        try:
            record = Record.from_line(line)
        except RecordError as error:
            self.damaged.append((self.file, number, str(error)))
            return None
        self.starts.pop(record.run_id, None)
        details = record.details
        ended = str(details.get("ended") or details.get("started") or "")
        place = ended
        if record.event == "end":
            # the order of the lines of one host counts more than its clock, which may be set back
            self.place = max(self.place, ended)
            place = f"{self.place} {number:09d}"
        row = (
            record.run_id,
            record.script,
            record.version or "",
            record.status,
            record.fingerprint,
            place,
            _text(details, "started"),
            _text(details, "ended"),
            _number(details, "seconds"),
            _number(details, "peak_memory_mb"),
            int(_number(details, "steps")),
            _text(details, "host"),
            int(_number(details, "seed")),
            bool(details.get("resumed")),
            _text(details, "model_dir"),
            _text(details, "source_digest"),
            _text(details, "git_commit"),
            _text(details, "error_summary"),
            _mapping(details, "parameters"),
            _metrics(details),
            self.file,
            offset,
        )
        # half a character, as a file name that is no Unicode has: SQLite takes none
        return row if b"\\ud" not in line else tuple(map(_storable, row))


def _storable(value: Any) -> Any:
    return value.encode(errors="backslashreplace").decode() if isinstance(value, str) else value


def _text(details: Any, key: str) -> str:
    value = details.get(key)
    return value if isinstance(value, str) else ""


def _number(details: Any, key: str) -> float:
    value = details.get(key)
    is_usable = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 2**53
    return float(value) if is_usable else 0.0


def _mapping(details: Any, key: str) -> str:
    value = details.get(key)
    text = dumps(value) if isinstance(value, dict) else "{}"
    return dumps(printable_values(value)) if "\\ud" in text else text


def _metrics(details: Any) -> str:
    values = details.get("metrics", {})
    if all(isinstance(value, float) for value in values.values()):
        return _mapping(details, "metrics")
    return _mapping({"metrics": {name: _as_float(value) for name, value in values.items()}}, "metrics")


def _as_float(value: float | str) -> float:
    try:
        return float(value)
    except OverflowError:  # JSON has whole numbers of any length
        return math.inf if isinstance(value, int) and value > 0 else -math.inf


def printable_values(value: Any) -> Any:
    """Return values of JSON with a question mark for each half of a character, which no file or database takes."""
    return json.loads(json.dumps(value, ensure_ascii=False).encode(errors="replace"))


def _continues(path: Path | None, size: int, changed: int, mark: bytes) -> bool:
    """Tell whether a journal still begins with what was read of it."""
    if path is None:
        return False
    size_now, changed_now = _state(path)
    is_edited = size_now == size and changed_now != changed
    return size_now >= size and not is_edited and _mark(path, size) == mark


def _state(path: Path) -> tuple[int, int]:
    """Return the size of a file, and when it was written last, in nanoseconds."""
    try:
        status = os.stat(path)
    except OSError:
        return 0, 0
    return status.st_size, status.st_mtime_ns


def _mark(path: Path, size: int) -> bytes:
    """Return the first and the last of so many bytes of a file: another one that grew as long differs there."""
    try:
        with path.open("rb") as file:
            first = file.read(min(size, _MARK_BYTES))
            file.seek(max(0, size - _MARK_BYTES))
            return first + file.read(min(size, _MARK_BYTES))
    except OSError:
        return b""
