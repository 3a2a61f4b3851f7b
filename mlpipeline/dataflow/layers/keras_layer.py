"""Keras: a Keras 3 model as a layer."""

from __future__ import annotations

import copy
import importlib
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mlpipeline.dataflow.layer import StatefulLayer
from mlpipeline.dataflow.layers.batches import features_and_labels, predict_in_batches
from mlpipeline.dataflow.layers.checking import agree
from mlpipeline.dataflow.spec import Array, Spec, shape_text
from mlpipeline.errors import PipelineError

_KERAS_CALLS = threading.RLock()  # a Keras model keeps state between the calls of one prediction


class Keras(StatefulLayer):
    """A built Keras model.

    The model takes as many nodes as it has inputs. Called with its labels behind them, one node for
    each output, it is trained: `Keras(model)([images, labels], "digit")`. Without labels it is used
    as it is. (An autoencoder is called on `[x, x]`.)

    The model itself is never trained: a copy with its weights is, and stands in `metadata["model"]`.

    Args:
        model: built, and compiled if there are labels.
        epochs: None takes those of the pipeline's fit.
        batch_size: observations in a training step.
        verbose: what Keras prints while it trains.
        validation_split: the part of the observations, the last ones, that is held back for validation.
        shuffle: whether each epoch sees the observations in another order.
        callbacks: Keras callbacks; each fit uses copies.
        class_weight: weight in the loss by class number.
    """

    def __init__(
        self,
        model: Any,
        epochs: int | None = None,
        batch_size: int = 32,
        verbose: int = 0,
        validation_split: float = 0.0,
        shuffle: bool = True,
        callbacks: Sequence[Any] = (),
        class_weight: Mapping[int, float] | None = None,
    ) -> None:
        self.model = model
        self.epochs = epochs
        self.batch_size = batch_size
        self.verbose = verbose
        self.validation_split = validation_split
        self.shuffle = shuffle
        self.callbacks = callbacks
        self.class_weight = class_weight
        _check_model(model)

    @property
    def n_outputs(self) -> int:  # type: ignore[override]  # depends on the model
        """How many outputs the model has."""
        return len(_tensors(self.model, "outputs")) or 1

    def label_count(self, n_inputs: int) -> int:
        """Return how many nodes there are behind the inputs of the model.

        Raises: PipelineError: neither none nor one for each output; or the model is not compiled.
        """
        wanted = self._n_inputs
        given = n_inputs - wanted
        if given not in (0, self.n_outputs):
            raise PipelineError(
                f"Keras: the model has {wanted} inputs and {self.n_outputs} outputs: expected {wanted} nodes, or "
                f"{wanted + self.n_outputs} with the labels last, but got {n_inputs}"
            )
        if given and not getattr(self.model, "compiled", False):
            raise PipelineError("Keras: the model is not compiled: model.compile(optimizer=..., loss=...)")
        return given

    def infer(self, *specs: Spec) -> Spec | tuple[Spec, ...]:
        """Return the outputs of the model.

        Raises: PipelineError: an input of the model has another shape.
        """
        for position, (spec, tensor) in enumerate(zip(specs, _tensors(self.model, "inputs"), strict=False)):
            _check_shape(spec, tuple(tensor.shape[1:]), position)
        outputs = tuple(Spec(tuple(each.shape[1:]), _dtype_of(each)) for each in _tensors(self.model, "outputs"))
        return outputs[0] if len(outputs) == 1 else outputs or Spec()

    def fit(self, *arrays: Array, epochs: int = 1) -> StatefulLayer:
        """Train a copy of the model on all observations."""
        inputs, labels = features_and_labels(self, arrays)
        with _KERAS_CALLS:
            model = copied_model(self.model)
            if labels:
                model.fit(
                    _one_or_all(inputs),
                    _one_or_all(labels),
                    epochs=self.epochs or epochs,
                    batch_size=self.batch_size,
                    verbose=self.verbose,
                    validation_split=self.validation_split,
                    shuffle=self.shuffle,
                    callbacks=copy.deepcopy(list(self.callbacks)),
                    class_weight=None if self.class_weight is None else dict(self.class_weight),
                )
            self.metadata["model"] = model
        return self

    def partial_fit(self, *arrays: Array) -> StatefulLayer:
        """Take one training step with a batch."""
        inputs, labels = features_and_labels(self, arrays)
        with _KERAS_CALLS:
            if "model" not in self.metadata:
                self.metadata["model"] = copied_model(self.model)
            if labels:
                tensors = [keras_module().ops.convert_to_tensor(each) for each in labels]  # as fit gives to metrics
                self.metadata["model"].train_on_batch(
                    _one_or_all(inputs),
                    _one_or_all(tensors),
                    class_weight=None if self.class_weight is None else dict(self.class_weight),
                )
        return self

    def transform(self, *features: Array) -> Any:
        """Return what the trained model predicts."""
        model = self.metadata.get("model")
        if model is None:
            raise PipelineError(f"{self!r} has not been fitted")
        with _KERAS_CALLS:
            results = predict_in_batches(
                lambda batch: _listed(model.predict_on_batch(_one_or_all(batch))), features, self.batch_size
            )
        return results[0] if len(results) == 1 else results

    def unfitted_copy(self) -> Keras:
        """Return a copy that has learned nothing; a fit does not change the model that they share."""
        copied = copy.copy(self)
        copied.metadata = {}
        return copied

    def fitted_copy(self) -> Keras:
        """Return a copy with a trained model of its own, which goes on where this one is."""
        copied = self.unfitted_copy()
        if "model" in self.metadata:
            with _KERAS_CALLS:
                copied.metadata = {"model": copied_model(self.metadata["model"], with_optimizer=True)}
        return copied

    @property
    def _n_inputs(self) -> int:
        return len(_tensors(self.model, "inputs")) or 1


