"""Figures of parameters and a metric over many runs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mlpipeline.errors import ReportError
from mlpipeline.reports.history import Run
from mlpipeline.reports.plotting import new_figure, shown

if TYPE_CHECKING:
    import numpy as np
    from plotly.graph_objects import Figure

_FEWEST_RUNS = 10
_MOST_RUNS = 500  # that a forest learns from
_FOLDS = 3
_SHUFFLES = 4
_TREES = 40
_MOST_PARAMETERS = 15
_MOST_AXES = 9
_MOST_TICKS = 25
_LONGEST_TICK = 24
_WIDE = 50.0  # the ratio of largest and smallest from which a scale may be logarithmic
_LOWER_END = 0.2
_NONE_BELOW = 0.15  # of the height of an axis


def parallel_of_runs(runs: Sequence[Run], metric: str) -> Figure:
    """Draw runs as lines through the parameters that differ and a metric, which colours them.

    Raises: ReportError: no run has the metric.
    """
    chosen = _with_metric(runs, metric)
    values = [run.metrics[metric] for run in chosen]
    columns = differing_parameters(chosen)
    most_told = sorted(columns, key=lambda name: sum(value is None for value in columns[name]))[:_MOST_AXES]
    dimensions = [_dimension(name, column) for name, column in columns.items() if name in most_told]
    trace = {
        "type": "parcoords",
        "ids": [run.run_id for run in chosen],
        "dimensions": [*dimensions, {"label": shown(metric), "values": values}],
        "line": {"color": values, "colorscale": "Viridis", "showscale": False},
    }
    return new_figure([trace], {})


def importance_of_runs(runs: Sequence[Run], metric: str) -> Figure:
    """Draw how much each parameter tells of a metric: permutation importance of a random forest.

    The forest (scikit-learn) learns the metric from the parameters of two thirds of the runs; on the others the values
    of one parameter are shuffled, and what the part of the metric's variance that is explained (R²) falls by is its
    importance. Each third is held out once; the bars are means, the lines standard deviations.

    Raises: ReportError: fewer than ten runs have the metric, no parameter differs, or the forest learns nothing.
    """
    chosen = _with_metric(runs, metric)
    chosen = chosen[:: math.ceil(len(chosen) / _MOST_RUNS)]
    columns = differing_parameters(chosen)
    if len(chosen) < _FEWEST_RUNS or not columns:
        have = f"{len(chosen)} run{'s' * (len(chosen) != 1)} with {metric}"
        differ = "" if columns else ", and no parameter differs"
        raise ReportError(
            f"importance needs at least {_FEWEST_RUNS} runs whose parameters differ: there are {have}{differ}"
        )
    if len({run.metrics[metric] for run in chosen}) == 1:
        raise ReportError(f"{metric} is the same in all runs: nothing tells of it")
    means, deviations, explained = _importance(columns, [run.metrics[metric] for run in chosen])
    if explained <= 0:
        raise ReportError(
            f"the parameters tell nothing of {metric}: what a random forest learns from some of these {len(chosen)} "
            f"runs does not hold for the others (R² {explained:.2f})"
        )
    order = sorted(range(len(columns)), key=lambda k: means[k])
    names = list(columns)
    bars = {
        "type": "bar",
        "orientation": "h",
        "x": [float(means[k]) for k in order],
        "y": [shown(names[k]) for k in order],
        "error_x": {"type": "data", "array": [float(deviations[k]) for k in order]},
    }
    told = f"fall of R² of {shown(metric)}<br>(R² of runs not seen: {explained:.2f}, {len(chosen)} runs)"
    axes = {"xaxis": {"title": {"text": told}}, "yaxis": {"type": "category", "automargin": True}}
    return new_figure([bars], axes)


def differing_parameters(runs: Sequence[Run]) -> dict[str, list[Any]]:
    """Return the columns of the parameters that are not the same in all runs, `script` among them.

    A value is a number or a text; None where a run does not have the parameter. What has one value in each script, or
    another in each run, says no more than the name of the script or run.
    """
    names = dict.fromkeys(name for run in runs for name in run.parameters)
    scripts = [run.script for run in runs]
    columns = {name: [_scalar(run.parameters.get(name)) for run in runs] for name in names}
    told = {name: column for name, column in columns.items() if _tells(column, scripts)}
    return {**({"script": scripts} if len(set(scripts)) > 1 else {}), **dict(list(told.items())[:_MOST_PARAMETERS])}


def _tells(column: Sequence[Any], scripts: Sequence[str]) -> bool:
    count = len(set(column))
    is_a_name = count == len(column) > 2 and all(isinstance(value, str) for value in column)
    return count > 1 and not is_a_name and len(set(zip(scripts, column, strict=True))) > len(set(scripts))


def _with_metric(runs: Sequence[Run], metric: str) -> list[Run]:
    chosen = [run for run in runs if math.isfinite(run.metrics.get(metric, math.nan))]
    if not chosen:
        raise ReportError(f"no run has a finite value of {metric}")
    return chosen


def _scalar(value: Any) -> float | str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, int | float) and math.isfinite(value):
        return float(value)
    return json.dumps(value, default=str)


def _are_numbers(column: Sequence[Any]) -> bool:
    return all(value is None or isinstance(value, float) for value in column) and any(column)


def _dimension(name: str, column: Sequence[Any]) -> dict[str, Any]:
    if not _are_numbers(column):
        labels = sorted({_label(value) for value in column})
        places = {label: place for place, label in enumerate(labels)}
        ticks = range(0, len(labels), max(1, math.ceil(len(labels) / _MOST_TICKS)))
        return {
            "label": shown(name),
            "values": [places[_label(value)] for value in column],
            "tickvals": list(ticks),
            "ticktext": [shown(labels[place], _LONGEST_TICK) for place in ticks],
        }
    distinct: list[float] = sorted({value for value in column if value is not None})
    scale, label = (math.log10, f"{shown(name)} (log)") if _is_wide(distinct) else (float, shown(name))
    is_few = len(distinct) <= _MOST_TICKS // 2
    rounded = _powers(distinct[0], distinct[-1]) if scale is math.log10 else _steps(distinct)
    marks = distinct if is_few else rounded
    # below all others, where some runs do not have it
    low, high = scale(distinct[0]), scale(distinct[-1])
    none = low - _NONE_BELOW * ((high - low) or 1.0)
    has_none = None in column
    return {
        "label": label,
        "values": [none if value is None else scale(value) for value in column],
        "tickvals": [none] * has_none + [scale(value) for value in marks],
        "ticktext": ["none"] * has_none + [f"{value:.4g}" for value in marks],
    }


def _steps(distinct: Sequence[float]) -> list[float]:
    """Return a few round numbers between the ends of increasing values."""
    step = 10 ** math.floor(math.log10(distinct[-1] - distinct[0]))
    first, last = math.ceil(distinct[0] / step), math.floor(distinct[-1] / step)
    return [place * step for place in range(first, last + 1)]


def _is_wide(distinct: Sequence[float]) -> bool:
    """Tell whether most of some increasing values would lie at the lower end of a linear scale."""
    smallest, largest = distinct[0], distinct[-1]
    if smallest <= 0 or largest / smallest < _WIDE:
        return False
    return distinct[len(distinct) // 2] - smallest < _LOWER_END * (largest - smallest)


def _label(value: Any) -> str:
    return "none" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _powers(smallest: float, largest: float) -> list[float]:
    return [10.0**power for power in range(math.floor(math.log10(smallest)), math.ceil(math.log10(largest)) + 1)]


def _importance(columns: Mapping[str, list[Any]], values: list[float]) -> tuple[Any, Any, float]:
    """Return mean and deviation of each column's importance, and R² of rows not seen."""
    import numpy as np
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance
    from sklearn.model_selection import KFold

    rows = np.column_stack([_codes(column) for column in columns.values()])
    target = np.asarray(values)
    importances, scores = [], []
    for seen, unseen in KFold(_FOLDS, shuffle=True, random_state=0).split(rows):
        forest = RandomForestRegressor(_TREES, random_state=0).fit(rows[seen], target[seen])
        found = permutation_importance(forest, rows[unseen], target[unseen], n_repeats=_SHUFFLES, random_state=0)
        importances.append(found.importances)
        scores.append(forest.score(rows[unseen], target[unseen]))
    together = np.concatenate(importances, axis=1)
    return together.mean(axis=1), together.std(axis=1), float(np.mean(scores))


def _codes(column: Sequence[Any]) -> np.ndarray[Any, Any]:
    """Return a column as numbers; texts are numbered in their order."""
    import numpy as np

    if all(value is None or isinstance(value, float) for value in column):
        return np.array([math.nan if value is None else value for value in column])
    places = {label: place for place, label in enumerate(sorted({_label(value) for value in column}))}
    return np.array([float(places[_label(value)]) for value in column])
