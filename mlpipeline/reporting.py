"""What a run tells while it goes on: how far it is in one file, its metrics over the steps in another."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from mlpipeline.files import replace_file
from mlpipeline.records import dumps

Listener = Callable[[int, int | None, Mapping[str, float]], None]

PROGRESS_SECONDS = 0.2
_listeners: tuple[Listener, ...] = ()
_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def listen(*listeners: Listener) -> None:
    """Hand every report of this process to these, in the place of those before."""
    global _listeners
    _listeners = listeners


def tell(step: int, total: int | None, metrics: Mapping[str, float]) -> None:
    """Hand a report to whoever listens; nobody does outside a run."""
    for listener in _listeners:
        listener(step, total, metrics)


class Recorder:
    """Keeps the latest report in one file, a few times a second, and each report's metrics as a line of another.

    A line is handed to the operating system at once: a process that is killed has lost none. Where it cannot be
    written, training goes on and the run's output says so once.

    Args:
        run_id: of the run; it heads its lines in the file of metrics, which runs of one directory share.
        progress_file: replaced by each report that it takes in.
        metrics_file: grows by a line for each report; None keeps none.
    """

    def __init__(self, run_id: str, progress_file: Path, metrics_file: Path | None) -> None:
        self._run_id = run_id
        self._progress_file = progress_file
        self._metrics_file = metrics_file
        self._descriptor: int | None = None
        self._next_progress = 0.0

    def __call__(self, step: int, total: int | None, metrics: Mapping[str, float]) -> None:
        moment = time.time()
        try:
            if self._metrics_file is not None and metrics:
                self._append(step, moment, metrics)
            # in the last step nobody waits a moment more for it
            if step == total or not 0 <= self._next_progress - moment <= PROGRESS_SECONDS:
                self._next_progress = moment + PROGRESS_SECONDS
                report = {"run_id": self._run_id, "step": step, "total": total, "metrics": metrics, "time": moment}
                replace_file(self._progress_file, dumps(report))
        except OSError as error:
            self._give_up(error)

    def _append(self, step: int, moment: float, metrics: Mapping[str, float]) -> None:
        if self._descriptor is None:
            self._descriptor = self._open()
        line = {"step": step, "time": round(moment, 3), "metrics": metrics}
        try:
            text = _encode(line)
        except ValueError:  # nan and inf
            text = dumps(line)
        os.write(self._descriptor, text.encode() + b"\n")

    def _open(self) -> int:
        assert self._metrics_file is not None
        descriptor = os.open(self._metrics_file, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"  # by a full disk or a power cut
        os.write(descriptor, b"\n" * torn + _encode({"run_id": self._run_id}).encode() + b"\n")
        return descriptor

    def _give_up(self, error: OSError) -> None:
        self._metrics_file, self._next_progress = None, float("inf")
        with contextlib.suppress(OSError, ValueError):  # the script may have closed it, or the disk be full for it too
            sys.stderr.write(f"metrics over steps are no longer kept: {error}\n")
