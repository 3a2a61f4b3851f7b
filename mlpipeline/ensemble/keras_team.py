"""Team: the Keras models of all members and their rows, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlpipeline.ensemble.keras_batches import as_numbers, as_readable, reading_size
from mlpipeline.ensemble.keras_loss import encoded
from mlpipeline.ensemble.keras_setup import keras_module, own_random_state
from mlpipeline.ensemble.keras_steps import NotBatchableError, Rows, State, state_of
from mlpipeline.ensemble.observations import Part, Source
from mlpipeline.ensemble.trainer import Assignment

if TYPE_CHECKING:
    from mlpipeline.ensemble.keras_trainer import KerasTrainer

Numbers = NDArray[np.int64]
_OVERRIDABLE = ("train_step", "test_step", "compute_metrics")
_MOST_WEIGHTS = 200_000  # of a model; with more, arithmetic takes the time, and one after the other is as fast


@dataclass(frozen=True, eq=False)
class Side:
    """What all members are trained on, or what they are evaluated on.

    Args:
        sources: for each member all rows; the same array where members share it.
        rows: for each member the numbers of its rows.
        y: for each member [its rows, ...], as the loss wants it.
        weights: for each member [its rows], or None.
        size: of rows that are computed at once.
        device: where.
    """

    sources: Sequence[NDArray[Any]]
    rows: Sequence[Numbers]
    y: Sequence[NDArray[Any]]
    weights: Sequence[NDArray[Any] | None]
    size: int
    device: torch.device

    @property
    def counts(self) -> Numbers:
        """How many rows each member has."""
        return np.array([len(rows) for rows in self.rows])

    @property
    def starts(self) -> range:
        """Where batches begin."""
        return range(0, int(self.counts.max()), self.size)

    def gather(self, orders: Sequence[Numbers], start: int, *, fills_up: bool = True) -> tuple[Rows, Numbers]:
        """Return a batch of each member, and how many rows each has in it.

        A loss is the mean over all rows of a batch; where some only fill up, the weights of the others are larger by
        as much.

        Args:
            orders: for each member the order of its rows. start: of the batch.
            fills_up: all batches have `size` rows; else as many as each member has, the same number.
        """
        chosen = [order[start : start + self.size] for order in orders]
        counts = np.array([len(each) for each in chosen])
        size = self.size if fills_up else int(counts[0])
        places = np.zeros((len(chosen), size), dtype=np.int64)
        weights = np.zeros((len(chosen), size), dtype=np.float32)
        for number, (each, own) in enumerate(zip(chosen, self.weights, strict=True)):
            places[number, : len(each)] = each
            weights[number, : len(each)] = (1 if own is None else own[each]) * (size / max(1, len(each)))
        return Rows(*self._taken(places), self._tensor(weights)), counts

    def told(self, number: int, order: Numbers) -> tuple[Tensor, Tensor | None]:
        """Return y and weights of one member's rows in an order."""
        weights = self.weights[number]
        y = self._tensor(self.y[number][order])
        return y, None if weights is None else self._tensor(weights[order].astype(np.float32))

    def _taken(self, places: Numbers) -> tuple[Tensor, Tensor]:
        numbers = [rows[each] for rows, each in zip(self.rows, places, strict=True)]
        if all(source is self.sources[0] for source in self.sources):
            inputs = self.sources[0][np.stack(numbers)]
        else:
            inputs = np.stack([source[each] for source, each in zip(self.sources, numbers, strict=True)])
        y = np.stack([y[each] for y, each in zip(self.y, places, strict=True)])
        return self._tensor(as_numbers(inputs)), self._tensor(y)

    def _tensor(self, array: NDArray[Any]) -> Tensor:
        return torch.from_numpy(array).to(self.device)


@dataclass(frozen=True, eq=False)
class Team:
    """All members, side by side.

    Args:
        trainer: of all. assignments, models: one a member.
        state: of the models, as they were built.
        sides: what is trained on as "", what is evaluated on as "stop_" and "val_".
    """

    trainer: KerasTrainer
    assignments: Sequence[Assignment]
    models: Sequence[Any]
    state: State
    sides: Mapping[str, Side]


