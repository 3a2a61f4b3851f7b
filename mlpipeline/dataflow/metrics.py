"""Metrics: numbers that say how well a pipeline does; only `evaluate` computes them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mlpipeline.dataflow.layer import OfFunction
from mlpipeline.dataflow.observer import Observer
from mlpipeline.dataflow.spec import Array, Spec, shape_text
from mlpipeline.errors import DataError, PipelineError, did_you_mean


class Metric(OfFunction, Observer):
    """A function of arrays as a metric: `Metric(f1_score, average="macro")([truth, prediction], "f1")`.

    Args:
        function: is given one array for each node, in their order; returns a number. All of sklearn.metrics fit.
        kwargs: keyword arguments of the function.
    Raises: PipelineError: this is no function, or it does not take these keyword arguments.
    """

    role = "metrics"

    def __init__(self, function: Callable[..., Any], **kwargs: Any) -> None:
        if not callable(function):
            raise PipelineError(f"Metric: expected a function of arrays, but got {type(function).__name__}")
        _check_arguments(function, kwargs)
        self.function = function
        self.kwargs = kwargs

    def infer(self, *specs: Spec) -> Spec:
        """Refuse more or fewer nodes than the function takes arrays."""
        signature = _signature(self.function)
        if signature is not None:
            try:
                signature.bind(*specs, **self.kwargs)
            except TypeError as error:
                told = f"{_name(self.function)}{signature} does not take {len(specs)} arrays: {error}"
                raise PipelineError(f"expected a node for each array of the function, but {told}") from None
        return Spec()

    def observe(self, *arrays: Array, names: Sequence[str] = ()) -> Any:
        """Return what the function gives; one number is a float."""
        return _plain(self.function(*arrays, **self.kwargs))


class Accuracy(Observer):
    """The part of observations whose label is right: `Accuracy()([truth, prediction], "accuracy")`.

    Each side may be labels array[n] or array[n, 1], or a score for each class, array[n, k], of which
    the highest counts. Against a truth of 0 and 1, predictions between them are probabilities of 1.
    """

    role = "metrics"

    def __init__(self) -> None:
        """Take no parameters."""

    def infer(self, truth: Spec, prediction: Spec) -> Spec:
        """Refuse shapes that cannot be compared."""
        widths = set()
        for name, spec in (("truth", truth), ("prediction", prediction)):
            if spec.shape is not None and len(spec.shape) > 1:
                raise PipelineError(
                    f"expected {name} as labels (n,) or scores (n, k), but got {shape_text(spec.shape)}"
                )
            widths |= {spec.size} - {None, 1}
        if len(widths) > 1:
            raise PipelineError(f"expected as many classes on both sides, but got {' and '.join(map(str, widths))}")
        return Spec()

    def observe(self, *arrays: Array, names: Sequence[str] = ()) -> float:
        """Return the part that is right, between 0 and 1.

        Args:
            arrays: truth and prediction.
        Raises: PipelineError: they cannot be compared. DataError: there are none, or values are missing.
        """
        truth, prediction = _checked_pair(*arrays)
        if truth.ndim == 1 and prediction.ndim == 1:
            _check_same_kind(truth, prediction)
            return float(np.mean(truth == _without_probabilities(truth, prediction)))
        width = max(each.shape[1] for each in (truth, prediction) if each.ndim == 2)
        classes = [_class_numbers(each, width) for each in (truth, prediction)]
        return float(np.mean(classes[0] == classes[1]))


def _signature(function: Callable[..., Any]) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):  # some functions of C have none
        return None


def _name(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__name__", type(function).__name__))


def _check_arguments(function: Callable[..., Any], kwargs: dict[str, Any]) -> None:
    signature = _signature(function)
    if signature is None or any(each.kind is each.VAR_KEYWORD for each in signature.parameters.values()):
        return
    known = [name for name, each in signature.parameters.items() if each.kind is not each.POSITIONAL_ONLY]
    for name in kwargs:
        if name not in known:
            raise PipelineError(
                f"Metric: {_name(function)} has no argument {name!r}{did_you_mean(name, known)}; "
                f"expected some of {', '.join(known)}"
            )


def _plain(value: Any) -> Any:
    """Return a numpy scalar or an array without axes as a number of Python; all else as it is."""
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        number = value.item()
        return float(number) if isinstance(number, int | float) else number
    return value


def _checked_pair(truth: Array, prediction: Array) -> tuple[Array, Array]:
    from pandas import isna

    shapes = f"truth {truth.shape} and prediction {prediction.shape}"
    pair = [each[:, 0] if each.ndim == 2 and each.shape[1] == 1 else each for each in (truth, prediction)]
    if any(each.ndim not in (1, 2) for each in pair) or len(truth) != len(prediction):
        raise PipelineError(f"expected labels (n,) or scores (n, k) of the same n, but got {shapes}")
    if len(truth) == 0:
        raise DataError("there are no observations, so that no part of them can be right")
    if pair[0].ndim == pair[1].ndim == 2 and pair[0].shape != pair[1].shape:
        raise PipelineError(f"expected as many classes on both sides, but got {shapes}")
    for name, each in zip(("truth", "prediction"), pair, strict=True):
        missing = int(np.count_nonzero(isna(each)))
        if missing:
            raise DataError(f"{missing} values of {name} are missing; leave out or impute them")
    return pair[0], pair[1]


def _is_text(values: Array) -> bool:
    return values.dtype.kind in "UST" or (values.dtype == object and any(isinstance(each, str) for each in values.flat))


def _check_same_kind(truth: Array, prediction: Array) -> None:
    kinds = ["text" if _is_text(each) else "numbers" for each in (truth, prediction)]
    if kinds[0] != kinds[1]:
        raise PipelineError(f"expected labels of one kind, but truth is {kinds[0]} and prediction {kinds[1]}")


def _without_probabilities(truth: Array, prediction: Array) -> Array:
    """Return predicted labels; probabilities become 0 or 1 where the truth is that.

    Raises: PipelineError: there are fractions that are no probabilities.
    """
    if prediction.dtype.kind != "f" or np.array_equal(prediction, np.round(prediction)):
        return prediction
    if not np.isin(truth, (0, 1)).all():
        if np.isin(prediction, np.unique(truth)).all():  # labels that are fractions themselves
            return prediction
        raise PipelineError("expected labels, but prediction has fractions; is it a regression's?")
    if prediction.min() < 0 or prediction.max() > 1:
        raise PipelineError(
            "expected labels or probabilities between 0 and 1, but prediction has "
            f"{prediction.min():.4g} to {prediction.max():.4g}; put a sigmoid behind logits"
        )
    return prediction > 0.5


def _class_numbers(values: Array, width: int) -> Array:
    """Return the number of each observation's class, from scores or from labels 0, 1, ... width - 1.

    Raises: PipelineError: a label is no such number.
    """
    if _is_text(values):
        raise PipelineError(
            f"scores of {width} classes cannot be compared with labels that are text; compare with the classes: "
            "Sklearn(..., method='predict'), or one-hot labels on both sides"
        )
    if values.ndim == 2:
        numbers: Array = values.argmax(axis=1)
        return numbers
    if not np.isin(values, range(width)).all():
        wrong = values[~np.isin(values, range(width))][0]
        raise PipelineError(f"expected labels from 0 to {width - 1}, but got {wrong!r}")
    return values
