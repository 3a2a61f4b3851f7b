"""StackedRows: the rows of several members behind each other, step by step, the shorter ones padded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlpipeline.ensemble.torch_inputs import GATHERED_BYTES
from mlpipeline.ensemble.torch_member import Portion
from mlpipeline.ensemble.torch_objective import NO_WEIGHT


class StackedBatch(NamedTuple):
    """What one step sees.

    Args:
        inputs: [members, rows, ...]. targets: [members x rows] or [members x rows, k].
        shares: of each row in its member's mean loss, float[members x rows]; 0 for padding.
        sizes: how many rows of each member count; None where all do.
    """

    inputs: Tensor
    targets: Tensor
    shares: Tensor
    sizes: list[int] | None


class Ordered(NamedTuple):
    """All rows in an order: those of the first step, member by member, then those of the second.

    Args:
        places: of the rows, int64[all], in the padded rows of all members behind each other.
        targets: [all] or [all, k]. shares: of each row in its member's mean over the batch, float[all]; 0 for padding.
    """

    places: NDArray[np.int64]
    targets: Tensor
    shares: Tensor


class StackedRows:
    """Rows of several members, cut into batches.

    Args:
        portions: of each member. sizes: of its batches; members differ in the last at most.

    Attributes:
        as_they_come: the rows in no other order.
    """

    def __init__(self, portions: Sequence[Portion], sizes: Sequence[list[int]]) -> None:
        self.portions, self._sizes = portions, sizes
        self._device, self._longest = portions[0].targets.device, max(len(portion) for portion in portions)
        self._widths = [max(each) for each in zip(*sizes, strict=True)]
        self._lengths = [len(portions) * width for width in self._widths]
        self._uneven = [None if min(each) == max(each) else list(each) for each in zip(*sizes, strict=True)]
        self._layout = _by_step(np.arange(sum(self._lengths)).reshape(len(portions), -1), self._widths)
        self._rows = np.concatenate([_padded(portion.rows, self._longest) for portion in portions])
        self._targets = torch.cat([_padded_tensor(portion.targets, self._longest) for portion in portions])
        weights = [portion.weights for portion in portions if portion.weights is not None]
        self._weights = torch.cat([_padded_tensor(each, self._longest) for each in weights]) if weights else None
        batch_shares = [np.repeat([size / sum(each) for size in each], each) for each in sizes]
        self._batch_shares = torch.from_numpy(self._laid_out(batch_shares)).float().to(self._device)
        self._members = torch.from_numpy(self._layout // sum(self._widths)).to(self._device)
        self._mask = (self._batch_shares > 0).float()
        self._equal_shares = self._shares_of(self._mask)
        self._is_shared = all(portion.inputs is portions[0].inputs for portion in portions)
        self.as_they_come = self.ordered([np.arange(sum(each)) for each in sizes])

    def take(self, places: list[int]) -> StackedRows:
        """Return the rows of some members."""
        return StackedRows([self.portions[place] for place in places], [self._sizes[place] for place in places])

    def ordered(self, orders: Sequence[NDArray[np.int64]]) -> Ordered:
        """Return the rows in the given order of each member."""
        places = self._laid_out([each + number * self._longest for number, each in enumerate(orders)])
        at = torch.from_numpy(places).to(self._device)
        shares = self._equal_shares if self._weights is None else self._shares_of(self._weights[at] * self._mask)
        return Ordered(places, self._targets[at], shares)

    def batches(self, ordered: Ordered) -> Iterator[StackedBatch]:
        """Yield all batches; the inputs are gathered for many at a time."""
        targets, shares = (torch.split(each, self._lengths) for each in ordered[1:])
        per_gather = max(1, GATHERED_BYTES // max(1, self._lengths[0] * self.portions[0].inputs.row_bytes))
        start = 0
        for first in range(0, len(self._widths), per_gather):
            widths = self._widths[first : first + per_gather]
            places = ordered.places[start : start + len(self.portions) * sum(widths)]
            start += len(places)
            for step, inputs in enumerate(self._inputs(places, widths), first):
                yield StackedBatch(inputs, targets[step], shares[step], self._uneven[step])

    def in_order(self) -> Iterator[Tensor]:
        """Yield the inputs of rows in one batch as they come, [members, some rows, ...], as memory allows."""
        places = self.as_they_come.places.reshape(len(self.portions), -1)
        size = max(1, GATHERED_BYTES // max(1, len(places) * self.portions[0].inputs.row_bytes))
        for first in range(0, places.shape[1], size):
            some = places[:, first : first + size]
            yield from self._inputs(some.reshape(-1), [some.shape[1]])

    def mean_losses(self, losses: Tensor, ordered: Ordered) -> list[float]:
        """Return each member's loss, the mean over its batches, from the loss of each row, float[all]."""
        return self._sums(losses * ordered.shares * self._batch_shares)

    def means(self, values: Tensor) -> list[float]:
        """Return each member's mean over its rows of values, float[all]."""
        counts = [sum(each) for each in self._sizes]
        return [total / count for total, count in zip(self._sums(values * self._mask), counts, strict=True)]

    def _sums(self, values: Tensor) -> list[float]:
        totals = torch.zeros(len(self.portions), dtype=torch.float64, device=self._device)
        sums: list[float] = totals.index_add_(0, self._members, values.double()).tolist()
        return sums

    def _inputs(self, places: NDArray[np.int64], widths: list[int]) -> Iterator[Tensor]:
        """Yield the inputs of some batches, gathered at once."""
        rows, members = self._rows[places], len(self.portions)
        lengths = [members * width for width in widths]
        if self._is_shared:
            gathered = self.portions[0].inputs.at(rows)
            assert isinstance(gathered, Tensor)
            for part in torch.split(gathered, lengths):
                yield part.view(members, -1, *part.shape[1:])
            return
        by_step = [each.reshape(members, -1) for each in np.split(rows, np.cumsum(lengths[:-1]))]
        of_members = [each.inputs.at(own) for each, own in zip(self.portions, np.hstack(by_step), strict=True)]
        yield from torch.split(torch.stack([each for each in of_members if isinstance(each, Tensor)]), widths, dim=1)

    def _laid_out(self, of_members: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """Return values of each member's rows in the order of steps, [all]; 0 for padding."""
        return np.asarray(np.concatenate([_padded(each, sum(self._widths)) for each in of_members])[self._layout])

    def _shares_of(self, weights: Tensor) -> Tensor:
        """Return the share of each row in its member's mean over the batch from its weight, float[all]."""
        parts = [each.view(len(self.portions), -1) for each in torch.split(weights, self._lengths)]
        return torch.cat([(each / each.sum(dim=1, keepdim=True).clamp_min(NO_WEIGHT)).flatten() for each in parts])


def _by_step(values: NDArray[Any], widths: list[int]) -> NDArray[Any]:
    """Return what lies beside each other, [members, rows], step by step behind each other, [all]."""
    return np.concatenate([each.reshape(-1) for each in np.split(values, np.cumsum(widths[:-1]), axis=1)])


def _padded(values: NDArray[Any], length: int) -> NDArray[Any]:
    padded = np.zeros(length, dtype=values.dtype)
    padded[: len(values)] = values
    return padded


def _padded_tensor(values: Tensor, length: int) -> Tensor:
    return torch.cat([values, values.new_zeros(length - len(values), *values.shape[1:])])
