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
_MOST_WEIGHTS = 400_000  # of a model; with more, arithmetic takes the time, and one after the other is as fast


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

    def counts_at(self, start: int) -> Numbers:
        """How many rows each member has in the batch that begins at its row `start`."""
        return np.clip(self.counts - start, 0, self.size)

    def gather(
        self, orders: Mapping[int, Numbers] | Sequence[Numbers], start: int, members: Sequence[int], size: int
    ) -> Rows:
        """Return a batch of some members, filled up to so many rows.

        A loss is the mean over all rows of a batch; where some only fill up, the weights of the others are larger by
        as much.

        Args:
            orders: for each of all members the order of its rows. start: of the batch.
        """
        places = np.zeros((len(members), size), dtype=np.int64)
        weights = np.zeros((len(members), size), dtype=np.float32)
        for row, number in enumerate(members):
            chosen, own = orders[number][start : start + self.size], self.weights[number]
            places[row, : len(chosen)] = chosen
            weights[row, : len(chosen)] = (1 if own is None else own[chosen]) * (size / max(1, len(chosen)))
        return Rows(*self._taken(places, members), self._tensor(weights))

    def told(self, number: int, order: Numbers) -> tuple[Tensor, Tensor | None]:
        """Return y and weights of one member's rows in an order."""
        weights = self.weights[number]
        y = self._tensor(self.y[number][order])
        return y, None if weights is None else self._tensor(weights[order].astype(np.float32))

    def _taken(self, places: Numbers, members: Sequence[int]) -> tuple[Tensor, Tensor]:
        numbers = [self.rows[number][each] for number, each in zip(members, places, strict=True)]
        sources = [self.sources[number] for number in members]
        if all(source is sources[0] for source in sources):
            inputs = sources[0][np.stack(numbers)]
        else:
            inputs = np.stack([source[each] for source, each in zip(sources, numbers, strict=True)])
        y = np.stack([self.y[number][each] for number, each in zip(members, places, strict=True)])
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
    widths = {tuple(getattr(source, "shape", ()))[1:] for source in sources}
    reasons = {
        "callbacks are called for one model at a time": bool(trainer.callbacks),
        "images are augmented for one model at a time": trainer.augments,
        "members go on from trained ones": any(assignment.initial is not None for assignment in assignments),
        "rows are read from files": any(isinstance(source, Source) for source in sources),
        "the model has several inputs": any(isinstance(source, Mapping) for source in sources),
        "rows are sparse": any(hasattr(source, "tocsr") for source in sources),
        "members' rows were prepared to different shapes": len(widths) > 1,
    }
    for reason, holds in reasons.items():
        if holds:
            raise NotBatchableError(reason)


def build_team(trainer: KerasTrainer, assignments: Sequence[Assignment], forced: bool = False) -> Team:
    """Build the models of all members as each is built alone.

    Args:
        trainer: builds them. assignments: one a member. forced: even where there is nothing to gain.

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
    if models[0].count_params() > _MOST_WEIGHTS and not forced:
        raise NotBatchableError(f"a model has {models[0].count_params()} weights, which is too many to gain by it")
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
    """Raises: NotBatchableError: a model trains in a way of its own."""
    for name in _OVERRIDABLE:
        if getattr(type(model), name) is not getattr(keras_module().Model, name):
            raise NotBatchableError(f"{type(model).__name__} has a {name} of its own")
    if model.optimizer.use_ema:
        raise NotBatchableError("the optimizer keeps averages of the weights")


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
