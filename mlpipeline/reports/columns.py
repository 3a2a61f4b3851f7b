"""The columns of a table of runs: what is recorded of each, its parameters and its metrics, by name."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from mlpipeline.errors import ReportError, did_you_mean
from mlpipeline.records import Status
from mlpipeline.reports.history import Run

FACTS: dict[str, Callable[[Run], Any]] = {
    "name": attrgetter("name"),
    "run_id": attrgetter("run_id"),
    "script": attrgetter("script"),
    "version": attrgetter("version"),
    "status": attrgetter("status"),
    "started": attrgetter("started"),
    "ended": attrgetter("ended"),
    "seconds": attrgetter("seconds"),
    "memory_mb": attrgetter("peak_memory_mb"),
    "steps": attrgetter("steps"),
    "seed": attrgetter("seed"),
    "resumed": attrgetter("resumed"),
    "host": attrgetter("host"),
    "git_commit": attrgetter("git_commit"),
    "source_digest": attrgetter("source_digest"),
    "fingerprint": attrgetter("fingerprint"),
    "model_dir": attrgetter("model_dir"),
    "error": attrgetter("error_summary"),
}
"""What is recorded of every run; `name` is SCRIPT:VERSION."""
STATISTICS = ("n", "sd", "ci95", "delta", "p")
"""Of a table of runs, and of no run."""
_TAKEN = frozenset((*FACTS, *STATISTICS))
_ALIASES = {"memory": "memory_mb", "peak_memory_mb": "memory_mb", "error_summary": "error", "commit": "git_commit"}
_LISTED = 30
_SUCCEEDED = Status.SUCCEEDED.value  # a plain text is compared faster
_ERRORS = {
    *("loss", "error", "errors", "err", "mse", "rmse", "mae", "mape", "smape", "msle", "rmsle"),
    *("nll", "entropy", "perplexity", "ppl", "deviance", "divergence", "kl", "brier"),
    *("wer", "cer", "eer", "fid", "cost", "regret", "distance", "latency"),
}


@dataclass(frozen=True)
class Column:
    """A column. Args: name: as it is shown and asked for; kind: fact, parameter or metric; of: reads it from a run."""

    name: str
    kind: str
    of: Callable[[Run], Any]


class Columns:
    """The columns that there are for some runs.

    A parameter or metric that is called as something else is has its kind before its name: `parameters.seconds`.
    """

    def __init__(self, runs: Sequence[Run]) -> None:
        parameters = _keys({id(run.parameters): run.parameters for run in runs}.values())  # equal ones are shared
        self.metric_counts = _keys(run.metrics for run in runs)
        self._parameters = {self._free(name, "parameters", _TAKEN): name for name in parameters}
        self._metrics = {self._free(name, "metrics", {*_TAKEN, *self._parameters}): name for name in self.metric_counts}

    def names(self) -> list[str]:
        return [*FACTS, *self._parameters, *self._metrics]

    def parameters(self) -> list[Column]:
        return [_parameter(shown, name) for shown, name in self._parameters.items()]

    def metrics(self) -> list[Column]:
        return [_metric(shown, name) for shown, name in self._metrics.items()]

    def find(self, name: str) -> Column:
        """Return the column of a name, also of a metric without its `test.`.

        Raises: ReportError: there is none, or several metrics are meant.
        """
        name = _ALIASES.get(name, name) if name not in self._parameters and name not in self._metrics else name
        if name in FACTS:
            return Column(name, "fact", FACTS[name])
        bare = name.removeprefix("parameters.")
        for shown, parameter in self._parameters.items() if name not in self._metrics else ():
            if shown == name or parameter == bare:
                return _parameter(shown, parameter)
        if found := self._metric_named(name):
            return found
        near = did_you_mean(name, self.names())
        raise ReportError(f"there is no column {name!r}{near}; there are {listed(self.names())}")

    def find_metric(self, name: str) -> Column:
        """Return the column of a metric; `accuracy` means `test.accuracy`, or else the only one of that name.

        Raises: ReportError: there is none, or several are meant.
        """
        if found := self._metric_named(name):
            return found
        known = list(self.metric_counts)
        if not known:
            raise ReportError(f"there is no metric {name!r}: the chosen runs have recorded none")
        raise ReportError(f"there is no metric {name!r}{did_you_mean(name, known)}; there are {listed(known)}")

    def usual_metric(self) -> Column | None:
        """Return the metric to compare by where none is asked for: of the test data, of the most runs, no loss."""
        counts = self.metric_counts
        if not counts:
            return None
        place = {name: number for number, name in enumerate(counts)}

        def rank(name: str) -> tuple[bool, int, bool, int]:
            return (not name.startswith("test."), -counts[name], name.endswith("loss"), place[name])

        return self._metric_named(min(counts, key=rank))

    def _metric_named(self, name: str) -> Column | None:
        if name in self._metrics:
            return _metric(name, self._metrics[name])
        bare = name.removeprefix("metrics.")
        known = {metric: shown for shown, metric in self._metrics.items()}
        for wanted in (bare, f"test.{bare}"):
            if wanted in known:
                return _metric(known[wanted], wanted)
        ending = [metric for metric in known if metric.endswith(f".{bare}")]
        if len(ending) > 1:
            raise ReportError(f"{name!r} may mean {listed(ending)}; give one of them")
        return _metric(known[ending[0]], ending[0]) if ending else None

    @staticmethod
    def _free(name: str, kind: str, taken: Iterable[str]) -> str:
        return f"{kind}.{name}" if name in taken else name


def is_error(metric: str) -> bool:
    """Tell whether a metric is better low, by its name: losses, errors and distances are."""
    words = re.findall(r"[a-z]+", metric.rpartition(".")[2].lower())
    if "neg" in words or "negative" in words:  # scikit-learn's scorers
        return False
    return any(word in _ERRORS or word.endswith(("loss", "error", "entropy")) for word in words)


def differing(columns: Sequence[Column], runs: Sequence[Run]) -> list[Column]:
    """Return the parameters that are not the same in all runs."""
    distinct = list({id(run.parameters): run for run in runs}.values())  # the history shares equal ones

    def differs(column: Column) -> bool:
        first = canonical(column.of(distinct[0]))
        return any(canonical(column.of(run)) != first for run in distinct)

    return [column for column in columns if distinct and differs(column)]


def canonical(value: Any) -> Any:
    """Return a value that can be a key, and is equal for equal parameters: 1 and 1.0 are, 1 and True are not."""
    if isinstance(value, str) or value is None:
        return value
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return (type(value).__name__, json.dumps(value, sort_keys=True, default=str))
    return value if value == value else "nan"


def is_usable(run: Run, value: Any) -> bool:
    """Tell whether a run's metric counts for the best: the run succeeded, and it is a finite number."""
    return run.status == _SUCCEEDED and value is not None and abs(value) < float("inf")


def listed(names: Sequence[str]) -> str:
    """Return names for a message, the first ones if there are many."""
    more = f", ... ({len(names)})" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def _keys(mappings: Iterable[Any]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for names, count in Counter(map(tuple, mappings)).items():  # there are few kinds of them
        for name in names:
            counts[name] += count
    return counts


def _parameter(shown: str, name: str) -> Column:
    return Column(shown, "parameter", lambda run: run.parameters.get(name))


def _metric(shown: str, name: str) -> Column:
    return Column(shown, "metric", lambda run: run.metrics.get(name))
