"""A process that goes on: what it was told, until when it may live, and what it has printed."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

from mlpipeline.board import RunningRow
from mlpipeline.project import PROGRESS_FILE
from mlpipeline.records import Job, Status, now, output_header
from mlpipeline.runner.engine import Engine
from mlpipeline.runner.plan import Candidate
from mlpipeline.runner.sources import Sources

GRACE_SECONDS = 10.0
_READ_BYTES = 1 << 20


@dataclass
class Active:
    """A run or, with candidate None, the listing of a script's versions.

    Args:
        slot: which of the daemon's slots it fills.
        told: the status that it was told to end with, and when; None while it may go on.
    """

    job: Job
    candidate: Candidate | None
    sources: Sources
    slot: int
    told: tuple[Status, str] | None = None
    _started: float = field(default_factory=time.monotonic)
    _kill_at: float | None = None

    def __post_init__(self) -> None:
        path = self.job.output_file  # earlier runs of the directory may have printed there
        self._shown_bytes = os.path.getsize(path) if os.path.exists(path) else 0

    def seconds(self) -> float:
        """Return how long it goes on."""
        return time.monotonic() - self._started

    def row(self) -> RunningRow:
        """Return what a screen shows of it."""
        progress_file = str(Path(self.job.result_file).with_name(PROGRESS_FILE))
        began = time.time() - self.seconds()
        return RunningRow(self.job.run_id, self.job.script, str(self.job.version), began, progress_file)

    def tell(self, status: Status, engine: Engine) -> None:
        """Tell it, once, to end; it is killed if it has not after `GRACE_SECONDS`."""
        if self.told is None:
            self.told = (status, now())
            self._kill_at = time.monotonic() + GRACE_SECONDS
            engine.signal(self.job.run_id, signal.SIGINT)

    def end_grace(self) -> None:
        """Have it killed at the next look at its deadlines."""
        self._kill_at = 0.0

    def heed_deadlines(self, longest_seconds: float | None, engine: Engine) -> None:
        """Tell it to end when it has taken too long, and kill it when it has not heeded that."""
        if longest_seconds is not None and self.seconds() > longest_seconds:
            self.tell(Status.TIMED_OUT, engine)
        if self._kill_at is not None and time.monotonic() > self._kill_at:
            engine.signal(self.job.run_id, signal.SIGKILL)

    def new_output(self, *, is_last: bool = False) -> str:
        """Return the whole lines that it has printed since the last call; at its end, all that is left."""
        try:
            with open(self.job.output_file, "rb") as file:
                file.seek(self._shown_bytes)
                printed = file.read() if is_last else file.read(_READ_BYTES)
        except OSError:
            return ""
        if not is_last:
            printed = printed[: printed.rfind(b"\n") + 1]
        self._shown_bytes += len(printed)
        return printed.decode(errors="replace").rpartition(output_header(self.job))[2]
