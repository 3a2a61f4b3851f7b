"""The training of several networks at once: all their epochs, one pass over the data per step.

train_stack
    StackedRows.batches          the rows that each member sees in a step
    stacked_step                 forward, loss, backward, one optimizer for all
    _metrics                     losses and accuracies, of the rows that are only looked at, too
    Watch                        of each member: which epoch is its best, and when it stops
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import pad

from mlpipeline.ensemble.order import epoch_order
from mlpipeline.ensemble.together.flat import FlatStepper
from mlpipeline.ensemble.together.rows import Ordered, StackedBatch, StackedRows
from mlpipeline.ensemble.together.stack import Stack, write_back
from mlpipeline.ensemble.torch_loop import Watch, check_losses, make_stepper
from mlpipeline.ensemble.torch_member import TorchMember
from mlpipeline.ensemble.torch_objective import Objective
from mlpipeline.ensemble.trainer import History

if TYPE_CHECKING:
    from mlpipeline.ensemble.torch_trainer import TorchTrainer

Forward = Callable[[Stack, Tensor, bool], Tensor]

# as soon as so many members have stopped, the others go on without them
_SHARE_STOPPED = 0.25


@dataclass(frozen=True, eq=False)
class Group:
    """Members with the same number of steps an epoch.

    Args:
        members: ready to be trained, in their order. sizes: of the batches of each.
        stack: their weights. forward: the pass through all of them.
    """

    members: Sequence[TorchMember]
    sizes: list[list[int]]
    stack: Stack
    forward: Forward


class _Running:
    """What changes while a group is trained: who is still in, and with what."""

    def __init__(self, trainer: TorchTrainer, group: Group) -> None:
        self.numbers, self.stack = list(range(len(group.members))), group.stack
        self.stepper = stack_stepper(trainer, self.stack, trainer.epochs * len(group.sizes[0]))
        self.train = StackedRows([member.train for member in group.members], group.sizes)
        portions = {name: [member.curves[name] for member in group.members] for name in group.members[0].curves}
        self.curves = {name: StackedRows(each, [[len(portion)] for portion in each]) for name, each in portions.items()}

    def go_on_with(self, places: list[int]) -> None:
        """Leave all members but some out."""
        self.numbers, self.stack = [self.numbers[place] for place in places], self.stack.take(places)
        self.stepper.go_on_with(places, self.stack)
        self.train = self.train.take(places)
        self.curves = {name: rows.take(places) for name, rows in self.curves.items()}


def train_stack(trainer: TorchTrainer, group: Group) -> list[tuple[History, int]]:
    """Train the networks of a group in place.

    Returns: for each the history, and the epoch, from 1, whose weights it has.
    Raises: EnsembleError: training diverged.
    """
    running = _Running(trainer, group)
    watches = [Watch(trainer.patience) for _ in group.members]
    histories: list[History] = [{} for _ in group.members]
    best = {name: values.clone() for name, values in group.stack.values().items()} if "stop" in running.curves else {}
    over: set[int] = set()
    for epoch in range(1, trainer.epochs + 1):
        metrics = _run_epoch(group, running, epoch)
        for place, number in enumerate(running.numbers):
            if number in over:
                continue
            found = {name: values[place] for name, values in metrics.items()}
            _note(group.members[number], found, histories[number], epoch, trainer.epochs, len(group.sizes[0]))
            if not best:
                watches[number].best_epoch = epoch
            elif watches[number].improves(epoch, found["stop_loss"]):
                for name, values in running.stack.values().items():
                    best[name][number] = values[place]
            elif watches[number].is_over(epoch):
                over.add(number)
        places = [place for place, number in enumerate(running.numbers) if number not in over]
        if not places:
            break
        if len(places) <= (1 - _SHARE_STOPPED) * len(running.numbers):
            running.go_on_with(places)
    final = best or running.stack.values()
    for number, member in enumerate(group.members):
        write_back(final, number, member.network)
    return [(history, watch.best_epoch) for history, watch in zip(histories, watches, strict=True)]


def stack_stepper(trainer: TorchTrainer, stack: Stack, steps: int) -> FlatStepper:
    """Return what changes the weights of a stack, with the user's optimizer and scheduler for so many steps."""
    return FlatStepper(make_stepper(trainer, stack.trained, steps), stack)


def stacked_step(
    forward: Forward, stack: Stack, stepper: FlatStepper, objective: Objective, batch: StackedBatch
) -> Tensor:
    """Train all members on one batch each; return their outputs, [members x rows, k]."""
    if batch.sizes is None:
        outputs = forward(stack, batch.inputs, True)
    else:
        outputs = _uneven(forward, stack, batch.inputs, batch.sizes)
    assert objective.row_losses is not None
    flat = outputs.flatten(0, 1)
    stepper.step(torch.dot(objective.row_losses(flat, batch.targets), batch.shares))
    return flat.detach()


def _uneven(forward: Forward, stack: Stack, inputs: Tensor, sizes: list[int]) -> Tensor:
    """Return the outputs of members with different numbers of rows, 0 for padding.

    Neighbours with equally many go together, so that padding has no part in a mean over rows, or in dropout.
    """
    runs = [(size, len(list(same))) for size, same in groupby(sizes)]
    counts = [count for _, count in runs]
    outputs = [
        pad(forward(part, rows[:, :size], True), (0, 0, 0, inputs.shape[1] - size))
        for (size, _), part, rows in zip(runs, stack.split(counts), torch.split(inputs, counts), strict=True)
    ]
    return torch.cat(outputs)


def _run_epoch(group: Group, running: _Running, epoch: int) -> dict[str, list[float]]:
    """Train for an epoch, from 1; return what it came to for each member that is still in."""
    members = [group.members[number] for number in running.numbers]
    orders = [epoch_order(len(member.train), member.assignment.seed, epoch - 1) for member in members]
    objective, outputs = members[0].objective, list[Tensor]()
    ordered = running.train.ordered(orders)
    for batch in running.train.batches(ordered):
        outputs.append(stacked_step(group.forward, running.stack, running.stepper, objective, batch))
    metrics = _metrics(objective, torch.cat(outputs), running.train, ordered)
    for name, rows in running.curves.items():
        with torch.no_grad():
            seen = torch.cat([group.forward(running.stack, inputs, False) for inputs in rows.in_order()], dim=1)
        found = _metrics(objective, seen.flatten(0, 1), rows, rows.as_they_come)
        metrics |= {f"{name}_{key}": values for key, values in found.items()}
    return metrics


def _metrics(objective: Objective, outputs: Tensor, rows: StackedRows, ordered: Ordered) -> dict[str, list[float]]:
    """Return each member's loss, the mean over its batches, and of classes its accuracy, from outputs [all, k]."""
    assert objective.row_losses is not None
    metrics = {"loss": rows.mean_losses(objective.row_losses(outputs, ordered.targets), ordered)}
    scored = objective.task.score(outputs, ordered.targets) if objective.task.has_classes else {}
    return metrics | {name: rows.means(values) for name, values in scored.items()}


def _note(member: TorchMember, found: dict[str, float], history: History, epoch: int, epochs: int, steps: int) -> None:
    """Check what an epoch came to for a member, keep it and report it."""
    check_losses(found, member.assignment, epoch)
    for name, value in found.items():
        history.setdefault(name, []).append(value)
    member.assignment.report(epoch * steps, epochs * steps, {"loss": found["loss"]})
