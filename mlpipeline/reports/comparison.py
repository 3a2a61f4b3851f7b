"""Runs -> a table that compares them.

compare_runs
    compile_where          which runs
    Columns.find_metric    by what
    _Table                 repeated runs as one row, where there are any
    sorted_places          in which order, and how many
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

from mlpipeline.errors import ReportError
from mlpipeline.reports.columns import STATISTICS, Column, Columns, differing, is_error, is_usable
from mlpipeline.reports.groups import Group, group_of, repetitions
from mlpipeline.reports.history import Run
from mlpipeline.reports.student import welch_p
from mlpipeline.reports.where import compile_where

_OF_GROUPS = frozenset(STATISTICS) - {"delta"}


@dataclass(frozen=True)
class Question:
    """What to compare.

    Args:
        metric: the name, or its end where that is clear; empty for the usual one.
        minimizes: whether a low value is better; None to tell by the name.
        sort: a column, with `-` before it for falling values; empty for the best first.
        where: a filter expression, see `compile_where`.
        columns: their names; empty for the usual ones.
        groups: show repeated runs as one row; None: where there are any.
        limit: rows at most; None for all.
    """

    metric: str = ""
    minimizes: bool | None = None
    sort: str = ""
    where: str = ""
    columns: tuple[str, ...] = ()
    groups: bool | None = None
    limit: int | None = None


@dataclass(frozen=True)
class Comparison:
    """A table.

    Args:
        columns: names of the columns.
        rows: as many values in each; None where there is none.
        metric: the column that was compared by; empty where no run has any.
        minimizes: whether a low value is better.
        best: the place of the best row; None where it is not among them.
        is_grouped: repeated runs are one row: the metrics are means; `n` runs with a finite metric, `sd` its sample
            standard deviation, `ci95` half the width of the 95 % confidence interval of its mean, `p` of Welch's
            test against the best.
        hidden: how many rows the limit has left out.
    """

    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    metric: str
    minimizes: bool
    best: int | None
    is_grouped: bool
    hidden: int


def compare_runs(runs: Sequence[Run], question: Question) -> Comparison:
    """Return the table of some runs.

    Raises: ReportError: a column or metric is not there, or the filter cannot be read.
    """
    columns = Columns(runs)
    if question.where:
        matches = compile_where(question.where, lambda name: columns.find(name).of)
        runs = [run for run in runs if matches(run)]
    # a metric that is asked for may be one that only filtered runs have
    metric = columns.find_metric(question.metric) if question.metric else Columns(runs).usual_metric()
    minimizes = question.minimizes
    if minimizes is None:
        minimizes = metric is not None and is_error(metric.name)
    table = _Table(columns, runs, metric, minimizes, question.groups)
    names = question.columns or table.usual_columns()
    places = table.sorted_places(question.sort)
    shown = places[: question.limit]
    rows = list(zip(*(table.values(name, shown) for name in names), strict=True))
    best = shown.index(table.best_place) if table.best_place in shown else None
    name = metric.name if metric else ""
    return Comparison(tuple(names), rows, name, minimizes, best, table.is_grouped, len(places) - len(shown))


class _Table:
    """The rows before they are sorted, and the values of their columns.

    Column by column, and with repeated runs as the exception: there may be a hundred thousand rows.
    """

    def __init__(
        self, columns: Columns, runs: Sequence[Run], metric: Column | None, minimizes: bool, groups: bool | None
    ) -> None:
        self._columns = columns
        self._metric = metric
        self._minimizes = minimizes
        members = repetitions(runs) if groups is not False else []
        self.is_grouped = len(members) < len(runs) if groups is None else groups
        self._runs = [runs[0] for runs in members] if self.is_grouped else list(runs)
        several = {place: found for place, found in enumerate(members) if len(found) > 1} if self.is_grouped else {}
        self._groups = {place: group_of(found, metric) for place, found in several.items()}
        self._all_runs = runs
        self._usable = self._usable_values()
        best = (min if minimizes else max)(self._usable, key=self._usable.__getitem__, default=None)
        self.best_place: int | None = best

    def usual_columns(self) -> tuple[str, ...]:
        """Return the columns where none are asked for: what differs, the metrics, the time and the memory."""
        parameters = [column.name for column in differing(self._columns.parameters(), self._all_runs)]
        if "parameters.seed" in parameters:
            parameters[parameters.index("parameters.seed")] = "seed"
        metrics = [column.name for column in Columns(self._all_runs).metrics()]
        of_groups = ("n",) if self.is_grouped else ()
        # the same for all, it tells less than the parameters that differ
        early, late = ((), ("status",)) if len({run.status for run in self._all_runs}) == 1 else (("status",), ())
        compared = self._metric.name if self._metric else None
        if compared:
            metrics = [name for name in metrics if name != compared]
            spread = ("ci95", "sd", "delta", "p") if self.is_grouped else ("delta",)
            metrics = [compared, *spread, *metrics]
        return ("name", *of_groups, *early, *parameters, *metrics, *late, "seconds", "memory_mb")

    def values(self, name: str, places: Sequence[int]) -> list[Any]:
        """Return the values of a column at some rows. Raises: ReportError: there is none of this name."""
        if name == "delta":
            return self._deltas(places)
        if name in _OF_GROUPS and self.is_grouped:
            return self._statistics(name, places)
        try:
            return self._read(self._columns.find(name), places)
        except ReportError as error:
            if name in _OF_GROUPS:
                raise ReportError(f"the column {name} is there where repeated runs are grouped: add --group") from None
            raise ReportError(f"{error}, delta") from None

    def sorted_places(self, sort: str) -> list[int]:
        """Return the places of the rows in order; those without a value come last."""
        every = range(len(self._runs))
        if sort:
            values, falls = self.values(sort.removeprefix("-"), every), sort.startswith("-")
        elif self._metric is None:
            return list(every)
        else:
            values, falls = self._read(self._metric, every), not self._minimizes
        keys = [(0, value) if type(value) is float and value == value else _order(value) for value in values]
        present = [(key, place) for place, key in enumerate(keys) if key is not None]
        missing = [place for place, key in enumerate(keys) if key is None]
        present.sort(key=itemgetter(0), reverse=falls)
        return [place for _, place in present] + missing

    def _read(self, column: Column, places: Sequence[int]) -> list[Any]:
        of, runs, groups = column.of, self._runs, self._groups
        if len(places) < len(runs) // 4:
            return [groups[place].value(column) if place in groups else of(runs[place]) for place in places]
        values = [of(run) for run in runs]  # in the order in which they lie in memory: several times as fast
        for place, group in groups.items():
            values[place] = group.value(column)
        return [values[place] for place in places]

    def _deltas(self, places: Sequence[int]) -> list[float | None]:
        if self._metric is None or self.best_place is None:
            return [None] * len(places)
        best = self._usable[self.best_place]
        return [None if value is None else value - best for value in self._read(self._metric, places)]

    def _usable_values(self) -> dict[int, float]:
        """Return the compared values of the rows that count, by their places."""
        if self._metric is None:
            return {}
        of, groups = self._metric.of, self._groups
        usable = {
            place: value
            for place, run in enumerate(self._runs)
            if place not in groups and is_usable(run, value := of(run))
        }
        return {**usable, **{place: group.sample.mean for place, group in groups.items() if group.sample.n}}

    def _statistics(self, name: str, places: Sequence[int]) -> list[Any]:
        groups = self._groups
        if name == "n":
            usable = self._usable
            return [groups[place].sample.n if place in groups else int(place in usable) for place in places]
        return [self._statistic(name, groups[place]) if place in groups else None for place in places]

    def _statistic(self, name: str, group: Group) -> float | None:
        if name == "sd":
            return group.sample.deviation
        if name == "ci95":
            return group.sample.interval()
        best = self._groups.get(self.best_place) if self.best_place is not None else None
        return None if best is None or best is group else welch_p(group.sample, best.sample)


def _order(value: Any) -> tuple[int, Any] | None:
    """Return what orders values of any kinds: numbers before texts before anything else; None for missing ones."""
    if value is None or value != value:
        return None
    if isinstance(value, (int, float)):
        return 0, value
    return (1, value) if isinstance(value, str) else (2, json.dumps(value, sort_keys=True, default=str))
