"""Loss and targets: whether they fit together, y as the loss wants it, and outputs as probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpipeline.ensemble.keras_setup import keras_module
from mlpipeline.ensemble.targets import VALUES, Targets
from mlpipeline.errors import EnsembleError

SPARSE = "sparse_categorical_crossentropy"
_ONE_HOT = ("categorical_crossentropy", "categorical_focal_crossentropy", "categorical_hinge", "kl_divergence")
_BINARY = ("binary_crossentropy", "binary_focal_crossentropy")
_OWN = "a loss of your own"


def encoded(model: Any, targets: Targets, y: NDArray[Any], classes_by: str = "y") -> NDArray[Any]:
    """Return y as the model's loss wants it: class numbers, [n, 1] for one output, one-hot rows or values.

    Args:
        model: compiled. targets: what y says.
        y: as the user gave it. classes_by: what to call y in messages.
    Raises: EnsembleError: the loss, the outputs of the model and y do not fit together.
    """
    loss, outputs = loss_name(model), output_count(model)
    if targets.kind == VALUES:
        return _values(y, loss, outputs, classes_by)
    assert targets.classes is not None
    count = len(targets.classes)
    if targets.is_one_hot:
        return _one_hot_rows(y, loss, outputs, classes_by)
    numbers = targets.indices(y)
    if loss in _ONE_HOT:
        raise EnsembleError(
            f"{loss} needs one-hot rows, but {classes_by} holds labels; use {SPARSE} or one-hot labels "
            "(keras.utils.to_categorical)"
        )
    if loss == SPARSE or (loss == _OWN and outputs != 1):
        if loss == SPARSE and outputs not in (None, count):
            raise EnsembleError(
                f"there are {count} classes, but the model has {outputs} outputs; its last layer needs {count}"
                + (", or one output with binary_crossentropy" if count == 2 else "")
            )
        return numbers
    if count > 2 or outputs not in (None, 1):
        raise EnsembleError(
            f"{loss} of a model with {outputs} outputs cannot learn labels of {count} classes; "
            + (f"use {SPARSE} with {count} outputs" if count > 2 else f"use one output, or {SPARSE} with 2")
        )
    return numbers.astype(np.float32)[:, None]


def as_probabilities(model: Any, outputs: NDArray[Any]) -> NDArray[Any]:
    """Return probabilities where a model gives logits; its compiled loss tells: `from_logits=True`.

    Args:
        model: compiled. outputs: float[n, k].
    """
    loss = _loss(model)
    config = loss.get_config() if hasattr(loss, "get_config") else {}
    if not config.get("from_logits"):
        return outputs
    import torch

    logits = torch.from_numpy(outputs)
    one_by_one = outputs.shape[1] == 1 or loss_name(model) in _BINARY
    return np.asarray(torch.sigmoid(logits) if one_by_one else torch.softmax(logits, dim=1))


def loss_name(model: Any) -> str:
    """Return the name that Keras has for the loss, or what to call a loss of the user's own, or none."""
    loss = _loss(model)
    function = getattr(loss, "fn", loss)
    is_known = str(getattr(function, "__module__", "")).startswith("keras.")
    return str(getattr(function, "__name__", type(function).__name__)) if is_known else _OWN


def needs_one_hot(model: Any) -> bool:
    """Tell whether the model's loss needs classes as one-hot rows, and not as their numbers."""
    loss, outputs = loss_name(model), output_count(model)
    is_one_column = outputs == 1 or (outputs is None and loss in _BINARY)
    return loss not in (SPARSE, _OWN) and not is_one_column


def output_count(model: Any) -> int | None:
    """Return how many numbers the model gives for a row; None where it tells only when it is called.

    Raises: EnsembleError: it has several outputs.
    """
    outputs = getattr(model, "outputs", None) or []
    if len(outputs) > 1:
        raise EnsembleError(f"build() returned a model with {len(outputs)} outputs; an ensemble predicts with one")
    return int(outputs[0].shape[-1]) if outputs and outputs[0].shape[-1] is not None else None


def _loss(model: Any) -> Any:
    loss = model.loss
    if isinstance(loss, dict | list | tuple) and len(loss) == 1:
        loss = next(iter(loss.values() if isinstance(loss, dict) else loss))
    return keras_module().losses.get(loss) if isinstance(loss, str) else loss


def _one_hot_rows(y: NDArray[Any], loss: str, outputs: int | None, name: str) -> NDArray[Any]:
    if loss == SPARSE:
        raise EnsembleError(
            f"{SPARSE} needs labels, but {name} holds one-hot rows; use categorical_crossentropy or labels "
            f"({name}.argmax(axis=1))"
        )
    if outputs not in (None, y.shape[1]):
        raise EnsembleError(
            f"{name} holds one-hot rows of {y.shape[1]} classes, but the model has {outputs} outputs; "
            f"its last layer needs {y.shape[1]}" + ("; or give labels" if outputs == 1 else "")
        )
    return y.astype(np.float32)


def _values(y: NDArray[Any], loss: str, outputs: int | None, name: str) -> NDArray[Any]:
    if loss == SPARSE:
        raise EnsembleError(
            f'{SPARSE} needs labels, but {name} holds values of a regression; if they are labels, say task="classes"'
        )
    values = y.reshape(len(y), -1).astype(np.float32)
    if outputs not in (None, values.shape[1]):
        raise EnsembleError(f"{name} has {values.shape[1]} values a row, but the model has {outputs} outputs")
    return values
