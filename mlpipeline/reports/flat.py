"""Runs and curves as flat rows, for files and data frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from mlpipeline.reports.columns import FACTS, Columns
from mlpipeline.reports.curves import CurveReader
from mlpipeline.reports.history import History, Run

CURVE_COLUMNS = ("run_id", "script", "version", "metric", "step", "time", "value")
_DETAILS = {"python": "python", "git_clean": "git_clean", "libraries": "libraries", "traceback": "error"}


def run_columns(history: History, runs: Sequence[Run], *, with_details: bool = False) -> dict[str, list[Any]]:
    """Return the columns of runs: what is recorded of each, parameters, metrics.

    Args:
        history: the records.
        runs: the rows.
        with_details: also what only the journal holds: libraries, the Python, the whole error.
    """
    columns = Columns(runs)
    readers = {name: of for name, of in FACTS.items() if name != "name"}
    readers.update((column.name, column.of) for column in (*columns.parameters(), *columns.metrics()))
    table = {name: [of(run) for run in runs] for name, of in readers.items()}
    if with_details:
        details = [history.details(run) for run in runs]
        for name, key in _DETAILS.items():
            free = name if name not in table else f"details.{name}"
            table[free] = [found.get(key) for found in details]
    return table


def run_objects(history: History, runs: Sequence[Run]) -> Iterator[dict[str, Any]]:
    """Yield all that is recorded of each run, parameters and metrics by name within it."""
    for run in runs:
        details = history.details(run)
        facts = {name: of(run) for name, of in FACTS.items() if name != "name"}
        more = {name: details.get(key) for name, key in _DETAILS.items()}
        yield {**facts, **more, "parameters": run.parameters, "metrics": run.metrics}


def curve_rows(history: History, runs: Iterable[Run], metrics: Sequence[str] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the points of the curves of runs, in `CURVE_COLUMNS`. Args: metrics: none means all."""
    reader = CurveReader(history)
    for run in runs:
        for name, curve in reader.of(run).items():
            if metrics and name not in metrics:
                continue
            for step, moment, value in zip(curve.steps, curve.times, curve.values, strict=True):
                yield run.run_id, run.script, run.version, name, step, moment, value
