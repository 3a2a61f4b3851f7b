"""Metrics over the steps of runs, read from the files that the runs have written."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path

from mlpipeline.journal import whole_lines
from mlpipeline.project import METRICS_FILE
from mlpipeline.records import Status, are_metrics
from mlpipeline.reports.history import History, Run


@dataclass
class Curve:
    """One metric of a run. Args: steps: increasing; times: seconds since the epoch; values: as many."""

    steps: list[int] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def add(self, step: int, moment: float, value: float) -> None:
        """Add a point; one of a step that was trained again takes the place of what stood from there on."""
        while self.steps and self.steps[-1] >= step:
            for column in (self.steps, self.times, self.values):
                column.pop()
        self.steps.append(step)
        self.times.append(moment)
        self.values.append(value)

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
        joined: Curves = {}
        for part in [*reversed(_before(self._history, run)), run] if run.resumed else [run]:
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
            if self._path.stat().st_size < self._offset:  # the script has removed it
                self.__init__(self._path)  # type: ignore[misc]
            for line in whole_lines(self._path, self._offset):
                self._offset += len(line)
                self._take(line)
        except OSError:  # there is none
            return

    def _take(self, line: bytes) -> None:
        try:
            values = json.loads(line)
            if isinstance(values.get("run_id"), str):
                self._run_id = values["run_id"]
                return
            step, moment, metrics = int(values["step"]), float(values["time"]), values["metrics"]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return  # torn by a full disk, or written by somebody else
        if not are_metrics(metrics):
            return
        curves = self.by_run.setdefault(self._run_id, {})
        for name, value in metrics.items():
            curves.setdefault(name, Curve()).add(step, moment, float(value))


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
