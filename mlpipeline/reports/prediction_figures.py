"""Figures of kept predictions: a confusion matrix of labels, residuals of values."""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlpipeline.errors import ReportError
from mlpipeline.reports.plotting import new_figure, shown

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_MOST_LABELS = 60
_MOST_POINTS = 2_000


@dataclass(frozen=True)
class Predictions:
    """What a file of predictions holds. Args: truth, prediction: columns, one for each output; ids: as texts."""

    name: str
    ids: list[str]
    truth: list[list[str]]
    prediction: list[list[str]]

    @property
    def are_labels(self) -> bool:
        """Whether they are texts, or whole numbers of which there are few."""
        if len(self.truth) != 1:
            return False
        values = set(self.truth[0]) | set(self.prediction[0])
        are_whole = all(_is_whole(value) for value in values)
        are_texts = not all(_is_number(value) for value in values)
        return len(values) <= _MOST_LABELS and (are_whole or are_texts)


def read_predictions(path: Path) -> Predictions:
    """Return the predictions in a file that `save_predictions` has written.

    Raises: ReportError: it holds something else, or nothing.
    """
    try:
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            header, *rows = csv.reader(file)
        columns = dict(zip(header, zip(*rows, strict=True), strict=True))
        names = [name for name in header if name.partition("_")[0] == "truth"]
        truth = [list(columns[name]) for name in names]
        prediction = [list(columns[name.replace("truth", "prediction", 1)]) for name in names]
        ids = list(columns["id"])
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise ReportError(
            f"{path} holds no predictions: expected the columns id, truth and prediction, and rows ({error})"
        ) from None
    return Predictions(path.name.partition(".")[0], ids, truth, prediction)


def figure_of_predictions(path: Path) -> Figure:
    """Draw a file of predictions as a confusion matrix if they are labels, otherwise as residuals.

    Raises: ReportError: the file holds no predictions.
    """
    predictions = read_predictions(path)
    draw = confusion_of_predictions if predictions.are_labels else residuals_of_predictions
    return draw(predictions)


def confusion_of_predictions(predictions: Predictions) -> Figure:
    """Draw how often each label was predicted for each true one; the colour is the part of the true label's row.

    Raises: ReportError: they are not one label each, or the labels are too many to be seen.
    """
    if len(predictions.truth) != 1:
        raise ReportError(f"{predictions.name}: a confusion matrix needs one label each; `residuals` shows values")
    truth, predicted = predictions.truth[0], predictions.prediction[0]
    labels = sorted(set(truth) | set(predicted), key=_label_order)
    if len(labels) > _MOST_LABELS:
        raise ReportError(f"{predictions.name}: {len(labels)} labels are more than the {_MOST_LABELS} that can be seen")
    counted = Counter(zip(truth, predicted, strict=True))
    counts = [[counted[one, other] for other in labels] for one in labels]
    parts = [[count / max(1, sum(row)) for count in row] for row in counts]
    names = [shown(label) for label in labels]
    right = sum(one == other for one, other in zip(truth, predicted, strict=True)) / len(truth)
    heat = {
        "type": "heatmap",
        "z": parts,
        "x": names,
        "y": names,
        "text": counts,
        "texttemplate": "%{text}" if len(labels) <= _MOST_LABELS // 3 else "",
        "hovertemplate": "true %{y}, predicted %{x}: %{text} (%{z:.1%})<extra></extra>",
        "zmin": 0,
        "zmax": 1,
        "colorscale": "Blues",
        "colorbar": {"title": {"text": "part of true"}, "tickformat": ".0%"},
    }
    title = f"{shown(predictions.name)}: {right:.2%} of {len(truth)} right"
    axis = {"type": "category", "constrain": "domain"}
    down = {**axis, "autorange": "reversed", "title": {"text": "true"}}
    return new_figure(
        [heat], {"title": {"text": title}, "xaxis": {**axis, "title": {"text": "predicted"}}, "yaxis": down}
    )


def residuals_of_predictions(predictions: Predictions) -> Figure:
    """Draw predicted minus true over predicted values, one trace for each output; about 2,000 points of many.

    Raises: ReportError: the predictions are no numbers.
    """
    traces, errors = [], []
    for place, (true_texts, predicted_texts) in enumerate(zip(predictions.truth, predictions.prediction, strict=True)):
        truth, predicted = _numbers(predictions, true_texts), _numbers(predictions, predicted_texts)
        errors += [one - other for one, other in zip(predicted, truth, strict=True)]
        kept = range(0, len(truth), math.ceil(len(truth) / _MOST_POINTS) or 1)
        trace = {
            "type": "scatter",
            "mode": "markers",
            "marker": {"size": 5, "opacity": 0.6},
            "name": f"output {place}",
            "x": [predicted[k] for k in kept],
            "y": [predicted[k] - truth[k] for k in kept],
            "text": [shown(predictions.ids[k]) for k in kept],
            "hovertemplate": "%{text}: predicted %{x:.4g}, off by %{y:.4g}<extra></extra>",
        }
        traces.append(trace)
    finite = [error for error in errors if math.isfinite(error)]
    spread = math.sqrt(sum(error * error for error in finite) / max(1, len(finite)))
    layout = {
        "title": {"text": f"{shown(predictions.name)}: root mean square error {spread:.4g}"},
        "xaxis": {"title": {"text": "predicted"}},
        "yaxis": {"title": {"text": "predicted - true"}, "zeroline": True, "zerolinewidth": 2},
        "showlegend": len(traces) > 1,
    }
    return new_figure(traces, layout)


def _numbers(predictions: Predictions, texts: Sequence[str]) -> list[float]:
    try:
        return [float(text) for text in texts]
    except ValueError as error:
        raise ReportError(f"{predictions.name}: residuals need numbers, but {error}") from None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_whole(text: str) -> bool:
    return _is_number(text) and float(text).is_integer()


def _label_order(text: str) -> tuple[bool, Any]:
    return (False, float(text)) if _is_number(text) else (True, text)
