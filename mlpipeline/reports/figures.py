"""Figures of the recorded runs of a project, as Plotly draws them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlpipeline.errors import ReportError, did_you_mean
from mlpipeline.project import ARTIFACTS_FOLDER, load_project
from mlpipeline.reports.curves import CurveReader
from mlpipeline.reports.history import History, Run, names_of
from mlpipeline.reports.parameter_figures import importance_of_runs, parallel_of_runs
from mlpipeline.reports.plotting import new_figure, shown
from mlpipeline.reports.prediction_figures import confusion_of_predictions, read_predictions, residuals_of_predictions
from mlpipeline.selection import parse_selection

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_MOST_POINTS = 2_000


def curves_figure(
    project: str | Path = ".", names: Sequence[str] = (), *, metric: str = "", log: bool = False
) -> Figure:
    """Draw one metric over the steps of the last run of each version.

    Args:
        project: the project folder.
        names: `SCRIPT` or `SCRIPT:VERSION`, which may be patterns; none means all.
        metric: one that was reported over steps; the first one if it is empty.
        log: whether values are on a logarithmic scale.
    Raises: ReportError: no run has such curves.
    """
    with _history(project) as history:
        reader = CurveReader(history)
        curves = {run.name: reader.of(run) for run in _latest(history, names)}
    reported = list(dict.fromkeys(name for by_metric in curves.values() for name in by_metric))
    metric = _known(metric, reported, "is reported over steps")
    traces: list[dict[str, Any]] = []
    for name, by_metric in curves.items():
        if metric in by_metric:
            curve = by_metric[metric].thinned(_MOST_POINTS)
            traces.append(
                {"type": "scatter", "mode": "lines", "name": shown(name), "x": curve.steps, "y": curve.values}
            )
    axis = {"title": {"text": shown(metric)}, "type": "log" if log else "linear"}
    return new_figure(traces, {"xaxis": {"title": {"text": "step"}}, "yaxis": axis, "showlegend": True})


def parallel_coordinates(project: str | Path = ".", names: Sequence[str] = (), *, metric: str = "") -> Figure:
    """Draw the last run of each version as a line through its parameters, those that differ, and a metric.

    Args: as for `curves_figure`; the metric is one of those that a run ends with.
    Raises: ReportError: no run has the metric.
    """
    runs, metric = _measured(project, names, metric)
    return parallel_of_runs(runs, metric)


def parameter_importance(project: str | Path = ".", names: Sequence[str] = (), *, metric: str = "") -> Figure:
    """Draw how much each parameter tells of a metric, over the last run of each version.

    A random forest (scikit-learn) learns the metric from the parameters. Importance is what its error on runs that it
    has not seen grows by, in parts of the metric's variance, when the values of one parameter are shuffled.

    Args: as for `parallel_coordinates`.
    Raises: ReportError: the runs are too few, or their parameters do not differ.
    """
    runs, metric = _measured(project, names, metric)
    return importance_of_runs(runs, metric)


def confusion_matrix(project: str | Path, run: str, *, name: str = "") -> Figure:
    """Draw how often each label was predicted for each true one.

    Args:
        project: the project folder.
        run: `SCRIPT:VERSION`, or `SCRIPT:VERSION@RUN_ID`.
        name: of the predictions, as it was given to `save_predictions`; the first ones if it is empty.
    Raises: ReportError: there is no such run, it has kept no predictions, or they are not of one label each.
    """
    return confusion_of_predictions(read_predictions(_predictions_file(project, run, name)))


def residuals(project: str | Path, run: str, *, name: str = "") -> Figure:
    """Draw what is left between predicted and true values.

    Args: as for `confusion_matrix`.
    Raises: ReportError: there is no such run, it has kept no predictions, or they are no numbers.
    """
    return residuals_of_predictions(read_predictions(_predictions_file(project, run, name)))


def _history(project: str | Path) -> History:
    return History(load_project(Path(project)))


def _latest(history: History, names: Sequence[str]) -> list[Run]:
    runs = history.latest([parse_selection(text) for text in names])
    if not runs:
        raise ReportError(f"no run of {', '.join(names) or 'any script'} is recorded; `mlpipeline -r` runs the queue")
    return runs


def _measured(project: str | Path, names: Sequence[str], metric: str) -> tuple[list[Run], str]:
    with _history(project) as history:
        runs = _latest(history, names)
    return runs, _known(metric, sorted(names_of(runs, "metrics")), "is a metric of these runs")


def _known(metric: str, names: Sequence[str], what: str) -> str:
    if metric in names or (not metric and names):
        return metric or names[0]
    there = f"; there are {', '.join(names)}" if names else "; there are none"
    raise ReportError(f"no {metric or 'metric'} {what}{did_you_mean(metric, names) or there}")


def _predictions_file(project: str | Path, text: str, name: str) -> Path:
    with _history(project) as history:
        run = history.find(text)
        folder = history.folder(run)
    ending = ".predictions.csv"
    files = sorted((folder / ARTIFACTS_FOLDER / run.run_id).glob(f"*{ending}")) if folder else []
    names = [path.name.removesuffix(ending) for path in files]
    if not names:
        raise ReportError(f"{text} has kept no predictions; a model keeps them with `self.save_predictions(...)`")
    return files[names.index(_known(name, names, f"are predictions of {text}"))]
