"""Which runs are meant by `SCRIPT`, `SCRIPT:VERSION` and `SCRIPT:VERSION@RUN_ID`."""

from __future__ import annotations

from collections.abc import Sequence

from mlpipeline.errors import ReportError, did_you_mean
from mlpipeline.reports.columns import listed
from mlpipeline.reports.history import History, Run, is_selected
from mlpipeline.selection import parse_selection


def choose_runs(history: History, names: Sequence[str], *, every: bool = False) -> list[Run]:
    """Return the last run of each version that is named, in the order in which they ended.

    Args:
        history: the records.
        names: scripts or versions, which may be patterns, or runs; none means all.
        every: all runs, not only the last of each version.
    Raises: ReportError: a name means nothing that is recorded.
    """
    plain = [name for name in names if not is_of_one_run(name)]
    selections = [parse_selection(name) for name in plain]
    runs: list[Run] = []
    if selections or not names:
        runs = history.runs(selections) if every else history.latest(selections)
    for name, selection in zip(plain, selections, strict=True):
        if not any(is_selected(run, [selection]) for run in runs):
            raise _nothing(history, name)
    single = [history.find(name) for name in names if is_of_one_run(name)]
    chosen = {run.run_id: run for run in [*runs, *single]}
    return sorted(chosen.values(), key=lambda run: run.place) if single else runs


def is_of_one_run(name: str) -> bool:
    """Tell whether a name has the form SCRIPT:VERSION@RUN_ID."""
    return "@" in name.partition(":")[2]


def is_of_one_version(name: str) -> bool:
    """Tell whether a name means one version, and no pattern."""
    script, _, version = name.partition(":")
    return bool(version) and not set(script + version) & set("*?")


def _nothing(history: History, name: str) -> ReportError:
    runs = history.latest()
    if not runs:
        return ReportError(f"no run of {name} is recorded; `mlpipeline -r` records runs")
    scripts = list(dict.fromkeys(run.script for run in runs))
    near = did_you_mean(name, [*scripts, *(run.name for run in runs)]) or f"; there are runs of {listed(scripts)}"
    return ReportError(f"no run of {name} is recorded{near}")
