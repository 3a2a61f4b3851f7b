"""The training of one network: all its epochs, one batch after the other.

train_alone
    epoch_order, batch_sizes     which rows a step sees
    Stepper.step                 forward, loss, backward, optimizer, scheduler
    measured                     losses and accuracies of the rows that are only looked at
    Watch                        which epoch is the best, and when to stop
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from mlpipeline.ensemble.order import epoch_order
from mlpipeline.ensemble.torch_member import Portion, TorchMember, forward, training_change
from mlpipeline.ensemble.torch_objective import Objective
from mlpipeline.ensemble.trainer import Assignment, History
from mlpipeline.errors import EnsembleError

if TYPE_CHECKING:
    from mlpipeline.ensemble.torch_trainer import TorchTrainer

LEARNING_RATE = 0.001


class Watch:
    """Which epoch of a member is the best so far, by the loss of the rows held back, and whether it is over.

    Args:
        patience: epochs without a better one before it is over; None for no end.
    """

    def __init__(self, patience: int | None) -> None:
        self.patience, self.best_epoch, self.best_loss = patience, 0, math.inf

    def improves(self, epoch: int, loss: float) -> bool:
        """Take notice of an epoch, from 1, and tell whether it is the best so far."""
        if loss < self.best_loss:
            self.best_epoch, self.best_loss = epoch, loss
            return True
        return False

    def is_over(self, epoch: int) -> bool:
        """Tell whether nothing has become better for too long."""
        return self.patience is not None and epoch - self.best_epoch >= self.patience


@dataclass(frozen=True, eq=False)
class Stepper:
    """What changes weights.

    Args:
        optimizer: of the parameters. scheduler: stepped after each batch; None for a constant learning rate.
        parameters: whose gradients are forgotten before each step.
    """

    optimizer: Optimizer
    scheduler: LRScheduler | None
    parameters: list[nn.Parameter]

    def step(self, loss: Tensor) -> None:
        """Change the weights so that the loss falls."""
        # what optimizer.zero_grad does, without its bookkeeping: 1/25 of a step of a small network
        for parameter in self.parameters:
            parameter.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        if self.scheduler is not None:
            self.scheduler.step()


def make_stepper(trainer: TorchTrainer, parameters: list[nn.Parameter], steps: int) -> Stepper:
    """Return what changes weights: the user's optimizer and scheduler, or AdamW.

    Raises: EnsembleError: they are none, or cannot be stepped after each batch.
    """
    if not parameters:
        raise EnsembleError("the network has no parameter that is trained")
    optimizer = (trainer.optimizer or default_optimizer)(parameters)
    if not isinstance(optimizer, Optimizer):
        raise EnsembleError(f"optimizer must return a torch.optim.Optimizer, but returned {type(optimizer).__name__}")
    closure = inspect.signature(optimizer.step).parameters.get("closure")
    if closure is not None and closure.default is inspect.Parameter.empty:
        raise EnsembleError(f"{type(optimizer).__name__} needs a closure in each step, and cannot be used here")
    scheduler = None if trainer.scheduler is None else trainer.scheduler(optimizer, steps)
    if isinstance(scheduler, ReduceLROnPlateau):
        raise EnsembleError(
            "ReduceLROnPlateau looks at a loss, but a scheduler is stepped after each batch without one; "
            "use one of so many steps, as CosineAnnealingLR(optimizer, steps), and patience to stop early"
        )
    return Stepper(optimizer, scheduler, parameters)


def default_optimizer(parameters: list[nn.Parameter]) -> Optimizer:
    """Return AdamW with torch's own settings.

    It is not the fused one: that computes the last few numbers of each tensor in another way, so that a member would
    not come to the same bits in a stack as alone.
    """
    return AdamW(parameters, lr=LEARNING_RATE)


def batch_sizes(row_count: int, batch_size: int) -> list[int]:
    """Cut an epoch into batches; a last one of a single row joins the one before it.

    Batch normalisation cannot train on one row.
    """
    sizes = [batch_size] * (row_count // batch_size)
    rest = row_count % batch_size
    if rest == 1 and sizes:
        sizes[-1] += 1
    elif rest:
        sizes.append(rest)
    return sizes


def train_alone(trainer: TorchTrainer, member: TorchMember) -> tuple[History, int]:
    """Train a network in place.

    Returns: the history, and the epoch, from 1, whose weights the network has.
    Raises: EnsembleError: training diverged.
    """
    assignment, sizes = member.assignment, batch_sizes(len(member.train), trainer.batch_size)
    stepper = make_stepper(trainer, member.parameters, trainer.epochs * len(sizes))
    epochs, sizes = (1, sizes[:1]) if assignment.is_trial else (trainer.epochs, sizes)
    watch, history, best = Watch(trainer.patience), History(), dict[str, Tensor]()
    for epoch in range(1, epochs + 1):
        metrics = _train_epoch(trainer, member, stepper, sizes, epoch - 1)
        for name, portion in {} if assignment.is_trial else member.curves.items():
            found = measured(member.network.eval(), member.objective, portion)
            metrics |= {f"{name}_{key}": value for key, value in found.items()}
        check_losses(metrics, assignment, epoch)
        for key, value in metrics.items():
            history.setdefault(key, []).append(value)
        assignment.report(epoch * len(sizes), epochs * len(sizes), {"loss": metrics["loss"]})
        if "stop_loss" not in metrics:
            watch.best_epoch = epoch
        elif watch.improves(epoch, metrics["stop_loss"]):
            best = {key: value.clone() for key, value in member.network.state_dict().items()}
        elif watch.is_over(epoch):
            break
    if best:
        member.network.load_state_dict(best)
    return history, watch.best_epoch


def _train_epoch(
    trainer: TorchTrainer, member: TorchMember, stepper: Stepper, sizes: list[int], epoch: int
) -> dict[str, float]:
    """Train for an epoch and return the mean loss of its batches, and the accuracy over its rows."""
    network, objective, train, seed = member.network.train(), member.objective, member.train, member.assignment.seed
    order = epoch_order(len(train), seed, epoch)[: sum(sizes)]
    places = torch.from_numpy(order).to(train.targets.device)
    wanted = train.targets[places]
    weights: Any = [None] * len(sizes) if train.weights is None else torch.split(train.weights[places], sizes)
    change = training_change(trainer, member.statistics, drawing_seed(seed, epoch)) if trainer.augments else None
    inputs = train.inputs.batches(train.rows[order], sizes, change)
    losses, outputs = list[Tensor](), list[Tensor]()
    for batch, targets, weight in zip(inputs, torch.split(wanted, sizes), weights, strict=True):
        output = objective.shaped(forward(network, batch))
        loss = objective.loss(output, targets, weight)
        stepper.step(loss)
        losses.append(loss.detach())
        outputs.append(output.detach())
    shares = torch.tensor(sizes, dtype=torch.float32, device=wanted.device) / sum(sizes)
    return {"loss": float((torch.stack(losses) * shares).sum()), **_accuracy(objective, torch.cat(outputs), wanted)}


def measured(network: nn.Module, objective: Objective, portion: Portion) -> dict[str, float]:
    """Return the loss of rows, and of classes the accuracy; the network is in the mode to predict."""
    with torch.no_grad():
        batches = portion.inputs.in_order(portion.rows, portion.change)
        outputs = torch.cat([objective.shaped(forward(network, batch)) for batch in batches])
        loss = float(objective.loss(outputs, portion.targets, portion.weights))
    return {"loss": loss, **_accuracy(objective, outputs, portion.targets)}


def check_losses(metrics: Mapping[str, float], assignment: Assignment, epoch: int) -> None:
    """Raises: EnsembleError: a loss of an epoch, from 1, by which something is decided is no finite number."""
    for name in ("loss", "stop_loss"):
        if not math.isfinite(metrics.get(name, 0.0)):
            raise EnsembleError(
                f"{assignment.name}: the {name} became {metrics[name]} in epoch {epoch}: training diverged; "
                "lower the learning rate, or scale the inputs"
            )


def drawing_seed(seed: int, epoch: int) -> int:
    """Return the seed of what augmentation draws in an epoch, or in a pass over rows that are predicted."""
    return int(np.random.SeedSequence([seed, epoch, 1]).generate_state(1)[0])


def _accuracy(objective: Objective, outputs: Tensor, wanted: Tensor) -> Mapping[str, float]:
    if not objective.task.has_classes:
        return {}
    return {name: float(values.mean()) for name, values in objective.task.score(outputs, wanted).items()}
