"""Blending: out-of-fold predictions of several models as one weighted mean.

blend
    _read                  predictions brought together
    climb, least_squares   weights, chosen on the rows that every model has predicted
    _crossed_score         weights chosen on other rows than those that they are scored on
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpipeline.ensemble.scores import CLASS_METRICS, VALUE_METRICS, all_columns, read_metric
from mlpipeline.ensemble.targets import CLASSES, VALUES, Targets, as_targets, read_targets
from mlpipeline.ensemble.weights import Choice, Material, climb, least_squares, weighted_mean
from mlpipeline.errors import EnsembleError, did_you_mean

HILL_CLIMBING, LEAST_SQUARES = "hill_climbing", "least_squares"
METHODS = (HILL_CLIMBING, LEAST_SQUARES)
_DEFAULTS = {CLASSES: "log_loss", VALUES: "rmse"}
_FOLDS = 5


@dataclass(frozen=True, eq=False)
class Blend:
    """Models with their weights, and what they say together.

    Args:
        weights: by name; none is negative, and together they are 1.
        metric: name of the score. method: how the weights were chosen.
        score: of the blended predictions, on the rows that the weights were chosen on: a little hopeful.
        cross_validated_score: with weights chosen on four fifths of the rows, for the rest, in turn; NaN for fewer than
            ten rows.
        scores: of each model alone, on the same rows.
        oof: float[n, outputs], the blended predictions; NaN in rows that a model has not predicted. Classes have a
            column each, also where the models gave one column for two classes.
        left_out: rows that a model has not predicted.
        history: what hill climbing took in each step, from the best model on, and the score with it.
    """

    weights: dict[str, float]
    metric: str
    method: str
    score: float
    cross_validated_score: float
    scores: dict[str, float]
    oof: NDArray[np.float64]
    left_out: int
    history: tuple[tuple[str, float], ...]
    kind: str

    def predict(self, predictions: Mapping[str, Any]) -> NDArray[np.float64]:
        """Return the blended predictions of other rows, float[n, outputs].

        Args:
            predictions: float[n, outputs] by the names that the blend was made with; those of weight 0 may be missing.
        Raises: EnsembleError: a name is missing or unknown, or they do not fit together.
        """
        needed = [name for name, weight in self.weights.items() if weight > 0]
        missing = [name for name in needed if name not in predictions]
        unknown = [name for name in predictions if name not in self.weights]
        if missing or unknown:
            what = f"{unknown[0]!r} is not in the blend" if unknown else f"{missing[0]!r} is missing"
            near = did_you_mean(unknown[0], self.weights) if unknown else ""
            raise EnsembleError(f"{what}{near}; predictions are needed of {', '.join(map(repr, needed))}")
        parts = _brought_together({name: predictions[name] for name in needed}, self.kind)
        return weighted_mean(parts, np.array([self.weights[name] for name in needed]))

    def __str__(self) -> str:
        used = sorted(self.weights.items(), key=lambda item: -item[1])
        listed = ", ".join(f"{name} {weight:.3f} (alone {self.scores[name]:.4f})" for name, weight in used)
        note = f"; {self.left_out} rows left out" if self.left_out else ""
        return (
            f"{self.metric} {self.score:.4f} blended, {self.cross_validated_score:.4f} with weights from other rows; "
            f"{listed}{note}"
        )


def blend(
    predictions: Mapping[str, Any],
    y: Any,
    metric: Any = None,
    *,
    method: str = HILL_CLIMBING,
    greater_is_better: bool = True,
    task: str | None = None,
    steps: int = 50,
    bags: int = 0,
    seed: int = 0,
) -> Blend:
    """Choose a weight for each model by its out-of-fold predictions.

    Hill climbing begins with the mean of the best few models and takes in, step by step, the one that helps the score
    most, as often as it helps; it is never worse than the best model alone. Least squares minimises the squared
    distance from y, one-hot for classes, with weights that are not negative, and divides them by their sum.

    Args:
        predictions: float[n, outputs] by name: probabilities or values; NaN in rows without a prediction.
        y: [n] labels or values, [n, classes] one-hot, or [n, k] values.
        metric: a name as for `Ensemble`, or a function of y and predictions; log_loss or rmse if None.
        method: "hill_climbing" or "least_squares".
        greater_is_better: of a metric that is a function.
        task: "classes" or "values"; told by y and by the number of columns if None.
        steps: at most so many models are taken in, each as often as it helps.
        bags: climb so often with a random half of the models each, and take the mean weights; 0 for once with all.
        seed: of those halves, and of the rows for the cross-validated score.
    Raises: EnsembleError: predictions and y do not fit together, or the method or metric is unknown.
    Source: Caruana et al., Ensemble selection from libraries of models, ICML 2004, sections 2.1 to 2.3.
    """
    _check_options(method, steps, bags)
    parts, rows_y, targets = _read(predictions, y, metric, task)
    chosen = read_metric(_DEFAULTS[targets.kind] if metric is None else metric, targets, greater_is_better)
    is_there = ~np.isnan(parts).any(axis=(0, 2))
    if not is_there.any():
        raise EnsembleError(f"no row has a prediction of each of {', '.join(map(repr, predictions))}")
    material = Material(parts[:, is_there], rows_y[is_there], targets, chosen)

    def choose(some: Material) -> Choice:
        return least_squares(some) if method == LEAST_SQUARES else climb(some, steps, bags, seed)

    choice, names = choose(material), list(predictions)
    oof = np.full(parts.shape[1:], np.nan)
    oof[is_there] = weighted_mean(material.parts, choice.weights)
    alone = [chosen(targets, material.y, part) for part in material.parts]
    return Blend(
        weights=dict(zip(names, choice.weights.tolist(), strict=True)),
        metric=chosen.name,
        method=method,
        score=chosen(targets, material.y, oof[is_there]),
        cross_validated_score=_crossed_score(material, choose, seed),
        scores=dict(zip(names, alone, strict=True)),
        oof=oof,
        left_out=int((~is_there).sum()),
        history=tuple((names[number], score) for number, score in choice.history),
        kind=targets.kind,
    )


def _check_options(method: str, steps: int, bags: int) -> None:
    if method not in METHODS:
        raise EnsembleError(f"method must be {' or '.join(METHODS)}, but got {method!r}")
    for name, number in (("steps", steps), ("bags", bags)):
        if isinstance(number, bool) or not isinstance(number, int) or number < 0:
            raise EnsembleError(f"{name} must be a whole number from 0 on, but got {number!r}")


def _read(
    predictions: Mapping[str, Any], y: Any, metric: Any, task: str | None
) -> tuple[NDArray[np.float64], NDArray[Any], Targets]:
    """Return the predictions, float[models, n, outputs], y, and what y says.

    Raises: EnsembleError: they do not fit together.
    """
    if not isinstance(predictions, Mapping) or not predictions:
        raise EnsembleError(f"predictions must be arrays by name, at least one, but got {predictions!r:.80}")
    array = as_targets(y)
    widths = {np.asarray(part).shape[1] if np.ndim(part) == 2 else 1 for part in predictions.values()}
    y, targets = read_targets(array, task or _task_of(array, metric, max(widths)))
    parts = _brought_together(predictions, targets.kind)
    expected = y.reshape(len(y), -1).shape if targets.classes is None else (len(y), len(targets.classes))
    if parts.shape[1:] != expected:
        what = "" if targets.classes is None else f" for its classes {targets.classes.tolist()!r:.80}"
        raise EnsembleError(f"y needs predictions of the shape {expected}{what}, but they have {parts.shape[1:]}")
    return parts, y, targets


def _task_of(y: NDArray[Any], metric: Any, width: int) -> str | None:
    """Return what a metric's name, or the number of columns beside labels or values, says about y; None for nothing."""
    if isinstance(metric, str) and metric in {**CLASS_METRICS, **VALUE_METRICS}:
        return CLASSES if metric in CLASS_METRICS else VALUES
    if y.ndim == 2 and y.shape[1] > 1:
        return None
    if width > 1:
        return CLASSES
    return None if len(np.unique(y)) == 2 else VALUES


