"""The board: what is running, queued, done and failed at this moment, for a screen or a second terminal."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple


class EndedRow(NamedTuple):
    """How a version, or with version empty a script that could not be loaded, ended."""

    script: str
    version: str
    status: str
    seconds: float
    metrics: dict[str, float]
    error: str


@dataclass(frozen=True)
class RunningRow:
    """A run that goes on.

    Args:
        started: seconds since the epoch.
        progress_file: where the run leaves its reports.
    """

    run_id: str
    script: str
    version: str
    started: float
    progress_file: str

    def progress(self) -> dict[str, Any]:
        """Return the latest report, `step`, `total` and `metrics`; empty before the first."""
        try:
            report = json.loads(Path(self.progress_file).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return report if _is_report(report, self.run_id) else {}

    def seconds_left(self, report: Mapping[str, Any] | None = None) -> float | None:
        """Return an estimate from the steps that are done; None before the first report with a total.

        Args:
            report: the latest, where it has been read already.
        """
        report = self.progress() if report is None else report
        if not report.get("total") or not report.get("step"):
            return None
        spent = max(0.0, float(report["time"] or 0.0) - self.started)
        return float(max(0.0, spent * (report["total"] / report["step"] - 1)))


@dataclass(frozen=True)
class Board:
    """Counts of versions, but for `unlisted`: scripts whose versions are not known yet.

    Args:
        pid: of the daemon.
        pid_started: what `process_started` says of it, so that a later process with its number is not taken for it.
        mean_seconds: of the runs that have ended; 0 before the first.
    """

    mode: str = ""
    pid: int = 0
    pid_started: int = 0
    running: tuple[RunningRow, ...] = ()
    queued: int = 0
    unlisted: int = 0
    done: int = 0
    failed: int = 0
    skipped: int = 0
    slots: int = 1
    mean_seconds: float = 0.0

    def counts(self) -> tuple[int, ...]:
        """Return the numbers that a second terminal wants to know at once when they change."""
        return (len(self.running), self.queued, self.unlisted, self.done, self.failed, self.skipped)

    def seconds_left(self) -> float | None:
        """Return an estimate until the queue is empty; None while nothing is known to base it on."""
        if not self.mean_seconds:
            rests = [row.seconds_left() for row in self.running]
            return max((rest for rest in rests if rest is not None), default=None) if not self.queued else None
        left = self.queued * self.mean_seconds + sum(self._rest_of(row) for row in self.running)
        return left / max(1, self.slots)

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Board:
        """Raises: ValueError, TypeError, KeyError: the text is no board."""
        values = json.loads(text)
        rows = tuple(RunningRow(**row) for row in values.pop("running"))
        return cls(running=rows, **values)

    def _rest_of(self, row: RunningRow) -> float:
        rest = row.seconds_left()
        return rest if rest is not None else max(0.0, self.mean_seconds - (time.time() - row.started))


def _is_report(values: object, run_id: str) -> bool:
    """Tell whether a run has written it: the file lies where scripts may write too."""
    kinds: dict[str, type | tuple[type, ...]] = {
        "step": int,
        "total": (int, type(None)),
        "time": float,
        "metrics": dict,
    }
    if not isinstance(values, dict) or values.get("run_id") != run_id:
        return False
    return all(isinstance(values.get(name), kind) for name, kind in kinds.items())


def process_started(pid: int) -> int:
    """Return when a process started, in the kernel's ticks; 0 if there is none, or where the system does not tell."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return 0
