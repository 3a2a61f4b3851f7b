"""Repeated runs, the same script and parameters but for the seed, as one row of a table."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlpipeline.reports.columns import Column, canonical, is_usable
from mlpipeline.reports.history import Run
from mlpipeline.reports.student import Sample, sample_of

_MEANS = ("seconds", "memory_mb", "steps")
_JOINED = 4
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=str).encode


@dataclass(frozen=True)
class Group:
    """Runs that repeat each other.

    Args:
        runs: in the order in which they ended.
        sample: of the compared metric, in the runs that succeeded.
    """

    runs: tuple[Run, ...]
    sample: Sample

    def value(self, column: Column) -> Any:
        """Return the mean of a metric or a measure, and of anything else what the runs have, counted or listed."""
        if column.kind == "metric":
            return _mean(usable(self.runs, column))
        if column.kind == "parameter" and not column.name.endswith("seed"):
            return column.of(self.runs[0])  # the others have the same
        if column.name in _MEANS:
            return _mean([column.of(run) for run in self.runs])
        if column.name == "name":
            more = len({run.version for run in self.runs}) - 1
            return f"{self.runs[0].name} +{more}" if more else self.runs[0].name
        if column.name == "status":
            counts = Counter(run.status for run in self.runs)
            several = (f"{count} {status}" for status, count in counts.items())
            return self.runs[0].status if len(counts) == 1 else ", ".join(several)
        values = [column.of(run) for run in self.runs]
        return values[0] if len({canonical(value) for value in values}) == 1 else _joined(values)


def repetitions(runs: Sequence[Run]) -> list[list[Run]]:
    """Return the runs that repeat each other together, in the order of their first.

    The code may have changed between two of them: a version that is added to a script changes it.
    """
    found: dict[tuple[str, Hashable], list[Run]] = {}
    keys: dict[int, Hashable] = {}
    for run in runs:
        known = keys.get(id(run.parameters))
        if known is None:
            known = keys[id(run.parameters)] = _key(run.parameters)
        # a script that could not be loaded repeats nothing
        found.setdefault((run.script, known if run.version else run.run_id), []).append(run)
    return list(found.values())


def _key(parameters: Mapping[str, Any]) -> Hashable:
    """Return what is equal for equal parameters but for the seed, in whatever order."""
    try:
        return frozenset((name, value, type(value)) for name, value in parameters.items() if name != "seed")
    except TypeError:  # a list or a mapping is among them
        return _encode({name: value for name, value in parameters.items() if name != "seed"})


def group_of(runs: Sequence[Run], metric: Column | None) -> Group:
    """Return runs as one row. Args: metric: what they are compared by."""
    return Group(tuple(runs), sample_of(usable(runs, metric) if metric else []))


def usable(runs: Iterable[Run], column: Column) -> list[float]:
    """Return the values of a metric that count: of runs that succeeded, finite."""
    return [value for run in runs if is_usable(run, value := column.of(run))]


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _joined(values: Iterable[Any]) -> str:
    texts = list(dict.fromkeys(str(value) for value in values))
    more = f", ... ({len(texts)})" if len(texts) > _JOINED else ""
    return ", ".join(texts[:_JOINED]) + more
