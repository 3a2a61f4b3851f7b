"""Runs, comparisons and curves as data frames of pandas.

Example:
    >>> from mlpipeline.reports import runs
    >>> runs(".").groupby("learning_rate")["test.accuracy"].mean()  # doctest: +SKIP
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from mlpipeline.project import load_project
from mlpipeline.reports.choice import choose_runs
from mlpipeline.reports.columns import Columns
from mlpipeline.reports.comparison import Question, compare_runs
from mlpipeline.reports.flat import CURVE_COLUMNS, curve_rows, run_columns
from mlpipeline.reports.history import History, Run
from mlpipeline.reports.where import compile_where

_LOG = logging.getLogger(__name__)
_TIMES = ("started", "ended")


def runs(project: str | Path = ".", names: Sequence[str] = (), *, where: str = "", every: bool = True) -> pd.DataFrame:
    """Return the recorded runs, a row each, in the order in which they ended.

    Args:
        project: the project folder.
        names: scripts, versions or runs (`SCRIPT:VERSION@RUN_ID`), also patterns; none means all.
        where: a filter, such as `learning_rate < 0.1 and status == 'SUCCEEDED'`.
        every: all runs, and not only the last of each version.
    Returns: columns for what is recorded of every run, parameters and metrics by their names.
    Raises: ReportError: a name means nothing, or the filter cannot be read.
    """
    with _history(project) as history:
        return run_frame(history, _chosen(history, names, where, every))


def compare(
    project: str | Path = ".",
    names: Sequence[str] = (),
    *,
    metric: str = "",
    minimizes: bool | None = None,
    sort: str = "",
    where: str = "",
    columns: Sequence[str] = (),
    every: bool = False,
    groups: bool | None = None,
    limit: int | None = None,
) -> pd.DataFrame:
    """Return the table that `mlpipeline compare` prints; see `Question` and `Comparison` for what is in it."""
    with _history(project) as history:
        question = Question(metric, minimizes, sort, where, tuple(columns), groups, limit)
        table = compare_runs(choose_runs(history, names, every=every), question)
    return pd.DataFrame(table.rows, columns=list(table.columns))


def learning_curves(
    project: str | Path = ".",
    names: Sequence[str] = (),
    *,
    metrics: Sequence[str] = (),
    where: str = "",
    every: bool = False,
) -> pd.DataFrame:
    """Return the metrics over steps, a row for each point: run_id, script, version, metric, step, time, value.

    Args:
        project, names, where, every: as for `runs`, but the last run of each version is the default.
        metrics: none means all.
    """
    with _history(project) as history:
        return curve_frame(history, _chosen(history, names, where, every), metrics)


def run_frame(history: History, chosen: Sequence[Run], *, with_details: bool = False) -> pd.DataFrame:
    """Return a row for each run."""
    frame = pd.DataFrame(run_columns(history, chosen, with_details=with_details))
    for name in _TIMES:
        frame[name] = pd.to_datetime(frame[name], format="ISO8601", utc=True, errors="coerce")
    return frame


def curve_frame(history: History, chosen: Sequence[Run], metrics: Sequence[str] = ()) -> pd.DataFrame:
    """Return a row for each point of the curves of runs."""
    frame = pd.DataFrame(list(curve_rows(history, chosen, metrics)), columns=list(CURVE_COLUMNS))
    frame["time"] = pd.to_datetime(frame["time"].astype(float), unit="s", utc=True)
    return frame.astype({"step": int, "value": float})


def _history(project: str | Path) -> History:
    return History(load_project(Path(project)), warn=_LOG.warning)


def _chosen(history: History, names: Sequence[str], where: str, every: bool) -> list[Run]:
    found = choose_runs(history, names, every=every)
    if not where:
        return found
    columns = Columns(found)
    matches = compile_where(where, lambda name: columns.find(name).of)
    return [run for run in found if matches(run)]
