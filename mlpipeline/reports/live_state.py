"""What the live page shows, followed in the files: history, runs, growing curves, the queue. For one thread."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from mlpipeline.board import RunningRow
from mlpipeline.errors import RecordError
from mlpipeline.locks import goes_on
from mlpipeline.project import METRICS_FILE, Project
from mlpipeline.records import RUNNING, dumps
from mlpipeline.reports.curves import CurveReader
from mlpipeline.reports.history import History, Run
from mlpipeline.reports.overview import Overview, overview_of
from mlpipeline.reports.page_data import curves_data, details_data, plain, run_data

_SECOND_LOOK_SECONDS = 1.0  # between looks at what no file tells: whether processes live
_CURVES_SECONDS = 0.4
_CURVES_SHARE = 10.0  # reading curves may take one part in so many of the time
_LIVE_POINTS = 400


@dataclass(frozen=True)
class Told:
    """The latest of one kind of event. Args: number: grows with each. moment: of the clock that only goes forward."""

    number: int
    text: str
    moment: float


class _Stamp(NamedTuple):
    inode: int
    size: int
    changed: int


class LiveState:
    """The state of a project for those who look at it now.

    Args:
        project: owns the files.
        queue_file: whose changes are told.
        warn: told once of each thing that cannot be read.
    """

    def __init__(self, project: Project, queue_file: Path, warn: Callable[[str], None]) -> None:
        self.project = project
        self.latest: list[Run] = []
        self.number = 0
        self._queue_file = queue_file
        self._warn = warn
        self._warned: set[str] = set()
        self._history = History(project, warn)
        self._told: dict[str, Told] = {}
        self._overview = overview_of(project, [])
        self._overview_key: object = None
        self._status_stamp: _Stamp | None = None
        self._queue_stamp: _Stamp | None = None
        self._second_look_due = 0.0
        self._reader = CurveReader(self._history)
        self._curve_stamps: dict[str, _Stamp | None] = {}
        self._curves_due = 0.0

    def close(self) -> None:
        self._history.__exit__()

    def look(self) -> Mapping[str, Told]:
        """Take in what has changed and return the latest event of each kind."""
        moment = time.monotonic()
        recorded = self._follow_history(moment)
        self._follow_overview(moment, recorded)
        self._follow_curves(moment)
        queue_stamp = _stamp(self._queue_file)
        if queue_stamp != self._queue_stamp:
            self._queue_stamp = queue_stamp
            self._tell("queue", "{}")
        return dict(self._told)

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of the table: the last run of each version."""
        return [run_data(run) for run in self.latest]

    def run(self, run_id: str) -> Run | None:
        return self._history.with_id(run_id)

    def details(self, run: Run) -> dict[str, Any]:
        """Return the details of a run, but for what it has kept to look at."""
        return details_data(self._history, run, with_artifacts=False)

    def folder(self, run: Run) -> Path | None:
        return self._history.folder(run)

    def curves(self, run: Run) -> dict[str, Any]:
        # a reader of its own: what it has read is not kept for runs that have ended
        return curves_data(CurveReader(self._history), run)

    def _follow_history(self, moment: float) -> bool:
        try:
            changed = self._history.refresh()
            if not changed and self.number and not self._has_died(moment):
                return False
            self.latest = self._history.latest()
        except (RecordError, OSError, sqlite3.Error) as error:  # it may be better the next time
            if str(error) not in self._warned:
                self._warned.add(str(error))
                self._warn(f"the history cannot be followed: {error}")
            return False
        self.number += 1
        self._tell("runs", "{}")
        return True

    def _has_died(self, moment: float) -> bool:
        """Tell whether a run that went on does so no more, though nobody has recorded its end."""
        if moment < self._second_look_due:
            return False
        return any(run.status == RUNNING and not goes_on(self.project, run.model_dir) for run in self.latest)

    def _follow_overview(self, moment: float, recorded: bool) -> None:
        status_stamp = _stamp(self.project.status_file)
        is_due = self._overview.is_running and moment >= self._second_look_due
        if is_due or recorded or status_stamp != self._status_stamp or not self._told.get("overview"):
            self._status_stamp = status_stamp
            self._overview = overview_of(self.project, self.latest)
            self._second_look_due = moment + _SECOND_LOOK_SECONDS
        data, key = _overview_data(self._overview)
        if is_due or key != self._overview_key:
            self._overview_key = key
            self._tell("overview", dumps(data))

    def _follow_curves(self, moment: float) -> None:
        if moment < self._curves_due:
            return
        running = {run.run_id: run for run in self.latest if run.status == RUNNING}
        stamps = {run_id: _stamp(self._metrics_file(run)) for run_id, run in running.items()}
        if stamps == self._curve_stamps:
            return
        if set(stamps) != set(self._curve_stamps):
            self._reader = CurveReader(self._history)
        self._curve_stamps = stamps
        self._tell("curves", dumps({key: curves_data(self._reader, run, _LIVE_POINTS) for key, run in running.items()}))
        self._curves_due = moment + max(_CURVES_SECONDS, _CURVES_SHARE * (time.monotonic() - moment))

    def _metrics_file(self, run: Run) -> Path:
        return (self._history.folder(run) or self.project.outputs_dir) / METRICS_FILE

    def _tell(self, kind: str, text: str) -> None:
        before = self._told.get(kind)
        self._told[kind] = Told(before.number + 1 if before else 1, text, time.monotonic())


def _overview_data(overview: Overview) -> tuple[dict[str, Any], object]:
    """Return what the page is told, and the part of it that does not change by the clock alone."""
    board = overview.board
    running = [_running_data(row) for row in board.running]
    counts = {"queued": board.queued, "unlisted": board.unlisted, "done": board.done, "failed": board.failed}
    counts["is_running"] = overview.is_running
    key = [{**row, "seconds": 0, "seconds_left": 0} for row in running], counts
    return {"running": running, **counts}, key


def _running_data(row: RunningRow) -> dict[str, Any]:
    report = row.progress()
    # a script may have written anything
    step, total, moment = (_number(report.get(name)) for name in ("step", "total", "time"))
    left = row.seconds_left({"step": step, "total": total, "time": moment})
    told = report.get("metrics", {})
    metrics = {name: value for name, value in told.items() if isinstance(value, int | float | str)}
    return {
        "run_id": row.run_id,
        "script": row.script,
        "version": row.version,
        "step": step,
        "total": total,
        "metrics": plain(metrics),
        "seconds": round(max(0.0, time.time() - row.started), 1),
        "seconds_left": None if left is None else round(left, 1),
    }


def _number(value: object) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e15 else None


def _stamp(path: Path) -> _Stamp | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return _Stamp(status.st_ino, status.st_size, status.st_mtime_ns)
