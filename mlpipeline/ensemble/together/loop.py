"""The training of several networks at once: all their epochs, one pass over the data per step.

train_stack
    StackedRows.batches          the rows that each member sees in a step
    stacked_step                 forward, loss, backward, one optimizer for all
    _measured                    losses and accuracies of the rows that are only looked at
    Watch                        of each member: which epoch is its best, and when it stops
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mlpipeline.ensemble.order import epoch_order
from mlpipeline.ensemble.together.rows import StackedBatch, StackedRows
from mlpipeline.ensemble.together.stack import Stack, exchange, write_back
from mlpipeline.ensemble.torch_loop import Stepper, Watch, batch_sizes, check_losses, make_stepper
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
        steps = trainer.epochs * len(group.sizes[0])
        self.stepper = make_stepper(trainer, self.stack.trained, steps)
        self.train = StackedRows([member.train for member in group.members])
        names = group.members[0].curves
        self.curves = {name: StackedRows([member.curves[name] for member in group.members]) for name in names}

    def go_on_with(self, places: list[int]) -> None:
        """Leave all members but some out."""
        before = self.stack
        self.numbers, self.stack = [self.numbers[place] for place in places], before.take(places)
        exchange(self.stepper.optimizer, before.trained, self.stack.trained, places)
        self.stepper = Stepper(self.stepper.optimizer, self.stepper.scheduler, self.stack.trained)
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


def stacked_step(
    forward: Forward, stack: Stack, stepper: Stepper, objective: Objective, batch: StackedBatch
) -> tuple[Tensor, Tensor]:
    """Train all members on one batch each; return their losses, float[members], and outputs [members, rows, k]."""
    if batch.sizes is None:
        outputs = forward(stack, batch.inputs, True)
    else:
        outputs = _uneven(forward, stack, batch.inputs, batch.sizes)
    losses = _losses(objective, outputs, batch.targets, batch.shares)
    stepper.step(losses.sum())
    return losses.detach(), outputs.detach()


def _uneven(forward: Forward, stack: Stack, inputs: Tensor, sizes: list[int]) -> Tensor:
    """Return the outputs of members with different numbers of rows, 0 for padding.

    Those with equally many go together, so that padding has no part in a mean over rows, or in dropout.
    """
    outputs = None
    for size in sorted(set(sizes)):
        places = [place for place, each in enumerate(sizes) if each == size]
        part = stack.part(places)
        found = forward(part, inputs[places, :size], True)
        for name, values in part.buffers.items():
            stack.buffers[name][places] = values
        if outputs is None:
            outputs = found.new_zeros(*inputs.shape[:2], found.shape[2])
        outputs = outputs.index_put((torch.tensor(places)[:, None], torch.arange(size)), found)
    assert outputs is not None
    return outputs


def _run_epoch(group: Group, running: _Running, epoch: int) -> dict[str, list[float]]:
    """Train for an epoch, from 1; return what it came to for each member that is still in."""
    members = [group.members[number] for number in running.numbers]
    sizes = [group.sizes[number] for number in running.numbers]
    orders = [epoch_order(len(member.train), member.assignment.seed, epoch - 1) for member in members]
    objective, losses, outputs, targets = members[0].objective, list[Tensor](), list[Tensor](), list[Tensor]()
    for batch in running.train.batches(orders, sizes):
        loss, output = stacked_step(group.forward, running.stack, running.stepper, objective, batch)
        losses.append(loss)
        outputs.append(output)
        targets.append(batch.targets)
    counts = torch.tensor(sizes, dtype=torch.float32, device=losses[0].device)
    means = (torch.stack(losses, dim=1) * counts).sum(dim=1) / counts.sum(dim=1)
    seen, wanted = torch.cat(outputs, dim=1), torch.cat(targets, dim=1)
    metrics = {"loss": means.tolist(), **_accuracies(objective, seen, wanted, running.train.mask)}
    for name, rows in running.curves.items():
        found = _measured(group.forward, running.stack, objective, rows)
        metrics |= {f"{name}_{key}": values for key, values in found.items()}
    return metrics


def _measured(forward: Forward, stack: Stack, objective: Objective, rows: StackedRows) -> dict[str, list[float]]:
    """Return each member's loss, and of classes its accuracy, of rows that are only looked at."""
    with torch.no_grad():
        outputs = torch.cat([forward(stack, inputs, False) for inputs in rows.in_order()], dim=1)
        losses = _losses(objective, outputs, rows.targets, rows.shares)
    return {"loss": losses.tolist(), **_accuracies(objective, outputs, rows.targets, rows.mask)}


def _losses(objective: Objective, outputs: Tensor, targets: Tensor, shares: Tensor) -> Tensor:
    """Return each member's mean loss over its rows, float[members]."""
    assert objective.row_losses is not None
    by_row = objective.row_losses(outputs.flatten(0, 1), targets.flatten(0, 1))
    return (by_row.view(shares.shape) * shares).sum(dim=1)


def _accuracies(objective: Objective, outputs: Tensor, targets: Tensor, mask: Tensor) -> dict[str, list[float]]:
    if not objective.task.has_classes:
        return {}
    scored = objective.task.score(outputs.flatten(0, 1), targets.flatten(0, 1))
    return {
        name: ((values.view(mask.shape) * mask).sum(dim=1) / mask.sum(dim=1)).tolist()
        for name, values in scored.items()
    }


def _note(member: TorchMember, found: dict[str, float], history: History, epoch: int, epochs: int, steps: int) -> None:
    """Check what an epoch came to for a member, keep it and report it."""
    check_losses(found, member.assignment, epoch)
    for name, value in found.items():
        history.setdefault(name, []).append(value)
    member.assignment.report(epoch * steps, epochs * steps, {"loss": found["loss"]})


__all__ = ["Group", "batch_sizes", "stacked_step", "train_stack"]
