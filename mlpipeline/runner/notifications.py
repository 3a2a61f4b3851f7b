"""The command that `[NOTIFY]` in `mlp.config` names, run for each record of an end; nothing ever waits for it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from mlpipeline.records import Record

LIMIT_SECONDS = 60.0
CLOSING_SECONDS = 5.0
_MOST_AT_ONCE = 4  # a slow command must not fill the machine
_MOST_WAITING = 1000
_TICK_SECONDS = 0.01
_LONGEST_MESSAGE_BYTES = 2000


@dataclass
class _Sent:
    """A command that was started. Args: until: on the monotonic clock; complaints: what it writes on standard error."""

    process: subprocess.Popen[bytes]
    until: float
    complaints: IO[bytes]


class Notifications:
    """Starts the command, looks after it, and warns once when it fails.

    Args:
        command: for the shell; it gets the record as one line of JSON on standard input.
        folder: its working directory.
        warn: told of failures.
        limit_seconds: a command that takes longer is killed.
        closing_seconds: how long the end waits for those under way.
    """

    def __init__(
        self,
        command: str,
        folder: Path,
        warn: Callable[[str], None],
        *,
        limit_seconds: float = LIMIT_SECONDS,
        closing_seconds: float = CLOSING_SECONDS,
    ) -> None:
        self._command = command
        self._folder = folder
        self._warn = warn
        self._limit_seconds = limit_seconds
        self._closing_seconds = closing_seconds
        self._under_way: list[_Sent] = []
        self._waiting: deque[Record] = deque()
        self._failed = 0
        self._dropped = 0

    def ended(self, record: Record) -> None:
        """Send word of an end, or put it in the line behind others."""
        if len(self._waiting) < _MOST_WAITING:
            self._waiting.append(record)
        else:
            self._dropped += 1
        self.tend()

    def tend(self) -> None:
        """Take in what has ended, kill what takes too long, start what waits."""
        moment = time.monotonic()
        for sent in list(self._under_way):
            if sent.process.poll() is not None:
                self._reap(sent)
            elif moment > sent.until:
                self._kill(sent, f"took longer than {self._limit_seconds:g} s and was killed")
        while self._waiting and len(self._under_way) < _MOST_AT_ONCE:
            self._start(self._waiting.popleft())

    def close(self) -> None:
        """Wait a few seconds for what is under way, then end it and say so."""
        until = time.monotonic() + self._closing_seconds
        while (self._under_way or self._waiting) and time.monotonic() < until:
            self.tend()
            time.sleep(_TICK_SECONDS)
        late = len(self._under_way) + len(self._waiting) + self._dropped
        for sent in list(self._under_way):
            self._kill(sent, "")
        self._waiting.clear()
        if late:
            self._warn(f"[NOTIFY] in mlp.config: {late} notifications were not through at the end and were given up")
        if self._failed > 1:
            self._warn(f"[NOTIFY] in mlp.config: the command failed {self._failed} times")

    def _start(self, record: Record) -> None:
        complaints = _scratch_file()
        try:
            process = self._spawn(record, complaints)
        except OSError as error:  # no memory, a full disk
            complaints.close()
            self._fail(f"could not be started: {error}")
            return
        self._under_way.append(_Sent(process, time.monotonic() + self._limit_seconds, complaints))

    def _spawn(self, record: Record, complaints: IO[bytes]) -> subprocess.Popen[bytes]:
        # files, not pipes: a command that reads nothing or writes much must not hold up anybody
        with _scratch_file() as record_file:
            record_file.write(record.to_line().encode(errors="backslashreplace") + b"\n")
            record_file.seek(0)
            return subprocess.Popen(
                self._command,
                shell=True,
                cwd=self._folder,
                stdin=record_file,
                stdout=subprocess.DEVNULL,
                stderr=complaints,
                env={**os.environ, **_variables(record)},
                start_new_session=True,  # Ctrl-C is meant for the daemon
            )

    def _reap(self, sent: _Sent) -> None:
        self._under_way.remove(sent)
        if sent.process.returncode:
            said = _last_line(sent.complaints)
            self._fail(f"ended with status {sent.process.returncode}" + (f": {said}" if said else ""))
        sent.complaints.close()

    def _kill(self, sent: _Sent, why: str) -> None:
        with contextlib.suppress(OSError):  # it has just ended
            os.killpg(sent.process.pid, signal.SIGKILL)
        sent.process.wait()
        sent.complaints.close()
        self._under_way.remove(sent)
        if why:
            self._fail(why)

    def _fail(self, how: str) -> None:
        self._failed += 1
        if self._failed == 1:
            self._warn(f"[NOTIFY] in mlp.config: the command {how}; further failures are only counted")


def _scratch_file() -> IO[bytes]:
    return tempfile.TemporaryFile()


def _variables(record: Record) -> dict[str, str]:
    values = {"STATUS": record.status, "SCRIPT": record.script, "VERSION": record.version or ""}
    return {f"MLPIPELINE_{name}": _for_environment(value) for name, value in values.items()}


def _for_environment(text: str) -> str:
    return text.encode(errors="backslashreplace").decode().replace("\0", "")


def _last_line(file: IO[bytes]) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _LONGEST_MESSAGE_BYTES))
    lines = file.read().decode(errors="replace").strip().splitlines()
    return lines[-1].strip() if lines else ""
