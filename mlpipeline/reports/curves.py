"""Metrics over the steps of runs, read from the files that the runs have written."""

from __future__ import annotations

import contextlib
import json
import stat
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from mlpipeline.journal import whole_lines
from mlpipeline.project import METRICS_FILE
from mlpipeline.records import Status, are_metrics
from mlpipeline.reports.history import History, Run

_BATCH = 500  # lines that are parsed at once
_LARGEST_STEP = 2**53
_LATEST = 1e11  # seconds since the epoch: a thousand years from now


@dataclass
class Curve:
    """One metric of a run. Args: steps: increasing; times: seconds since the epoch; values: as many."""

    steps: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def add(self, step: int, moment: float, value: float) -> None:
        """Add a point; one of a step that was trained again takes the place of what stood from there on."""
        steps = self.steps
        while steps and steps[-1] >= step:
            for column in (steps, self.times, self.values):
                column.pop()
        steps.append(step)
        self.times.append(moment)
        self.values.append(value)

    def copied(self) -> Curve:
        return Curve(self.steps.copy(), self.times.copy(), self.values.copy())

    def thinned(self, most: int) -> Curve:
        """Return about `most` points of it, evenly spaced, the first and the last among them."""
        count = len(self.steps)
        if count <= most:
            return self
        places = [round(k * (count - 1) / (most - 1)) for k in range(most)]
        return Curve([self.steps[k] for k in places], [self.times[k] for k in places], [self.values[k] for k in places])


Curves = dict[str, Curve]
"""By metric."""


class CurveReader:
    """Reads the curves of runs, and follows those that grow."""

    def __init__(self, history: History) -> None:
        self._history = history
        self._files: dict[Path, _MetricsFile] = {}

    def of(self, run: Run) -> Curves:
        """Return the curves of a run; those of an interrupted one that it went on from are a part of them."""
        folder = self._history.folder(run)
        if folder is None:
            return {}
        file = self._files.setdefault(folder, _MetricsFile(folder / METRICS_FILE))
        file.refresh()
        if not run.resumed:
            return {name: curve.copied() for name, curve in file.by_run.get(run.run_id, {}).items()}
        joined: Curves = {}
        for part in [*reversed(_before(self._history, run)), run]:
            for name, curve in file.by_run.get(part.run_id, {}).items():
                whole = joined.setdefault(name, Curve())
                for point in zip(curve.steps, curve.times, curve.values, strict=True):
                    whole.add(*point)
        return joined


class _MetricsFile:
    """The metrics file of a model directory, which several runs have written, one after the other."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._run_id = ""
        self.by_run: dict[str, Curves] = {}

    def refresh(self) -> None:
        """Read what was written since."""
        try:
            status = self._path.stat()
            if status.st_size < self._offset:  # the script has removed it
                self.__init__(self._path)  # type: ignore[misc]
            if not stat.S_ISREG(status.st_mode):
                return
            lines = whole_lines(self._path, self._offset)
            while batch := list(islice(lines, _BATCH)):
                self._offset += sum(map(len, batch))
                for values in _parsed(batch):
                    self._take(values)
        except OSError:  # there is none
            return

    def _take(self, values: Any) -> None:
        try:
            if isinstance(values.get("run_id"), str):
                self._run_id = values["run_id"]
                return
            step, moment, metrics = int(values["step"]), float(values["time"]), values["metrics"]
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
            return  # written by somebody else
        if not are_metrics(metrics) or abs(step) > _LARGEST_STEP or not 0 <= moment <= _LATEST:
            return
        curves = self.by_run.setdefault(self._run_id, {})
        with contextlib.suppress(OverflowError):  # an integer beyond all floats
            for name, value in metrics.items():
                number = float(value)
                name = name.encode(errors="backslashreplace").decode()  # JSON has halves of characters
                curve = curves.get(name) or curves.setdefault(name, Curve())
                curve.add(step, moment, number)


def _parsed(lines: list[bytes]) -> list[Any]:
    """Return what lines hold; None in the place of one that is torn by a full disk."""
    try:
        values: list[Any] = json.loads(b"[" + b",".join(lines) + b"]")  # much faster than one by one
    except (ValueError, RecursionError):
        values = []
    return values if len(values) == len(lines) else [_parsed_alone(line) for line in lines]


def _parsed_alone(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _before(history: History, run: Run) -> list[Run]:
    """Return the unfinished runs that a resumed one went on from, the latest first."""
    chain: list[Run] = []
    for earlier in reversed(history.runs_of(run.script, run.version)):
        if earlier.started >= run.started or earlier.run_id == run.run_id:
            continue
        could_resume = earlier.status in list(Status) and Status(earlier.status).can_resume
        if not could_resume or earlier.fingerprint != run.fingerprint:
            break
        chain.append(earlier)
        if not earlier.resumed:
            break
    return chain
