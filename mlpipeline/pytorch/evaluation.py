"""Evaluation: running metrics over the outputs for one part of the data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mlpipeline.metrics import MetricContainer
from mlpipeline.pytorch.advice import constant_outputs
from mlpipeline.pytorch.batches import Batch, Rows
from mlpipeline.pytorch.tasks import Task
from mlpipeline.pytorch.training import Learner, as_pair

_BATCH_SIZE = 1024


@dataclass
class _Range:
    """The lowest and highest output of each column so far."""

    lowest: Tensor | None = None
    highest: Tensor | None = None
    count: int = 0

    def add(self, outputs: Tensor) -> None:
        rows = outputs.reshape(len(outputs), -1)
        lowest, highest = rows.amin(dim=0), rows.amax(dim=0)
        self.lowest = lowest if self.lowest is None else torch.minimum(self.lowest, lowest)
        self.highest = highest if self.highest is None else torch.maximum(self.highest, highest)
        self.count += len(rows)

    def advice(self) -> str | None:
        if self.lowest is None or self.highest is None:
            return None
        return constant_outputs(self.lowest, self.highest, self.count)


def ordered_batches(source: Any) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield inputs and targets of `Rows`, or of any iterable of pairs. Raises: DataError: its items are no pairs."""
    if isinstance(source, Rows):
        yield from source.in_order(_BATCH_SIZE)
    else:
        yield from (as_pair(item) for item in source)


def evaluate(
    learner: Learner, batches: Iterable[tuple[Tensor, Tensor]], unscale: Callable[[Tensor], Tensor], count: int
) -> dict[str, float]:
    """Return the metrics over the first `count` rows.

    Args:
        batches: inputs and targets.
        unscale: outputs or targets -> the same in the unit of the data, for the metrics of a regression.
        count: rows, at least 1.

    Returns: `loss`, and `accuracy` for classes, `rmse` and `mae` in the unit of the data for values.
    """
    learner.network.eval()
    metrics: MetricContainer | None = None
    seen, spread = 0, _Range()
    with torch.inference_mode():
        for inputs, targets in batches:
            batch = learner.placed(Batch(inputs[: count - seen], targets[: count - seen], ends_epoch=False))
            outputs, wanted = learner.outputs(batch.inputs), batch.targets
            rows = _row_sums(learner, outputs, wanted, unscale)
            metrics = metrics or MetricContainer(list(rows))
            for name, total in rows.items():
                metrics[name].update(total, len(wanted))
            spread.add(outputs)
            seen += len(wanted)
            if seen >= count:
                break
    advice = spread.advice()
    if advice:
        learner.advise(advice)
    return _named({name: metric.avg() for name, metric in (metrics or MetricContainer()).items()})


def _row_sums(
    learner: Learner, outputs: Tensor, targets: Tensor, unscale: Callable[[Tensor], Tensor]
) -> dict[str, float]:
    """Return each metric summed over the rows of a batch."""
    sums = {"loss": float(learner.loss(outputs, targets)) * len(targets)}
    if learner.task:
        scored = _scored(learner.task, outputs, targets, unscale)
        sums |= {name: float(values.double().sum()) for name, values in scored.items()}
    return sums


def batch_scores(
    task: Task | None, outputs: Tensor, targets: Tensor, unscale: Callable[[Tensor], Tensor]
) -> dict[str, float]:
    """Return the metrics of one batch, but for the loss: `accuracy`; or `rmse` and `mae` in the unit of the data."""
    if task is None:
        return {}
    scored = _scored(task, outputs, targets, unscale)
    return _named({name: float(values.double().mean()) for name, values in scored.items()})


def _scored(task: Task, outputs: Tensor, targets: Tensor, unscale: Callable[[Tensor], Tensor]) -> Mapping[str, Tensor]:
    return task.score(*((outputs, targets) if task.has_classes else (unscale(outputs), unscale(targets))))


def _named(averages: dict[str, float]) -> dict[str, float]:
    if "squared_error" in averages:
        averages["rmse"] = averages.pop("squared_error") ** 0.5
    return averages
