"""Weights: how much each model counts in a blend, chosen by hill climbing or by least squares."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpipeline.ensemble.scores import CLASS_METRICS, VALUE_METRICS, Metric
from mlpipeline.ensemble.targets import CLASSES, Targets
from mlpipeline.errors import EnsembleError

Floats = NDArray[np.float64]
Score = Callable[[Floats], Floats]

_PATIENCE = 10  # steps without an improvement after which climbing ends
_LEAST_GAIN = 1e-6  # as a share of the score
_ROWS = 20_000


@dataclass(frozen=True, eq=False)
class Material:
    """What weights are chosen by.

    Args:
        parts: float[models, n, outputs]. y: [n] or [n, k]. targets: what y says.
        metric: the score that is to be good.
    """

    parts: Floats
    y: NDArray[Any]
    targets: Targets
    metric: Metric

    def of_rows(self, rows: NDArray[Any]) -> Material:
        """Return the same of some rows."""
        return Material(self.parts[:, rows], self.y[rows], self.targets, self.metric)


@dataclass(frozen=True, eq=False)
class Choice:
    """Weights, one a model, none negative, together 1; and the models taken in one after the other with the score."""

    weights: Floats
    history: tuple[tuple[int, float], ...] = ()


def weighted_mean(parts: Floats, weights: Floats) -> Floats:
    """Return the mean, float[n, outputs], of predictions float[models, n, outputs]."""
    return np.asarray(np.tensordot(weights, parts, axes=1))


def least_squares(material: Material) -> Choice:
    """Minimise the squared distance from y, one-hot for classes, with weights from 0 on, and divide by their sum.

    Raises: EnsembleError: every weight is 0.
    """
    from scipy.optimize import nnls

    columns = material.parts.reshape(len(material.parts), -1).T
    triangle = _triangle(np.column_stack([columns, _as_values(material).reshape(-1)]))
    weights, _ = nnls(triangle[:, :-1], triangle[:, -1])
    if not weights.sum() > 0:
        raise EnsembleError("least squares gives every model the weight 0: none of the predictions resembles y")
    return Choice(weights / weights.sum())


def climb(material: Material, steps: int, bags: int, seed: int) -> Choice:
    """Take in the model that helps the score most, with replacement, from the mean of the best few on.

    Of more than 20,000 rows so many are drawn to climb on. What is worse than the best model alone gives way to it.

    Args:
        material: predictions and metric. steps: models taken in at most.
        bags: climb so often with a random half of the models, and take the mean of the weights; 0 for once with all.
        seed: of those halves and rows.
    Raises: EnsembleError: the metric gives no number.
    """
    generator = np.random.default_rng(seed)
    count, everyone = len(material.y), np.arange(len(material.parts))
    drawn = material.of_rows(np.sort(generator.choice(count, min(count, _ROWS), replace=False)))
    parts, score = _scorer(drawn)
    choices = [_climbed(parts, score, everyone, steps)] if not bags else [
        _climbed(parts, score, generator.choice(everyone, max(1, len(everyone) // 2), replace=False), steps)
        for _ in range(bags)
    ]  # fmt: skip
    sign = 1 if material.metric.greater_is_better else -1
    history = () if bags else tuple((number, sign * value) for number, value in choices[0].history)
    return _no_worse_than_alone(material, Choice(np.mean([choice.weights for choice in choices], axis=0), history))


def _no_worse_than_alone(material: Material, choice: Choice) -> Choice:
    """Return the choice, or the best model alone where that is better on all rows.

    Raises: EnsembleError: the metric gives no number.
    """
    metric, sign = material.metric, 1 if material.metric.greater_is_better else -1
    tried = [*material.parts, weighted_mean(material.parts, choice.weights)]
    scores = np.array([sign * metric(material.targets, material.y, each) for each in tried])
    if np.isnan(scores).all():
        raise EnsembleError(f"the metric {metric.name} gives no number for any of the models")
    best = int(np.nanargmax(scores))
    if scores[-1] >= scores[best]:
        return choice
    return Choice(np.eye(len(material.parts))[best], ((best, sign * float(scores[best])),))


def _climbed(parts: Floats, score: Score, models: NDArray[np.int64], steps: int) -> Choice:
    """Climb with some of the models; return weights for all, and what was taken in, by signed score.

    Source: Caruana et al. 2004: selection with replacement (2.1), sorted initialisation (2.2).
    """
    order = models[np.argsort(-score(parts[models]), kind="stable")]
    sums = np.cumsum(parts[order], axis=0)
    by_size = score(sums / np.arange(1, len(order) + 1).reshape(-1, 1, 1))
    size = int(by_size.argmax()) + 1
    taken, history = order[:size].tolist(), list(zip(order[:size].tolist(), by_size[:size].tolist(), strict=True))
    total, best, best_size = sums[size - 1], float(by_size[size - 1]), size
    while len(taken) < size + steps and len(taken) < best_size + _PATIENCE:
        values = score((total + parts[models]) / (len(taken) + 1))
        chosen = int(models[values.argmax()])
        taken.append(chosen)
        history.append((chosen, float(values.max())))
        total = total + parts[chosen]
        if values.max() > best + _LEAST_GAIN * abs(best):
            best, best_size = float(values.max()), len(taken)
    counts = np.bincount(taken[:best_size], minlength=len(parts))
    return Choice(counts / best_size, tuple(history[:best_size]))


def _triangle(columns: Floats) -> Floats:
    """Return R of the QR decomposition: sums of its columns are as long as those of the columns, in far fewer rows."""
    return np.asarray(np.linalg.qr(columns, mode="r"))


def _as_values(material: Material) -> Floats:
    if material.targets.classes is None:
        return np.asarray(material.y, dtype=np.float64)
    return np.asarray(np.eye(len(material.targets.classes))[material.targets.indices(material.y)])


def _scorer(material: Material) -> tuple[Floats, Score]:
    """Return what the score of a mean of predictions depends on, and a function of many such means at once.

    Returns: float[models, m, k], often far less than the predictions; and a function of float[candidates, m, k] that
        gives float[candidates], greater for better, -inf where the score is no number.
    """
    metric = material.metric
    known = (CLASS_METRICS if material.targets.kind == CLASSES else VALUE_METRICS).get(metric.name)
    if metric is known and metric.name in _REDUCED:
        parts, score = _REDUCED[metric.name](material)
    else:
        parts, score = (
            material.parts,
            lambda means: np.array([metric(material.targets, material.y, one) for one in means]),
        )
    sign = 1 if metric.greater_is_better else -1

    def signed(means: Floats) -> Floats:
        values = np.asarray(sign * score(means), dtype=np.float64)
        return np.where(np.isnan(values), -np.inf, values)

    return parts, signed


def _accuracy(material: Material) -> tuple[Floats, Score]:
    """Only rows about which the models disagree: about all others their mean agrees too."""
    classes, chosen = material.targets.indices(material.y), material.parts.argmax(axis=2)
    is_open = (chosen != chosen[0]).any(axis=0)
    sure, of_open = int((chosen[0] == classes)[~is_open].sum()), classes[is_open]
    return material.parts[
        :, is_open
    ], lambda means: (sure + (means.argmax(axis=2) == of_open).sum(axis=1)) / len(classes)


def _log_loss(material: Material) -> tuple[Floats, Score]:
    """Only the probability of each row's own class, and the sum of the row, by which it is divided."""
    classes, parts = material.targets.indices(material.y), material.parts
    own = np.stack([parts[:, np.arange(len(classes)), classes], parts.sum(axis=2)], axis=2)
    least = np.finfo(np.float64).eps

    def score(means: Floats) -> Floats:
        return np.asarray(-np.log(np.clip(means[..., 0] / means[..., 1], least, 1 - least)).mean(axis=1))

    return own, score


