"""Together: the Keras models of all members trained at once.

fit_together
    check_kind      what cannot be trained at once, told before anything is built
    build_team      the members' models and rows, side by side
    may_fill_up     one member's first steps, compared with its own steps in Keras
    train           epochs as KerasTrainer.fit goes through them: order, steps, evaluation, history, best weights
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mlpipeline.ensemble.keras_batches import batch_seed
from mlpipeline.ensemble.keras_recording import Best, add_epoch, tell
from mlpipeline.ensemble.keras_setup import own_random_state
from mlpipeline.ensemble.keras_steps import (
    NotBatchableError,
    State,
    Steps,
    give_state,
    member_of,
    members_of,
    state_of,
    with_members,
)
from mlpipeline.ensemble.keras_team import Numbers, Side, Team, build_team, check_kind
from mlpipeline.ensemble.order import epoch_order
from mlpipeline.ensemble.trainer import Assignment, Fitted, History

if TYPE_CHECKING:
    from mlpipeline.ensemble.keras_trainer import KerasTrainer

_log = logging.getLogger(__name__)
TOLERANCE = 1e-5


class Told(NamedTuple):
    """What a batch told of one member: its loss, and its outputs [rows, k]."""

    number: int
    loss: float
    outputs: Tensor


@dataclass
class Course:
    """How one member fares.

    Args:
        assignment: of the member. best: its best epoch, by the rows held back.
        kept: its variables after that epoch. ended: its variables when it stopped early.
    """

    assignment: Assignment
    best: Best
    history: History = field(default_factory=dict)
    kept: State | None = None
    ended: State | None = None

    def note(self, epoch: int, values: Mapping[str, float], state: State, number: int) -> None:
        """Note down an epoch, from 0, after which the member's variables stand at `number` in the state."""
        add_epoch(self.history, epoch, values)
        if self.assignment.stopping is None:
            return
        if self.best.improves(epoch + 1, values["stop_loss"]):
            self.kept = member_of(state, number)
        if self.best.is_over(epoch + 1):
            self.ended = member_of(state, number)

    def finish(self, model: Any, last: State) -> Fitted:
        """Return the member with its best weights, or its last."""
        final = self.ended or last
        if self.kept is not None:
            final = final._replace(trainable=self.kept.trainable, others=self.kept.others)
        give_state(model, final)
        model.reset_metrics()
        return Fitted(model, self.history, self.best.epoch or len(self.history["loss"]))


def fit_together(trainer: KerasTrainer, assignments: Sequence[Assignment], forced: bool = False) -> list[Fitted] | None:
    """Train the models of all members at once; None, and a message that says why, where that cannot be.

    Args:
        trainer: whose model, epochs and batch size. assignments: one a member.
        forced: even where it does not pay.
    Returns: what training one after the other gives, to rounding.
    Raises: EnsembleError: as in `KerasTrainer.fit`.
    """
    if any(assignment.is_trial for assignment in assignments):
        return None
    try:
        check_kind(trainer, assignments)
        with own_random_state(assignments[0].seed):
            team = build_team(trainer, assignments, forced)
            steps = Steps(team.models[0])
            return train(team, steps, fills_up=may_fill_up(team, steps))
    except NotBatchableError as error:
        level = logging.WARNING if forced or error.is_surprise else logging.INFO
        _log.log(level, "Keras models are trained one after the other, not all at once: %s", error)
        return None


def may_fill_up(team: Team, steps: Steps) -> bool:
    """Tell whether a short batch may be filled up with rows of weight 0, after two steps beside Keras's own.

    Where it may not, as with BatchNormalization, which looks at all rows, members whose batches are equally short take
    their step together, without the others.

    Raises: NotBatchableError: what is computed differs from what Keras computes.
    """
    side = team.sides[""]
    shortest = int(np.argmin((side.counts - 1) % side.size))  # whose last batch is
    for fills_up in (True, False):
        difference = _difference(team, steps, shortest, fills_up)
        if difference <= TOLERANCE:
            return fills_up
    raise NotBatchableError(f"a step differs from Keras's own by {difference:.1e}", is_surprise=True)


def train(team: Team, steps: Steps, *, fills_up: bool) -> list[Fitted]:
    """Train all members to their ends."""
    trainer = team.trainer
    courses = [Course(assignment, Best(trainer.patience)) for assignment in team.assignments]
    state = team.state
    for epoch in range(trainer.epochs):
        state, logs = _epoch(team, steps, state, epoch, fills_up)
        for prefix in ("stop_", "val_"):
            if prefix in team.sides:
                told = _evaluated(team, steps, state, prefix)
                logs = [known | more for known, more in zip(logs, told, strict=True)]
        for number, (course, values) in enumerate(zip(courses, logs, strict=True)):
            if course.ended is None:
                course.note(epoch, values, state, number)
                tell(course.assignment, epoch + 1, trainer.epochs, values, is_told=trainer.verbose)
        if all(course.ended is not None for course in courses):
            break
    return [
        course.finish(model, member_of(state, number))
        for number, (course, model) in enumerate(zip(courses, team.models, strict=True))
    ]


