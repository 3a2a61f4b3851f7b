"""What differs between binary, multiclass and regression: the loss, the shape of targets, the metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mlpipeline.errors import DataError, did_you_mean


@dataclass(frozen=True)
class Task:
    """A kind of prediction.

    Args:
        name: what a user writes.
        has_classes: the targets are classes.
        make_loss: the loss that is used unless the script has one of its own.
        shape_targets: targets of any shape and type -> those that the loss expects.
        shape_outputs: what the network returned -> what the loss expects; logits, or scaled values.
        probabilities: outputs -> float[n, classes]; not for regression.
        score: outputs, targets -> for each metric the values of the rows, float[n].
    """

    name: str
    has_classes: bool
    make_loss: Callable[[], nn.Module]
    shape_targets: Callable[[Tensor], Tensor]
    shape_outputs: Callable[[Tensor], Tensor]
    probabilities: Callable[[Tensor], Tensor]
    score: Callable[[Tensor, Tensor], Mapping[str, Tensor]]


def _as_column(values: Tensor) -> Tensor:
    column = values.unsqueeze(1) if values.ndim == 1 else values
    return column if column.is_floating_point() else column.float()


def _as_indices(targets: Tensor) -> Tensor:
    return targets if targets.dtype == torch.int64 and targets.ndim == 1 else targets.long().reshape(-1)


def _unchanged(outputs: Tensor) -> Tensor:
    return outputs


def _binary_probabilities(outputs: Tensor) -> Tensor:
    positive = torch.sigmoid(outputs.float()).reshape(-1, 1)
    return torch.cat([1 - positive, positive], dim=1)


def _multiclass_probabilities(outputs: Tensor) -> Tensor:
    return torch.softmax(outputs.float(), dim=1)


def _score_binary(outputs: Tensor, targets: Tensor) -> Mapping[str, Tensor]:
    return {"accuracy": ((outputs > 0) == (targets > 0.5)).float().reshape(-1)}


def _score_multiclass(outputs: Tensor, targets: Tensor) -> Mapping[str, Tensor]:
    return {"accuracy": (outputs.argmax(dim=1) == targets).float()}


def _score_regression(outputs: Tensor, targets: Tensor) -> Mapping[str, Tensor]:
    error = (outputs - targets).reshape(len(targets), -1)
    return {"squared_error": error.square().mean(dim=1), "mae": error.abs().mean(dim=1)}


BINARY = Task("binary", True, nn.BCEWithLogitsLoss, _as_column, _as_column, _binary_probabilities, _score_binary)
MULTICLASS = Task(
    "multiclass", True, nn.CrossEntropyLoss, _as_indices, _unchanged, _multiclass_probabilities, _score_multiclass
)
REGRESSION = Task("regression", False, nn.MSELoss, _as_column, _as_column, _unchanged, _score_regression)

TASKS = {task.name: task for task in (BINARY, MULTICLASS, REGRESSION)}


def task_named(name: str) -> Task:
    """Return the task of that name. Raises: DataError: there is none."""
    if name not in TASKS:
        raise DataError(f"task must be one of {', '.join(TASKS)}, but got {name!r}{did_you_mean(str(name), TASKS)}")
    return TASKS[name]