def _brought_together(predictions: Mapping[str, Any], kind: str) -> NDArray[np.float64]:
    """Return predictions, float[models, n, outputs], of two classes with a column each.

    Raises: EnsembleError: they differ in rows or outputs, or are no numbers.
    """
    parts = {}
    for name, values in predictions.items():
        try:
            part = np.asarray(values, dtype=np.float64)
        except (TypeError, ValueError):
            raise EnsembleError(f"the predictions {name!r} must be numbers, [n] or [n, outputs]") from None
        if part.ndim not in (1, 2) or np.isinf(part).any():
            what = f"have the shape {part.shape}" if part.ndim not in (1, 2) else "hold infinite numbers"
            raise EnsembleError(f"the predictions {name!r} must be finite, [n] or [n, outputs], but {what}")
        part = part.reshape(len(part), -1)
        parts[name] = all_columns(part) if kind == CLASSES else part
    if len({part.shape for part in parts.values()}) > 1:
        shapes = ", ".join(f"{name} {np.shape(values)}" for name, values in predictions.items())
        raise EnsembleError(f"predictions must have the same rows and outputs, but have the shapes {shapes}")
    return np.stack(list(parts.values()))


def _crossed_score(material: Material, choose: Callable[[Material], Choice], seed: int) -> float:
    """Return the score of rows that are blended with weights chosen on other rows, by folds with all classes each."""
    count = len(material.y)
    if count < 2 * _FOLDS:
        return math.nan
    draw = np.random.default_rng(seed).random(count)
    classes = material.targets.indices(material.y) if material.targets.kind == CLASSES else np.zeros(count)
    folds = np.empty(count, dtype=np.int64)
    folds[np.lexsort((draw, classes))] = np.arange(count) % _FOLDS
    blended = np.empty(material.parts.shape[1:])
    for fold in range(_FOLDS):
        try:
            weights = choose(material.of_rows(folds != fold)).weights
        except EnsembleError:  # the score has no meaning on so few rows
            return math.nan
        blended[folds == fold] = weighted_mean(material.parts[:, folds == fold], weights)
    return material.metric(material.targets, material.y, blended)
