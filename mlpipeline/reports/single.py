"""What goes on, one run, and two runs beside each other, as frames and texts."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from mlpipeline.project import load_project
from mlpipeline.reports.difference import difference_of
from mlpipeline.reports.frames import run_frame
from mlpipeline.reports.history import History
from mlpipeline.reports.overview import read_overview
from mlpipeline.reports.printed import printed_by


def status(project: str | Path = ".") -> pd.DataFrame:
    """Return how each version ended last, and what runs now.

    Returns: script, version, status, seconds, step, total, seconds_left (of what runs), error; a column a metric.
    """
    with _history(project) as history:
        overview = read_overview(history)
    rows = [
        {"script": row.script, "version": row.version, "status": row.status, "seconds": row.seconds, "error": row.error}
        | row.metrics
        for row in overview.ended
    ]
    for run in overview.board.running:
        report = run.progress()
        facts = {"script": run.script, "version": run.version, "status": "RUNNING", "seconds_left": run.seconds_left()}
        rows.append(facts | {key: report.get(key) for key in ("step", "total")} | report.get("metrics", {}))
    first = ["script", "version", "status", "seconds", "step", "total", "seconds_left", "error"]
    names = dict.fromkeys([*first, *(name for row in rows for name in row)])
    return pd.DataFrame(rows, columns=list(names))


def show(project: str | Path, run: str) -> pd.Series:
    """Return all that is recorded of one run, parameters and metrics by their names.

    Args:
        project: the project folder.
        run: `SCRIPT:VERSION`, or `SCRIPT:VERSION@RUN_ID`.
    Raises: ReportError: there is no such run.
    """
    with _history(project) as history:
        return run_frame(history, [history.find(run)], with_details=True).iloc[0]


def logs(project: str | Path, run: str) -> str:
    """Return what a run has printed; empty where it is gone. Args, Raises: as for `show`."""
    with _history(project) as history:
        printed = printed_by(history, history.find(run))
    return "" if printed is None else "".join(printed.lines(with_rest=True))


def diff(project: str | Path, first: str, second: str) -> pd.DataFrame:
    """Return what differs between two runs.

    Args:
        project: the project folder.
        first, second: `SCRIPT:VERSION`, or `SCRIPT:VERSION@RUN_ID`.
    Returns: a row for each thing that differs, with its kind (run, parameters, metrics, packages, code), both values,
        and of numbers the difference second - first. The code is one row, a unified difference.
    Raises: ReportError: there is no such run.
    """
    with _history(project) as history:
        found = difference_of(history, history.find(first), history.find(second))
    kinds = {"run": found.facts, "parameters": found.parameters, "metrics": found.metrics, "packages": found.packages}
    rows = [
        (kind, line.name, line.first, line.second, line.delta)
        for kind, lines in kinds.items()
        for line in lines
        if line.differs
    ]
    if found.code:
        rows.append(("code", found.code, None, None, None))
    return pd.DataFrame(rows, columns=["kind", "name", "first", "second", "difference"])


def _history(project: str | Path) -> History:
    return History(load_project(Path(project)))