def check_kind(trainer: KerasTrainer, assignments: Sequence[Assignment]) -> None:
    """Raises: NotBatchableError: something here is for one model at a time."""
    sources = [assignment.train.source for assignment in assignments]
    reasons = {
        "callbacks are called for one model at a time": bool(trainer.callbacks),
        "images are augmented for one model at a time": trainer.augments,
        "members go on from trained ones": any(assignment.initial is not None for assignment in assignments),
        "rows are read from files": any(isinstance(source, Source) for source in sources),
        "the model has several inputs": any(isinstance(source, Mapping) for source in sources),
        "rows are sparse": any(hasattr(source, "tocsr") for source in sources),
    }
    for reason, holds in reasons.items():
        if holds:
            raise NotBatchableError(reason)


def build_team(trainer: KerasTrainer, assignments: Sequence[Assignment]) -> Team:
    """Build the models of all members as each is built alone.

    Raises:
        EnsembleError: the model, its loss and y do not fit together.
        NotBatchableError: the models differ, or train in a way of their own.
    """
    known: dict[int, NDArray[Any]] = {}

    def readable(part: Part) -> NDArray[Any]:
        if id(part.source) not in known:  # members share their rows, unless these are prepared for each
            known[id(part.source)] = as_readable(part.source)
        return known[id(part.source)]

    models = [_built(trainer, assignments[0], readable(assignments[0].train))]
    _check_model(models[0])
    models += [_built(trainer, assignment, readable(assignment.train)) for assignment in assignments[1:]]
    shapes = [[tuple(variable.shape) for variable in model.variables] for model in models]
    if any(each != shapes[0] for each in shapes):
        raise NotBatchableError("members' models have weights of different shapes")
    kinds = {"": "train", "stop_": "stopping", "val_": "valid"}
    sides = {}
    for prefix, name in kinds.items():
        parts = [getattr(assignment, name) for assignment in assignments]
        if any(part is None for part in parts):
            continue
        sides[prefix] = _side(trainer, models, assignments, parts, [readable(part) for part in parts])
    return Team(trainer, assignments, models, state_of(models), sides)


def _built(trainer: KerasTrainer, assignment: Assignment, source: NDArray[Any]) -> Any:
    with own_random_state(assignment.seed):
        model = trainer.built_model(assignment)
        if not model.built:
            model(as_numbers(source[:1]))
        model.optimizer.build(model.trainable_variables)
    return model


def _check_model(model: Any) -> None:
    """Raises: NotBatchableError: a model trains in a way of its own, or gains nothing."""
    for name in _OVERRIDABLE:
        if getattr(type(model), name) is not getattr(keras_module().Model, name):
            raise NotBatchableError(f"{type(model).__name__} has a {name} of its own")
    if model.optimizer.use_ema:
        raise NotBatchableError("the optimizer keeps averages of the weights")
    if model.count_params() > _MOST_WEIGHTS:
        raise NotBatchableError(f"a model has {model.count_params()} weights, which is too many to gain by it")


def _side(
    trainer: KerasTrainer,
    models: Sequence[Any],
    assignments: Sequence[Assignment],
    parts: Sequence[Part],
    sources: Sequence[NDArray[Any]],
) -> Side:
    rows = [
        np.arange(len(source)) if part.rows is None else np.asarray(part.rows)
        for part, source in zip(parts, sources, strict=True)
    ]
    y = [
        encoded(model, assignment.targets, np.asarray(part.y))
        for model, assignment, part in zip(models, assignments, parts, strict=True)
    ]
    most = max(len(each) for each in rows)
    if parts[0] is assignments[0].train:
        size = min(trainer.batch_size, most)
    else:
        batches = -(-most // reading_size(sources[0], trainer.batch_size))
        size = -(-most // batches)  # batches of equal size: fewer rows that only fill up
    device = models[0].optimizer.variables[0].value.device
    return Side(sources, rows, y, [part.weights for part in parts], size, device)
