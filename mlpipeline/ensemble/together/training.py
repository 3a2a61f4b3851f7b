"""Training all members at once, where that can be done, pays, and comes to the same.

train_together
    _check_possible          what can be seen before anything is built
    _ready                   every member, under its own seed
    _check_worth             whether it is faster
    _group                   members with equally many steps: the pass through all their networks, and its first step
    train_stack              all epochs of a group
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from mlpipeline.ensemble.observations import Source
from mlpipeline.ensemble.together.first_step import TOLERANCE, first_difference
from mlpipeline.ensemble.together.layers import LayerByLayer, read_layers
from mlpipeline.ensemble.together.loop import Group, train_stack
from mlpipeline.ensemble.together.optimizers import why_not_shared
from mlpipeline.ensemble.together.stack import Stack
from mlpipeline.ensemble.together.vectorized import Vectorized
from mlpipeline.ensemble.together.worth import why_not_worth
from mlpipeline.ensemble.torch_inputs import Inputs
from mlpipeline.ensemble.torch_loop import batch_sizes
from mlpipeline.ensemble.torch_member import TorchMember, make_ready
from mlpipeline.ensemble.torch_state import one_thread, seeded
from mlpipeline.ensemble.trainer import Assignment, Fitted
from mlpipeline.errors import EnsembleError

if TYPE_CHECKING:
    from mlpipeline.ensemble.torch_trainer import TorchTrainer

_log = logging.getLogger(__name__)

Ready = tuple[TorchMember, Tensor]


class _Apart(Exception):  # noqa: N818  (nothing is wrong)
    """Members must be trained one after the other; says why.

    Args:
        reason: why. is_surprise: it could not be known before, and is worth a warning.
    """

    def __init__(self, reason: str, is_surprise: bool = False) -> None:
        super().__init__(reason)
        self.is_surprise = is_surprise


def train_together(
    trainer: TorchTrainer, assignments: Sequence[Assignment], forced: bool = False
) -> list[Fitted] | None:
    """Train all members at once, each to what it would come to alone but for 1e-5.

    Args:
        trainer: says how. assignments: one each.
        forced: even where it does not pay.
    Returns: the members in their order; None where they must be trained one after the other, and why is logged.
    Raises: EnsembleError: as for one member.
    """
    try:
        _check_possible(trainer, assignments)
        known: dict[int, Inputs] = {}
        first = _ready(trainer, assignments[0], known)
        _check_worth(trainer, first[0], forced)
        members = [first, *(_ready(trainer, assignment, known) for assignment in assignments[1:])]
        groups = [_group(trainer, some) for some in _by_steps(trainer, members)]
    except _Apart as reason:
        level = logging.WARNING if forced or reason.is_surprise else logging.INFO
        _log.log(level, "members are trained one after the other, not all at once: %s", reason)
        return None
    fitted: dict[int, Fitted] = {}
    for group in groups:
        with _threads(trainer, group):
            trained = train_stack(trainer, group)
        for member, (history, best_epoch) in zip(group.members, trained, strict=True):
            fitted[id(member)] = Fitted(member.finished(), history, best_epoch, member.statistics)
    return [fitted[id(member)] for member, _ in members]


def _check_possible(trainer: TorchTrainer, assignments: Sequence[Assignment]) -> None:
    """Raises: _Apart: something is asked for that is not done for all members at once."""
    if any(assignment.is_trial for assignment in assignments):
        raise _Apart("this is a trial of one step")
    if trainer.augments:
        raise _Apart("images are augmented")
    for assignment in assignments:
        source = assignment.train.source
        if isinstance(source, (Source, Mapping)) or hasattr(source, "tocsr"):
            raise _Apart("X is not one array in memory")


def _ready(trainer: TorchTrainer, assignment: Assignment, known: dict[int, Inputs]) -> Ready:
    """Return a member ready to be trained, and the state of the generator that its dropout will draw from."""
    with seeded(assignment.seed):
        member = make_ready(trainer, assignment, known)
        return member, torch.get_rng_state()


def _check_worth(trainer: TorchTrainer, member: TorchMember, forced: bool) -> None:
    """Raises: _Apart: the loss has no rows, or training at once would not be faster."""
    if member.objective.row_losses is None:
        raise _Apart("the loss gives no loss for each row")
    reason = None if forced else why_not_worth(member, trainer.batch_size)
    if reason is not None:
        raise _Apart(reason)


def _threads(trainer: TorchTrainer, group: Group) -> AbstractContextManager[None]:
    """Compute on one thread where a member alone does, and the number of threads would be seen in sums over rows."""
    is_alike = isinstance(group.forward, LayerByLayer) and group.forward.is_rowwise
    return one_thread(group.members[0].takes_small_steps(trainer.batch_size) and not is_alike)


def _by_steps(trainer: TorchTrainer, members: Sequence[Ready]) -> list[list[Ready]]:
    """Return members in groups of equally many steps an epoch, those with equally many rows beside each other."""
    groups: dict[int, list[Ready]] = {}
    for member in sorted(members, key=lambda ready: len(ready[0].train)):
        groups.setdefault(len(batch_sizes(len(member[0].train), trainer.batch_size)), []).append(member)
    return list(groups.values())


def _group(trainer: TorchTrainer, ready: Sequence[Ready]) -> Group:
    """Return members with the pass through all their networks.

    Raises: _Apart: they cannot be stacked, or their first step comes to something else than that of one alone.
    """
    members, random_states = [member for member, _ in ready], [state for _, state in ready]
    network, networks = members[0].network, [member.network for member in members]
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="There is a performance drop")
            stack = Stack.of(networks, random_states)
            reason = why_not_shared(trainer, network, stack)
            if reason is not None:
                raise _Apart(reason)
            sizes = [batch_sizes(len(member.train), trainer.batch_size) for member in members]
            group = Group(members, sizes, stack, read_layers(network) or Vectorized(network))
            with _threads(trainer, group):
                difference = first_difference(trainer, group, random_states)
    except (_Apart, EnsembleError):
        raise
    except Exception as error:  # whatever a user's forward does when many networks go through it
        raise _Apart(f"{type(error).__name__}: {error}", is_surprise=True) from error
    if difference is not None:
        raise _Apart(
            f"in a first step, {difference} differed by more than {TOLERANCE:g} from one member's alone",
            is_surprise=True,
        )
    return group
