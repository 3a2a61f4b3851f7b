"""Objective: what a network's outputs mean, and how far they are from the targets."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from mlpipeline.ensemble.targets import VALUES, Targets
from mlpipeline.errors import EnsembleError
from mlpipeline.pytorch.targets import ValueScale, fit_targets
from mlpipeline.pytorch.tasks import BINARY, MULTICLASS, REGRESSION, Task

Loss = Callable[[Tensor, Tensor], Tensor]
Statistics = dict[str, NDArray[Any]]

_LOSSES: dict[str, Callable[..., Tensor]] = {
    BINARY.name: functional.binary_cross_entropy_with_logits,
    MULTICLASS.name: functional.cross_entropy,
    REGRESSION.name: functional.mse_loss,
}
_MEAN, _DEVIATION = "target_mean", "target_deviation"
NO_WEIGHT = 1e-12  # in place of a sum of weights that is 0: no row of the batch counts


@dataclass(frozen=True, eq=False)
class Objective:
    """What is learnt.

    Args:
        task: how outputs and targets are shaped and scored.
        mean_loss: of outputs and targets, the mean over rows.
        row_losses: the same, float[n]; None where a user's loss cannot say it.
        scale: of the values of a regression; None for classes.
    """

    task: Task
    mean_loss: Loss
    row_losses: Loss | None
    scale: ValueScale | None = None

    def encode(self, y: NDArray[Any], targets: Targets) -> Tensor:
        """Return targets as the loss wants them: int64[n], or float32[n, k], of values standardised."""
        values = targets.indices(y) if self.scale is None else self.scale.encode(y)
        return self.task.shape_targets(torch.from_numpy(np.ascontiguousarray(values)))

    def shaped(self, outputs: Tensor) -> Tensor:
        """Return outputs as [n, k]."""
        return outputs if outputs.ndim > 1 else outputs.unsqueeze(1)

    def loss(self, outputs: Tensor, wanted: Tensor, weights: Tensor | None) -> Tensor:
        """Return the mean loss of rows, with weights the weighted mean."""
        if weights is None:
            return self.mean_loss(outputs, wanted)
        assert self.row_losses is not None
        return (self.row_losses(outputs, wanted) * (weights / weights.sum().clamp_min(NO_WEIGHT))).sum()


def probabilities(outputs: Tensor) -> Tensor:
    """Return the probabilities that logits stand for, [n, classes], or [n, 1] of one output."""
    return torch.sigmoid(outputs.float()) if outputs.shape[1] == 1 else torch.softmax(outputs.float(), dim=1)


def choose_objective(loss: Any, targets: Targets, output_count: int, train_y: NDArray[Any]) -> Objective:
    """Choose what is learnt by what y says and by how many outputs the network has.

    Args:
        loss: a user's own, a function of outputs and targets; None for the usual one.
        targets: what y says. output_count: of the network. train_y: of the member's training rows.
    Raises: EnsembleError: the outputs are not as many as the targets need, or the loss is no function.
    """
    task, scale = _class_task(targets, output_count), None
    if targets.kind == VALUES:
        task, scale = REGRESSION, _fitted_scale(train_y)
        if output_count != len(scale.mean):
            raise EnsembleError(
                f"y has {len(scale.mean)} value(s) a row, but the network has {output_count} output(s); "
                f"its last layer needs {len(scale.mean)}"
            )
    chosen = _LOSSES[task.name] if loss is None else loss
    if not callable(chosen):
        raise EnsembleError(f"loss must be a function of outputs and targets, as nn.HuberLoss(), but got {loss!r:.80}")
    return Objective(task, chosen, _by_row(chosen), scale)


def scale_from(statistics: Statistics) -> ValueScale | None:
    """Return the scale of the values that a member was trained on; None for classes."""
    return ValueScale(statistics[_MEAN], statistics[_DEVIATION]) if _MEAN in statistics else None


def scale_statistics(scale: ValueScale | None) -> Statistics:
    """Return what predicting must know of the scale of values."""
    return {} if scale is None else {_MEAN: scale.mean, _DEVIATION: scale.deviation}


def _fitted_scale(train_y: NDArray[Any]) -> ValueScale:
    scale = fit_targets(REGRESSION, train_y, train_y)
    assert isinstance(scale, ValueScale)
    return scale


def _class_task(targets: Targets, output_count: int) -> Task:
    if targets.classes is None:
        return REGRESSION
    count = len(targets.classes)
    if output_count == 1 and count == 2:
        return BINARY
    if output_count != count:
        alternative = ", or 1 for the second class alone" if count == 2 else ""
        raise EnsembleError(
            f"there are {count} classes, but the network has {output_count} output(s); "
            f"its last layer needs {count}{alternative}"
        )
    return MULTICLASS


def _by_row(loss: Any) -> Loss | None:
    """Return a loss that gives float[n] instead of the mean; None where it has no such form."""
    if isinstance(loss, nn.Module):
        # with weights of classes, torch divides by their sum: that mean is none of the rows' losses
        if getattr(loss, "reduction", None) != "mean" or getattr(loss, "weight", None) is not None:
            return None
        each: Any = copy.copy(loss)
        each.reduction = "none"
    else:
        try:
            parameters = inspect.signature(loss).parameters
        except (TypeError, ValueError):
            return None
        if "reduction" not in parameters or parameters["reduction"].default != "mean":
            return None
        each = partial(loss, reduction="none")

    def row_losses(outputs: Tensor, wanted: Tensor) -> Tensor:
        losses: Tensor = each(outputs, wanted)
        return losses.view(-1) if losses.numel() == len(losses) else losses.flatten(1).mean(dim=1)

    return row_losses
