"""StackedRows: the rows of several members beside each other, the shorter ones padded."""

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

_MOST_ROWS = 1024  # of a member, that are only predicted at once


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
    """Rows of several members in an order, cut into batches.

    Args:
        places: of the rows among those of their members, int64[members, rows].
        targets: [members, rows] or [members, rows, k].
        shares: of each row in the mean over its batch, float[members, rows]; 0 for padding.
    """

    places: NDArray[np.int64]
    targets: Tensor
    shares: Tensor


class StackedRows:
    """Rows of several members.

    Args:
        portions: of each member. sizes: of its batches; members differ in the last at most.

    Attributes:
        mask: 1 for rows and 0 for padding, float[members, rows].
        batch_shares: how large a share of its member's rows the batch of each row is, float[members, rows].
        as_they_come: the rows in no other order.
    """

    def __init__(self, portions: Sequence[Portion], sizes: Sequence[list[int]]) -> None:
        self.portions, self._sizes = portions, sizes
        device, longest = portions[0].targets.device, max(len(portion) for portion in portions)
        self._widths = [max(each) for each in zip(*sizes, strict=True)]
        self._members = torch.arange(len(portions), device=device)[:, None]
        self._rows = np.stack([_padded(portion.rows, longest) for portion in portions])
        self._targets = torch.stack([_padded_tensor(portion.targets, longest) for portion in portions])
        weights = [portion.weights for portion in portions if portion.weights is not None]
        self._weights = torch.stack([_padded_tensor(each, longest) for each in weights]) if weights else None
        shares = [np.repeat([size / sum(each) for size in each], each) for each in sizes]
        self.batch_shares = torch.from_numpy(np.stack([_padded(each, sum(self._widths)) for each in shares]))
        self.batch_shares = self.batch_shares.float().to(device)
        self.mask = (self.batch_shares > 0).float()
        self._equal_shares = self._shares_of(self.mask)
        self._is_shared = all(portion.inputs is portions[0].inputs for portion in portions)
        self.as_they_come = self.ordered([np.arange(sum(each)) for each in sizes])

    def take(self, places: list[int]) -> StackedRows:
        """Return the rows of some members."""
        return StackedRows([self.portions[place] for place in places], [self._sizes[place] for place in places])

    def ordered(self, orders: Sequence[NDArray[np.int64]]) -> Ordered:
        """Return the rows in the given order of each member."""
        places = np.stack([_padded(each, sum(self._widths)) for each in orders])
        at = (self._members, torch.from_numpy(places).to(self._members.device))
        shares = self._equal_shares if self._weights is None else self._shares_of(self._weights[at] * self.mask)
        return Ordered(places, self._targets[at], shares)

    def batches(self, ordered: Ordered) -> Iterator[StackedBatch]:
        """Yield all batches; the inputs are gathered for many at a time."""
        places = np.split(ordered.places, np.cumsum(self._widths[:-1]), axis=1)
        targets = [each.flatten(0, 1) for each in torch.split(ordered.targets, self._widths, dim=1)]
        shares = [each.flatten() for each in torch.split(ordered.shares, self._widths, dim=1)]
        per_gather = max(1, GATHERED_BYTES // max(1, places[0].size * self.portions[0].inputs.row_bytes))
        for first in range(0, len(places), per_gather):
            for step, inputs in enumerate(self._inputs(places[first : first + per_gather]), first):
                sizes = [each[step] for each in self._sizes]
                is_even = min(sizes) == self._widths[step]
                yield StackedBatch(inputs, targets[step], shares[step], None if is_even else sizes)

    def in_order(self) -> Iterator[Tensor]:
        """Yield the inputs of all rows as they come, [members, some rows, ...], as many as memory allows."""
        members, rows = self.as_they_come.places.shape
        size = max(1, min(_MOST_ROWS, GATHERED_BYTES // max(1, members * self.portions[0].inputs.row_bytes)))
        for first in range(0, rows, size):
            yield from self._inputs([self.as_they_come.places[:, first : first + size]])

    def _inputs(self, places: Sequence[NDArray[np.int64]]) -> Iterator[Tensor]:
        """Yield the inputs of some batches, gathered at once."""
        rows = [np.take_along_axis(self._rows, each, axis=1) for each in places]
        if self._is_shared:
            gathered = self.portions[0].inputs.at(np.concatenate([each.reshape(-1) for each in rows]))
            assert isinstance(gathered, Tensor)
            for part, each in zip(torch.split(gathered, [each.size for each in rows]), rows, strict=True):
                yield part.view(*each.shape, *part.shape[1:])
        else:
            of_members = [portion.inputs.at(each) for portion, each in zip(self.portions, np.hstack(rows), strict=True)]
            stacked = torch.stack([each for each in of_members if isinstance(each, Tensor)])
            yield from torch.split(stacked, [each.shape[1] for each in rows], dim=1)

    def _shares_of(self, weights: Tensor) -> Tensor:
        parts = torch.split(weights, self._widths, dim=1)
        return torch.cat([part / part.sum(dim=1, keepdim=True).clamp_min(NO_WEIGHT) for part in parts], dim=1)


def _padded(values: NDArray[Any], length: int) -> NDArray[Any]:
    padded = np.zeros(length, dtype=values.dtype)
    padded[: len(values)] = values
    return padded


def _padded_tensor(values: Tensor, length: int) -> Tensor:
    return torch.cat([values, values.new_zeros(length - len(values), *values.shape[1:])])
