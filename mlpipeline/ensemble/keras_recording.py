"""Recording: the history of a member, its best epoch by rows held back, and whose weights it ends with."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from mlpipeline.ensemble.keras_batches import Batches, as_dataset
from mlpipeline.ensemble.keras_setup import keras_module
from mlpipeline.ensemble.trainer import Assignment, History
from mlpipeline.scripting import log

_log = logging.getLogger(__name__)
NO_NUMBER = float("nan")


@dataclass
class Best:
    """The best epoch so far.

    Args:
        patience: epochs without a better one before training ends; None for no end.
    """

    patience: int | None
    loss: float = math.inf
    epoch: int = 0

    def improves(self, epoch: int, loss: float) -> bool:
        """Tell whether an epoch, from 1, is better than all before, and remember it."""
        if not loss < self.loss:
            return False
        self.loss, self.epoch = loss, epoch
        return True

    def is_over(self, epoch: int) -> bool:
        """Tell whether there was no better epoch for too long."""
        return self.patience is not None and epoch - self.epoch >= self.patience


@dataclass
class Recording:
    """What is noted down after each epoch.

    Args:
        assignment: of the member; its validation rows are evaluated for curves alone.
        batches: of the training rows, which are told the epoch.
        valid: batches of the validation rows, if Keras does not evaluate them itself.
        epochs: in all.
        keeps_best: the best weights by the rows held back are kept, to be restored.
        patience: epochs without a better one before training ends.
        is_told: the user asked to see each epoch.
    """

    assignment: Assignment
    batches: Batches
    valid: Batches | None
    epochs: int
    keeps_best: bool
    patience: int | None
    is_told: bool
    history: History = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._best = Best(self.patience)
        self._weights: list[NDArray[Any]] | None = None
        self._digests: dict[str, int] = {}

    def begin(self, epoch: int) -> None:
        """Note that an epoch begins, from 0."""
        self.batches.epoch = epoch

    def end(self, epoch: int, logs: Mapping[str, Any], model: Any) -> None:
        """Note down what Keras tells at the end of an epoch, and stop when there is nothing to gain."""
        values = _numbers(logs, "stop_" if self.assignment.stopping is not None else "val_")
        if self.valid is not None:
            told = model.evaluate(as_dataset(self.valid), verbose=0, return_dict=True)
            values |= {f"val_{name}": float(value) for name, value in told.items()}
        add_epoch(self.history, epoch, values)
        self._digests[_digest(model)] = epoch + 1
        if self.assignment.stopping is not None:
            if self._best.improves(epoch + 1, values.get("stop_loss", NO_NUMBER)) and self.keeps_best:
                self._weights = model.get_weights()
            if self._best.is_over(epoch + 1):
                model.stop_training = True
        tell(self.assignment, epoch + 1, self.epochs, values, is_told=self.is_told)

    def finish(self, model: Any) -> int | None:
        """Give the model the best weights; return the epoch, from 1, whose weights it has; None if of no epoch."""
        if self._weights is not None:
            model.set_weights(self._weights)
        epoch = self._digests.get(_digest(model))
        if epoch is None:
            _log.warning(
                "%s ends with weights of no epoch, as averages are: its history tells about other weights",
                self.assignment.name,
            )
        return epoch


def as_callback(recording: Recording) -> Any:
    """Return a recording as a Keras callback, to stand last among the callbacks."""

    class Recorder(keras_module().callbacks.Callback):  # type: ignore[misc]  # Keras is not typed
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            recording.begin(epoch)

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            recording.end(epoch, logs or {}, self.model)

    return Recorder()


def add_epoch(history: History, epoch: int, values: Mapping[str, float]) -> None:
    """Append the values of an epoch, from 0; an epoch that a callback has skipped has no numbers."""
    for name in [*history, *(name for name in values if name not in history)]:
        known = history.setdefault(name, [])
        known += [NO_NUMBER] * (epoch - len(known))
        known.append(values.get(name, NO_NUMBER))


def tell(assignment: Assignment, epoch: int, epochs: int, values: Mapping[str, float], *, is_told: bool) -> None:
    """Report an epoch, from 1, and show it to who asked for it."""
    assignment.report(epoch, epochs, dict(values))
    if is_told:
        shown = "  ".join(f"{name} {value:.4f}" for name, value in values.items())
        log(f"{assignment.name}  epoch {epoch}/{epochs}  {shown}")


def _numbers(logs: Mapping[str, Any], prefix: str) -> dict[str, float]:
    """Return what Keras tells of an epoch, less what is no number; `val_` as what those rows are."""
    single = {name: value for name, value in logs.items() if np.ndim(value) == 0}
    return {
        prefix + name.removeprefix("val_") if name.startswith("val_") else name: float(value)
        for name, value in single.items()
    }


def _digest(model: Any) -> str:
    content = xxhash.xxh3_128()
    for weights in model.get_weights():
        content.update(np.ascontiguousarray(weights).data)
    return content.hexdigest()
