"""What the page shows, as values that go into JSON; the static report and the live server share it.

Numbers that JSON has no word for are "nan", "inf" and "-inf", as in the journals.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from mlpipeline.reports.curves import Curve, CurveReader
from mlpipeline.reports.history import History, Run
from mlpipeline.reports.page_details import details_data
from mlpipeline.selection import Selection

__all__ = ["curve_data", "curves_data", "details_data", "figures_data", "metrics_to_explain", "plain", "runs_data"]

_DIGITS = 6  # of the numbers in curves, which nobody reads more closely on a screen
_MOST_METRICS = 8  # that have figures of their own in a page without a server


def runs_data(history: History, selections: Sequence[Selection] = (), *, every: bool = False) -> list[dict[str, Any]]:
    """Return a row for the last run of each version, or for every run, in the order in which they ended."""
    runs = history.runs(selections) if every else history.latest(selections)
    return [run_data(run) for run in runs]


def run_data(run: Run) -> dict[str, Any]:
    """Return the row of a run."""
    return {
        "id": run.run_id,
        "script": run.script,
        "version": run.version,
        "status": str(run.status),
        "started": run.started,
        "ended": run.ended,
        "seconds": run.seconds,
        "memory": run.peak_memory_mb,
        "steps": run.steps,
        "host": run.host,
        "seed": run.seed,
        "git": run.git_commit,
        "resumed": run.resumed,
        "error_summary": run.error_summary,
        "parameters": plain(run.parameters),
        "metrics": plain(run.metrics),
    }


def curves_data(reader: CurveReader, run: Run, most_points: int = 500) -> dict[str, dict[str, list[Any]]]:
    """Return, by metric, about `most_points` points of a run: `steps`, `values`, `times` in seconds since the first."""
    return {name: curve_data(curve, most_points) for name, curve in reader.of(run).items()}


def curve_data(whole: Curve, most_points: int) -> dict[str, list[Any]]:
    """Return about `most_points` points of a curve."""
    curve = whole.thinned(max(2, most_points))
    first = whole.times[0]
    return {
        "steps": curve.steps,
        "values": [_rounded(value) for value in curve.values],
        "times": [round(moment - first, 2) for moment in curve.times],
    }


def figures_data(runs: Sequence[Run], metric: str) -> dict[str, Any]:
    """Return Plotly's JSON of two figures of runs, `parallel` and `importance`.

    Where a figure cannot be drawn, its place holds the reason, as text.
    """
    from mlpipeline.errors import ReportError
    from mlpipeline.reports.parameter_figures import importance_of_runs, parallel_of_runs

    found: dict[str, Any] = {}
    for name, draw in (("parallel", parallel_of_runs), ("importance", importance_of_runs)):
        try:
            found[name] = json.loads(draw(runs, metric).to_json())
        except ReportError as error:
            found[name] = str(error)
        except (ValueError, OverflowError) as error:  # values near the largest numbers
            found[name] = f"cannot be drawn: {error}"
    return found


def metrics_to_explain(runs: Sequence[Run]) -> list[str]:
    """Return the metrics whose figures a page without a server holds: of test data and of the most runs first."""
    counts = Counter(name for run in runs for name in run.metrics)
    return sorted(counts, key=lambda name: (not name.startswith("test."), -counts[name]))[:_MOST_METRICS]


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _rounded(value: float) -> float | str:
    return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else str(value)