def _roc_auc(material: Material) -> tuple[Floats, Score]:
    """The mean over classes of the share of pairs in order; of two classes that of the second."""
    classes, count = material.targets.indices(material.y), material.parts.shape[2]
    columns = [1] if count == 2 else list(range(count))

    def score(means: Floats) -> Floats:
        shares = means if count == 2 else means / means.sum(axis=2, keepdims=True)
        return np.array([np.mean([_pairs_in_order(one[:, own], classes == own) for own in columns]) for one in shares])

    return material.parts, score


def _pairs_in_order(values: Floats, is_own: NDArray[np.bool]) -> float:
    """Return the share of pairs of an own and another row in which the own has the greater value; ties count half."""
    own, other = np.sort(values[is_own]), np.sort(values[~is_own])
    if not len(own) or not len(other):
        return math.nan
    below = np.searchsorted(other, own, side="left").sum() + np.searchsorted(other, own, side="right").sum()
    return float(below / (2 * len(own) * len(other)))


def _f1(material: Material) -> tuple[Floats, Score]:
    """The mean of the F1 of each class that is there or predicted."""
    classes, count = material.targets.indices(material.y), material.parts.shape[2]
    there = np.bincount(classes, minlength=count)

    def f1(one: Floats) -> float:
        chosen = one.argmax(axis=1)
        either = there + np.bincount(chosen, minlength=count)
        right = np.bincount(classes[chosen == classes], minlength=count)
        return float((2 * right[either > 0] / either[either > 0]).mean())

    return material.parts, lambda means: np.array([f1(one) for one in means])


def _squares(material: Material) -> tuple[Floats, Score]:
    """The triangle of the errors: means of its columns are as long as means of the errors."""
    values = _as_values(material).reshape(material.parts.shape[1:])
    errors = (material.parts - values).reshape(len(material.parts), -1)
    return _triangle(errors.T).T[..., None], lambda means: (means**2).sum(axis=(1, 2)) / errors.shape[1]


def _rmse(material: Material) -> tuple[Floats, Score]:
    parts, score = _squares(material)
    return parts, lambda means: np.sqrt(score(means))


def _r2(material: Material) -> tuple[Floats, Score]:
    parts, score = _squares(material)
    values = _as_values(material).reshape(material.parts.shape[1:])
    spread = float(((values - values.mean(axis=0)) ** 2).mean()) or np.nan
    return parts, lambda means: 1 - score(means) / spread


_REDUCED = {
    "accuracy": _accuracy,
    "f1": _f1,
    "log_loss": _log_loss,
    "r2": _r2,
    "rmse": _rmse,
    "roc_auc": _roc_auc,
}
