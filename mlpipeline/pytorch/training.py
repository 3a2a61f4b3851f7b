"""Training: one step, and the loop over all steps of a run."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from mlpipeline.errors import DataError, ScriptError
from mlpipeline.pytorch.advice import Loss, doubled_activation
from mlpipeline.pytorch.batches import Batch
from mlpipeline.pytorch.placement import Placement
from mlpipeline.pytorch.tasks import Task

_SHORTEST_PAUSE, _LONGEST_PAUSE = 0.02, 0.2  # between reports, seconds
_PAUSES_IN_TRAINING = 100  # so many pauses make up the time so far, within these bounds


@dataclass
class Learner:
    """A network with all that trains it.

    Args:
        task: None where neither the loader nor the script says what is predicted.
        scheduler: stepped after each batch; None for a constant learning rate.
        last_outputs: of the step before.
        advise: told of mistakes that can be seen in the first outputs.
    """

    network: nn.Module
    loss: Loss
    optimizer: Optimizer
    placement: Placement
    task: Task | None
    advise: Callable[[str], None]
    scheduler: LRScheduler | None = None
    last_outputs: Tensor = field(init=False)
    _has_checked: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._parameters = list(self.network.parameters())

    def placed(self, batch: Batch) -> Batch:
        """Return a batch on the device, its targets in the shape and type that the loss expects."""
        targets = batch.targets.to(self.placement.device, non_blocking=True)
        shaped = self.task.shape_targets(targets) if self.task else targets
        return Batch(self.placement.inputs(batch.inputs), shaped, batch.ends_epoch)

    def outputs(self, inputs: Tensor) -> Tensor:
        """Return the network's outputs for placed inputs, in the shape that the loss expects."""
        if self.placement.uses_bfloat16:
            with self.placement.forward_context():
                outputs: Tensor = self.network(inputs).float()
        else:
            outputs = self.network(inputs)
        return self.task.shape_outputs(outputs) if outputs.ndim == 1 and self.task else outputs

    def step(self, batch: Batch) -> Tensor:
        """Train on one placed batch and return its loss."""
        outputs = self.outputs(batch.inputs)
        if not self._has_checked:
            self._check(outputs, batch.targets)
        self.last_outputs = outputs
        loss = self.loss(outputs, batch.targets)
        # what optimizer.zero_grad does, without its bookkeeping: 1/25 of a step of a small network
        for parameter in self._parameters:
            parameter.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return loss.detach()

    def _check(self, outputs: Tensor, targets: Tensor) -> None:
        self._has_checked = True
        # a loss of the script may well compare other shapes; torch's own would broadcast them
        is_elementwise = isinstance(self.loss, nn.Module) and targets.is_floating_point()
        if is_elementwise and outputs.shape != targets.shape:
            raise ScriptError(
                f"the network returned outputs of shape {list(outputs.shape)} for targets of shape "
                f"{list(targets.shape)}; its last layer needs {targets.shape[-1]} output(s)"
            )
        advice = doubled_activation(self.loss, outputs)
        if advice:
            self.advise(advice)


@dataclass(frozen=True)
class Trained:
    """What was trained since the last report.

    Args:
        loss: mean over its batches.
        rows: in its batches.
        seconds: that it took.
        outputs, targets: of its last batch.
    """

    loss: float
    rows: int
    seconds: float
    outputs: Tensor
    targets: Tensor


@dataclass(frozen=True)
class Plan:
    """Which steps are trained, and whom to tell.

    Args:
        first_step, last_step: steps done before, and when all is done.
        keep: called with the number of steps done after each epoch and at the end, and with
            whether this is the end.
        report: called now and then with steps done, steps in all and what was trained since.
        end_epoch: called with the number of steps done after each epoch, before it is kept.
    """

    first_step: int
    last_step: int
    keep: Callable[[int, bool], None]
    report: Callable[[int, int, Trained], None]
    end_epoch: Callable[[int], None] | None = None


def train(learner: Learner, batches: Iterable[Batch], plan: Plan) -> None:
    """Train on all batches.

    Raises: ScriptError: the loss is no longer a finite number.
    Side effects: the weights change; `plan.keep` and `plan.report` are called.
    """
    learner.network.train()
    step, losses, rows = plan.first_step, list[Tensor](), 0
    began = told_at = time.monotonic()
    pause = _SHORTEST_PAUSE
    for batch in batches:
        losses.append(learner.step(batch))
        step, rows = step + 1, rows + len(batch.targets)
        is_last = step == plan.last_step
        if learner.scheduler and not is_last:
            learner.scheduler.step()
        if is_last or time.monotonic() - told_at > pause:
            seconds = time.monotonic() - told_at
            loss = _finite_mean(losses, step)
            plan.report(step, plan.last_step, Trained(loss, rows, seconds, learner.last_outputs, batch.targets))
            losses, rows, told_at = [], 0, time.monotonic()
            # a short training gets a curve of many points, and a long one not too many
            pause = min(_LONGEST_PAUSE, max(_SHORTEST_PAUSE, (told_at - began) / _PAUSES_IN_TRAINING))
        if batch.ends_epoch and plan.end_epoch:
            plan.end_epoch(step)
        if batch.ends_epoch or is_last:
            plan.keep(step, is_last)


def repeated_batches(source: Iterable[Any], steps: int) -> Iterator[Batch]:
    """Yield `steps` batches of any iterable of (inputs, targets), from its beginning again after each end.

    Raises: DataError: it ends for good before that, or its items are no pairs.
    """
    done = 0
    while done < steps:
        before = done
        for batch in _marked(source):
            yield batch
            done += 1
            if done == steps:
                return
        if done == before:
            raise DataError(
                f"the training input gave no batch after {done} of {steps} steps; "
                "return something that can be iterated again for each epoch, not a generator"
            )


def _marked(source: Iterable[Any]) -> Iterator[Batch]:
    """Yield batches, of which the last is marked as the end of an epoch: it is known one batch ahead."""
    held: tuple[Tensor, Tensor] | None = None
    for item in source:
        if held:
            yield Batch(*held, ends_epoch=False)
        held = as_pair(item)
    if held:
        yield Batch(*held, ends_epoch=True)


def as_pair(item: Any) -> tuple[Tensor, Tensor]:
    """Return an item of a batch iterable as tensors. Raises: DataError: it is no pair."""
    if not isinstance(item, (tuple, list)) or len(item) != 2:
        raise DataError(f"the input must give pairs (inputs, targets), but gave a {type(item).__name__}")
    return torch.as_tensor(item[0]), torch.as_tensor(item[1])


def _finite_mean(losses: list[Tensor], step: int) -> float:
    loss = float(torch.stack(losses).mean())
    if not math.isfinite(loss):
        raise ScriptError(
            f"the loss became {loss} by step {step}: training diverged; lower learning_rate, or scale the inputs"
        )
    return loss
