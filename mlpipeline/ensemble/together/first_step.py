"""The first step of a stack beside that of one of its members alone: they must come to the same."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from mlpipeline.ensemble.order import epoch_order
from mlpipeline.ensemble.together.loop import Group, stack_stepper, stacked_step
from mlpipeline.ensemble.together.rows import StackedRows
from mlpipeline.ensemble.torch_loop import make_stepper
from mlpipeline.ensemble.torch_member import TorchMember, forward
from mlpipeline.ensemble.torch_state import seeded

if TYPE_CHECKING:
    from mlpipeline.ensemble.torch_trainer import TorchTrainer

TOLERANCE = 1e-5


def first_difference(trainer: TorchTrainer, group: Group, random_states: list[Tensor]) -> str | None:
    """Say in what a member's first step in the stack differs from its step alone; None for nothing.

    The batch is the last of an epoch, in which members may have different numbers of rows, and the member one with
    the fewest. Nothing of the group is changed.

    Args:
        random_states: of each member, before its training.
    """
    lasts = [sizes[-1] for sizes in group.sizes]
    # not the first, if there are others: a pass may have kept something of that one's
    number = int(np.argmin(lasts[1:])) + 1 if len(lasts) > 1 else 0
    alone, expected = _step_alone(trainer, group.members[number], lasts[number], random_states[number])
    stack = group.stack.copy()
    stepper = stack_stepper(trainer, stack, trainer.epochs)
    rows = StackedRows([member.train for member in group.members], [[last] for last in lasts])
    orders = [_last_rows(member, last) for member, last in zip(group.members, lasts, strict=True)]
    batch = next(rows.batches(rows.ordered(orders)))
    outputs = stacked_step(group.forward, stack, stepper, group.members[number].objective, batch)
    first = number * max(lasts)
    if not _are_close(outputs[first : first + lasts[number]], expected):
        return "the outputs"
    unused = [name for name, each in alone.network.named_parameters() if each.requires_grad and each.grad is None]
    if unused:
        return f"{unused[0]}, which has no part in the loss and"
    values = stack.values()
    for name, tensor in (*alone.network.named_parameters(), *alone.network.named_buffers()):
        if not _are_close(values[name][number], tensor.detach()):
            return f"{name} after the step"
    return None


def _step_alone(
    trainer: TorchTrainer, member: TorchMember, last: int, random_state: Tensor
) -> tuple[TorchMember, Tensor]:
    """Return a copy of a member after one step, and its outputs in that step."""
    train, objective = member.train, member.objective
    network = copy.deepcopy(member.network).train()
    places = _last_rows(member, last)
    weights = None if train.weights is None else train.weights[places]
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    stepper = make_stepper(trainer, parameters, trainer.epochs)
    with seeded(0):
        torch.set_rng_state(random_state)
        outputs = objective.shaped(forward(network, train.inputs.at(train.rows[places])))
        stepper.step(objective.loss(outputs, train.targets[places], weights))
    copied = TorchMember(member.assignment, network, objective, member.placement, train, {}, {}, 0)
    return copied, outputs.detach()


def _last_rows(member: TorchMember, last: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Return which of its rows a member sees in the last step of its first epoch."""
    order: np.ndarray[tuple[int], np.dtype[np.int64]]
    order = epoch_order(len(member.train), member.assignment.seed, 0)[-last:]
    return order


def _are_close(first: Tensor, second: Tensor) -> bool:
    return first.shape == second.shape and torch.allclose(
        first.float(), second.float(), rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True
    )