def keras_module() -> Any:
    """Return Keras, on torch where nothing else was chosen before.

    Raises: PipelineError: it is not installed.
    """
    if "keras" not in sys.modules:
        os.environ.setdefault("KERAS_BACKEND", "torch")
    try:
        return importlib.import_module("keras")
    except ImportError:
        raise PipelineError('Keras is not installed: pip install "mlpipeline[keras]"') from None


def copied_model(model: Any, with_optimizer: bool = False) -> Any:
    """Return a model of the same structure, weights and compilation.

    Args:
        model: built.
        with_optimizer: take over the state of the optimizer too; else it begins anew.
    """
    copied = keras_module().models.clone_model(_uncompiled(model))
    _assign(copied.weights, model.weights)
    if getattr(model, "compiled", False):
        _compile_alike(copied, model)
        if with_optimizer and model.optimizer.built:
            copied.optimizer.build(copied.trainable_variables)
            _assign(copied.optimizer.variables, model.optimizer.variables)
    return copied


def _uncompiled(model: Any) -> Any:
    """Return the model as if it were not compiled, for cloning looks for losses and metrics by their names."""
    view = object.__new__(type(model))
    view.__dict__ |= {**model.__dict__, "compiled": False}
    return view


def _compile_alike(copied: Any, model: Any) -> None:
    """Compile a copy with the losses and functions of a model themselves, which need not be known to Keras by name."""
    if type(model).compile is not keras_module().Model.compile:  # the class says itself how it is compiled
        copied.compile_from_config(model.get_compile_config())
        return
    arguments = dict(model._compile_config.config)
    for name in ("metrics", "weighted_metrics"):
        arguments[name] = _with_fresh_metrics(arguments[name])
    optimizer = model.optimizer
    copied.compile(**arguments | {"optimizer": optimizer and type(optimizer).from_config(optimizer.get_config())})


def _with_fresh_metrics(metrics: Any) -> Any:
    """Return metrics with new ones for those that are objects, which count what they see."""
    if isinstance(metrics, dict):
        return {name: _with_fresh_metrics(each) for name, each in metrics.items()}
    if isinstance(metrics, list | tuple):
        return [_with_fresh_metrics(each) for each in metrics]
    if not hasattr(metrics, "update_state"):
        return metrics
    function = getattr(metrics, "_fn", None)  # of a metric made from a function, which its config has by name
    name = getattr(function, "__name__", None)
    with keras_module().saving.custom_object_scope({name: function} if name else {}):
        return type(metrics).from_config(metrics.get_config())


def _assign(targets: Sequence[Any], sources: Sequence[Any]) -> None:
    for target, source in zip(targets, sources, strict=True):
        target.assign(source)


def _check_model(model: Any) -> None:
    if not hasattr(model, "predict_on_batch") or not hasattr(model, "get_weights"):
        keras_module()
        raise PipelineError(f"Keras: expected a Keras model, but got {type(model).__name__}")
    if not model.built:
        raise PipelineError(
            "Keras: the model is not built, its shapes are unknown: put keras.Input(shape) first, "
            "or call model.build((None, ...))"
        )


def _check_shape(spec: Spec, wanted: tuple[int | None, ...], position: int) -> None:
    if not agree(spec.shape, wanted):
        hint = "; put an AddDim() before it" if (*(spec.shape or ()), 1) == wanted else ""
        raise PipelineError(
            f"expected {shape_text(wanted)} for input {position} of the model, but got {shape_text(spec.shape)}{hint}"
        )


def _tensors(model: Any, role: str) -> list[Any]:
    """Return the symbolic inputs or outputs of a model; a model written as a class has none."""
    return _listed(getattr(model, role, None) or [])


def _listed(value: Any) -> list[Any]:
    return (
        list(value.values()) if isinstance(value, dict) else list(value) if isinstance(value, list | tuple) else [value]
    )


def _one_or_all(values: list[Any]) -> Any:
    return values[0] if len(values) == 1 else values


def _dtype_of(tensor: Any) -> np.dtype[Any] | None:
    return None if tensor.dtype == "bfloat16" else np.dtype(tensor.dtype)
