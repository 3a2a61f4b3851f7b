"""Rows held as whole tensors, and the batches that are cut from them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor

# one gather for many batches saves a call for each; bounded, so that large data is not held twice
_GATHERED_BYTES = 8 * 2**20


class Batch(NamedTuple):
    """What one step trains on; `ends_epoch` where the last row of an epoch lies in it."""

    inputs: Tensor
    targets: Tensor
    ends_epoch: bool


@dataclass(frozen=True)
class Rows:
    """One part of a data set.

    Args:
        inputs: [n, ...], of any type.
        targets: [n] class indices (int64), or [n, 1] / [n, k] numbers (float32).
        prepare: makes the float inputs of a batch out of the stored ones, for data that is kept
            as bytes; None where the inputs are ready.
    """

    inputs: Tensor
    targets: Tensor
    prepare: Callable[[Tensor], Tensor] | None = None

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def byte_count(self) -> int:
        """The memory that inputs and targets take."""
        return self.inputs.nbytes + self.targets.nbytes

    def to(self, device: torch.device) -> Rows:
        """Return the same rows on a device."""
        return replace(self, inputs=self.inputs.to(device), targets=self.targets.to(device))

    def head(self, count: int) -> Rows:
        """Return the first `count` rows, or all where there are fewer."""
        return replace(self, inputs=self.inputs[:count], targets=self.targets[:count])

    def at(self, index: Tensor) -> Rows:
        """Return the rows at the given places, int64[k]."""
        return replace(self, inputs=self.inputs[index], targets=self.targets[index])

    def in_order(self, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield prepared inputs and targets, `batch_size` rows at a time; the last may be shorter."""
        pairs = zip(torch.split(self.inputs, batch_size), torch.split(self.targets, batch_size), strict=True)
        yield from ((self.prepare(inputs) if self.prepare else inputs, targets) for inputs, targets in pairs)


@dataclass(frozen=True)
class Stretch:
    """Which part of the endless stream of shuffled rows is trained on.

    The stream is one permutation of the rows for each epoch, one behind the other, cut into
    batches without regard to where an epoch ends.

    Args:
        batch_size: rows in a batch.
        seed: together with the number of the epoch it determines the permutation, so that a
            position in the stream is a number and nothing else has to be kept.
        first_row, end_row: the stretch, counted from the beginning of the stream.
    """

    batch_size: int
    seed: int
    first_row: int
    end_row: int


def end_row(row_count: int, batch_size: int, epoch_count: float, last_step: int) -> int:
    """Return where the stretch ends whose last batch is the `last_step`-th of the stream.

    The last batch of a whole training is cut so that it ends with the last epoch, but keeps two
    rows: batch normalisation cannot train on one.
    """
    wanted = round(epoch_count * row_count)
    if last_step != math.ceil(epoch_count * row_count / batch_size):
        return last_step * batch_size
    first_row = (last_step - 1) * batch_size
    return first_row + min(batch_size, max(2, wanted - first_row))


def shuffled_batches(rows: Rows, stretch: Stretch) -> Iterator[Batch]:
    """Yield the batches of a stretch of the shuffled stream; only the last may be shorter."""
    row, row_count = stretch.first_row, len(rows)
    for part in _shuffled_rows(rows, stretch):
        for inputs, targets in part.in_order(stretch.batch_size):
            before, row = row, min(row + stretch.batch_size, stretch.end_row)
            yield Batch(inputs, targets, row // row_count > before // row_count)


def _shuffled_rows(rows: Rows, stretch: Stretch) -> Iterator[Rows]:
    per_gather = stretch.batch_size * _batches_per_gather(rows, stretch.batch_size)
    for order in _whole_batches(len(rows), stretch):
        yield from (rows.at(index.to(rows.inputs.device)) for index in torch.split(order, per_gather))


def _batches_per_gather(rows: Rows, batch_size: int) -> int:
    bytes_per_batch = batch_size * max(1, rows.byte_count // len(rows))
    return max(1, _GATHERED_BYTES // bytes_per_batch)


def _whole_batches(row_count: int, stretch: Stretch) -> Iterator[Tensor]:
    """Yield row numbers epoch by epoch, each time as many whole batches as there are."""
    left_over = torch.empty(0, dtype=torch.int64)
    row = stretch.first_row
    while row < stretch.end_row:
        epoch, offset = divmod(row, row_count)
        fresh = _permutation(row_count, stretch.seed, epoch)[offset : offset + stretch.end_row - row]
        row += len(fresh)
        order = torch.cat([left_over, fresh])
        whole = len(order) // stretch.batch_size * stretch.batch_size if row < stretch.end_row else len(order)
        left_over = order[whole:]
        if whole:
            yield order[:whole]


def _permutation(row_count: int, seed: int, epoch: int) -> Tensor:
    # an odd factor keeps the seeds of neighbouring runs and epochs apart; torch takes 64 bits
    generator = torch.Generator().manual_seed((seed * 0x9E3779B97F4A7C15 + epoch) % 2**63)
    return torch.randperm(row_count, generator=generator)