def _epoch(team: Team, steps: Steps, state: State, epoch: int, fills_up: bool) -> tuple[State, list[dict[str, float]]]:
    """Take the steps of an epoch; return the new state, and what there is to tell of each member."""
    side, orders = team.sides[""], _orders(team, epoch)
    told: list[Told] = []
    for index in range(len(side.starts)):
        state, more = _step(team, steps, state, orders, (epoch, index), fills_up)
        told += more
    return state, _logs(team, side, orders, told)


def _step(
    team: Team, steps: Steps, state: State, orders: Sequence[Numbers], place: tuple[int, int], fills_up: bool
) -> tuple[State, list[Told]]:
    """Take a step of all members that have rows for it.

    Args:
        place: of the batch: its epoch, and its number there.
        fills_up: all at once; else those at once that have equally many rows.
    """
    side = team.sides[""]
    start = side.starts[place[1]]
    counts = side.counts_at(start)
    told = []
    for size in [side.size] if fills_up else np.unique(counts[counts > 0]).tolist():
        members = np.flatnonzero(counts > 0 if fills_up else counts == size).tolist()
        rows = side.gather(orders, start, members, size)
        seeds = [batch_seed(team.assignments[number].seed, *place) for number in members]
        if len(members) == len(counts):
            state, losses, outputs = steps.train(state, rows, counts.tolist(), seeds)
        else:
            numbers = torch.tensor(members, device=rows.x.device)
            new, losses, outputs = steps.train(members_of(state, numbers), rows, counts[members].tolist(), seeds)
            state = with_members(state, numbers, new)
        told += _told(members, counts, losses, outputs)
    return state, told


def _evaluated(team: Team, steps: Steps, state: State, prefix: str) -> list[dict[str, float]]:
    side = team.sides[prefix]
    orders, everyone = [np.arange(count) for count in side.counts], list(range(len(side.counts)))
    told = []
    for start in side.starts:
        losses, outputs = steps.evaluate(state, side.gather(orders, start, everyone, side.size))
        told += _told(everyone, side.counts_at(start), losses, outputs)
    return [{prefix + name: value for name, value in each.items()} for each in _logs(team, side, orders, told)]


def _told(members: Sequence[int], counts: Numbers, losses: Tensor, outputs: Tensor) -> list[Told]:
    values = losses.tolist()
    return [
        Told(number, value, output[: counts[number]])
        for number, value, output in zip(members, values, outputs, strict=True)
    ]


def _logs(team: Team, side: Side, orders: Sequence[Numbers], told: Sequence[Told]) -> list[dict[str, float]]:
    """Return each member's loss and metrics over its rows, as Keras tells them after an epoch."""
    logs = []
    for number, model in enumerate(team.models):
        own = [each for each in told if each.number == number]
        outputs = torch.cat([each.outputs for each in own])
        loss = sum(each.loss * len(each.outputs) for each in own) / len(outputs)
        y, weights = side.told(number, orders[number])
        model.reset_metrics()
        metrics = model.compute_metrics(None, y, outputs, weights)
        logs.append({name: float(value) for name, value in metrics.items()} | {"loss": loss})
    return logs


def _orders(team: Team, epoch: int) -> list[Numbers]:
    if not team.trainer.shuffle:
        return [np.arange(count) for count in team.sides[""].counts]
    return [epoch_order(len(each.train), each.seed, epoch) for each in team.assignments]


def _difference(team: Team, steps: Steps, number: int, fills_up: bool) -> float:
    """Return how much the first and the last step of a member's epoch differ from Keras's own, at most."""
    side, orders, state = team.sides[""], _orders(team, 0), team.state
    model, seed = team.models[number], team.assignments[number].seed
    give_state(model, member_of(state, number))
    found = []
    for index in (0, (len(orders[number]) - 1) // side.size):
        state, told = _step(team, steps, state, orders, (0, index), fills_up)
        loss = next(each.loss for each in told if each.number == number)
        own_loss = _own_step(model, side, number, orders[number][side.starts[index] :][: side.size], seed, index)
        found.append(abs(loss - own_loss) / (1 + abs(own_loss)))
        own = state_of([model])  # the weights show in the next loss; rounding may turn a step along a gradient of 0
        found += [_distance(*pair, number) for pair in zip(own.others, state.others, strict=True)]
        found += [_distance(*pair, number) for pair in zip(own.optimizer, state.optimizer, strict=True)]
    return max(found)


def _own_step(model: Any, side: Side, number: int, order: Numbers, seed: int, index: int) -> float:
    """Take a member's step in Keras, in the first epoch, and return its loss."""
    rows = side.gather({number: order}, 0, [number], len(order))
    with own_random_state(batch_seed(seed, 0, index)):
        logs = model.train_on_batch(rows.x[0], rows.y[0], rows.weights[0], return_dict=True)
    return float(logs["loss"])


def _distance(own: Tensor, stacked: Tensor, number: int) -> float:
    first, second = own[0].double(), stacked[number].double()
    if not first.numel():
        return 0.0
    return float((first - second).abs().max() / (1 + first.abs().max()))
