"""Scores: metrics by name, and what the scores of several members say together."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpipeline.ensemble.targets import CLASSES, Targets
from mlpipeline.errors import EnsembleError, did_you_mean

Function = Callable[[NDArray[Any], NDArray[Any]], float]


@dataclass(frozen=True)
class Metric:
    """A score of predictions.

    Args:
        name: of the score.
        function: of targets and predictions. A named metric gets class indices [n] and probabilities [n, classes], or
            values [n, k]; a user's own gets y and the predictions as they are.
        greater_is_better: which way is up.
        is_own: it is a user's function.
    """

    name: str
    function: Function
    greater_is_better: bool = True
    is_own: bool = False

    def __call__(self, targets: Targets, y: NDArray[Any], predictions: NDArray[Any]) -> float:
        """Return the score of predictions, float[n, outputs], for the targets y.

        Raises: EnsembleError: there is not a prediction for each value.
        """
        if self.is_own:
            return float(self.function(y, predictions))
        if targets.kind != CLASSES:
            values = y.reshape(len(y), -1)
            if values.shape != predictions.shape:  # NumPy would stretch one over the other
                raise EnsembleError(f"y has the shape {values.shape}, but the predictions {predictions.shape}")
            return float(self.function(values, predictions))
        return float(self.function(targets.indices(y), all_columns(predictions)))

    def is_better(self, score: float, other: float) -> bool:
        """Tell whether a score beats another."""
        return score > other if self.greater_is_better else score < other


def all_columns(predictions: NDArray[Any]) -> NDArray[Any]:
    """Return a probability for each class: of two classes [n, 1] holds that of the second alone."""
    if predictions.ndim == 2 and predictions.shape[1] > 1:
        return predictions
    second = predictions.reshape(-1, 1)
    return np.concatenate([1 - second, second], axis=1)


def _accuracy(classes: NDArray[Any], probabilities: NDArray[Any]) -> float:
    return float((probabilities.argmax(axis=1) == classes).mean())


def _log_loss(classes: NDArray[Any], probabilities: NDArray[Any]) -> float:
    from sklearn.metrics import log_loss

    shares = probabilities / probabilities.sum(axis=1, keepdims=True)  # a float32 softmax sums to one but nearly
    return float(log_loss(classes, shares, labels=np.arange(probabilities.shape[1])))


def _roc_auc(classes: NDArray[Any], probabilities: NDArray[Any]) -> float:
    from sklearn.metrics import roc_auc_score

    count = probabilities.shape[1]
    if len(np.unique(classes)) < count:
        return math.nan
    if count == 2:
        return float(roc_auc_score(classes, probabilities[:, 1]))
    shares = probabilities.astype(np.float64) / probabilities.sum(axis=1, keepdims=True, dtype=np.float64)
    return float(roc_auc_score(classes, shares, multi_class="ovr", labels=np.arange(count)))


def _f1(classes: NDArray[Any], probabilities: NDArray[Any]) -> float:
    from sklearn.metrics import f1_score

    return float(f1_score(classes, probabilities.argmax(axis=1), average="macro", zero_division=0))


def _rmse(y: NDArray[Any], values: NDArray[Any]) -> float:
    return float(np.sqrt(np.mean((y - values) ** 2)))


def _mae(y: NDArray[Any], values: NDArray[Any]) -> float:
    return float(np.mean(np.abs(y - values)))


def _r2(y: NDArray[Any], values: NDArray[Any]) -> float:
    spread = float(((y - y.mean(axis=0)) ** 2).sum())
    return 1 - float(((y - values) ** 2).sum()) / spread if spread else math.nan


CLASS_METRICS = {
    "accuracy": Metric("accuracy", _accuracy),
    "log_loss": Metric("log_loss", _log_loss, greater_is_better=False),
    "roc_auc": Metric("roc_auc", _roc_auc),
    "f1": Metric("f1", _f1),
}
VALUE_METRICS = {
    "rmse": Metric("rmse", _rmse, greater_is_better=False),
    "mae": Metric("mae", _mae, greater_is_better=False),
    "r2": Metric("r2", _r2),
}
_DEFAULTS = {CLASSES: ("accuracy", "log_loss")}


def read_metric(metric: Any, targets: Targets, greater_is_better: bool = True) -> Metric:
    """Return the metric that a name, a function or a `Metric` stands for.

    Args:
        metric: a name, or a function of y and predictions.
        targets: what y says. greater_is_better: of a function.
    Raises: EnsembleError: the name is none, or is a metric of the other kind of targets.
    """
    if isinstance(metric, Metric):
        return metric
    if callable(metric):
        return Metric(getattr(metric, "__name__", "score"), metric, greater_is_better, is_own=True)
    known = CLASS_METRICS if targets.kind == CLASSES else VALUE_METRICS
    if not isinstance(metric, str) or metric not in known:
        raise EnsembleError(
            f"the metric for {targets.kind} must be one of {', '.join(known)} or a function of y and predictions, "
            f"but got {metric!r}{did_you_mean(str(metric), known)}"
        )
    return known[metric]


def read_metrics(metrics: Any, targets: Targets) -> dict[str, Metric]:
    """Return metrics by name for names, functions, or functions by name; the usual ones for None.

    Raises: EnsembleError: a name is none.
    """
    if metrics is None:
        metrics = _DEFAULTS.get(targets.kind, ("rmse", "mae"))
    if isinstance(metrics, Mapping):
        return {str(name): read_metric(metric, targets) for name, metric in metrics.items()}
    is_single = isinstance(metrics, (str, Metric)) or callable(metrics) or not isinstance(metrics, Iterable)
    given = [metrics] if is_single else list(metrics)
    read = [read_metric(metric, targets) for metric in given]
    names = [metric.name for metric in read]
    if len(set(names)) < len(names):
        raise EnsembleError(f"two metrics have one name: {', '.join(names)}; give them by name: {{'mine': function}}")
    return dict(zip(names, read, strict=True))


@dataclass(frozen=True)
class Summary:
    """What the scores of several members say together.

    Args:
        values: one score a member.
        mean: of them. deviation: of the sample; NaN for one member.
        interval: of the mean, 95 % confidence.
    """

    values: tuple[float, ...]
    mean: float
    deviation: float
    interval: tuple[float, float]

    def __str__(self) -> str:
        return f"{self.mean:.4f} ± {self.deviation:.4f} (95 % from {self.interval[0]:.4f} to {self.interval[1]:.4f})"


def summarize(values: Sequence[float], valid_share: float) -> Summary:
    """Return mean, deviation and the confidence interval of the mean of resampled scores.

    Members share training rows, so their scores are not independent and the usual interval is too narrow: the variance
    is corrected by the ratio of validation to training rows.

    Args:
        values: one score a member.
        valid_share: validation rows divided by training rows of a member.
    Source: Nadeau and Bengio, Inference for the generalization error, Machine Learning 52 (2003), section 5.
    """
    scores = np.asarray(values, dtype=np.float64)
    mean = float(scores.mean())
    if len(scores) < 2:
        return Summary(tuple(scores.tolist()), mean, math.nan, (math.nan, math.nan))
    from scipy.stats import t

    variance = float(scores.var(ddof=1))
    half = float(t.ppf(0.975, len(scores) - 1)) * math.sqrt(variance * (1 / len(scores) + valid_share))
    return Summary(tuple(scores.tolist()), mean, math.sqrt(variance), (mean - half, mean + half))
