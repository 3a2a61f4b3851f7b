"""StackedRows: the rows of several members beside each other, the shorter ones padded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlpipeline.ensemble.torch_inputs import GATHERED_BYTES
from mlpipeline.ensemble.torch_member import Portion

_NO_WEIGHT = 1e-12  # in place of a sum of weights that is 0: no row of the batch counts


class StackedBatch(NamedTuple):
    """What one step sees.

    Args:
        inputs: [members, rows, ...]. targets: [members, rows] or [members, rows, k].
        shares: of each row in its member's mean loss, float[members, rows]; 0 for padding.
        sizes: how many rows of each member count; None where all do.
    """

    inputs: Tensor
    targets: Tensor
    shares: Tensor
    sizes: list[int] | None


class StackedRows:
    """Rows of several members.

    Args:
        portions: of each.

    Attributes:
        counts: rows of each. targets: [members, rows] or [members, rows, k].
        mask: 1 for rows and 0 for padding, float[members, rows].
    """

    def __init__(self, portions: Sequence[Portion]) -> None:
        self.portions = portions
        self.counts = [len(portion) for portion in portions]
        longest, device = max(self.counts), portions[0].targets.device
        self._rows = np.stack([_padded(portion.rows, longest) for portion in portions])
        self._members = torch.arange(len(portions), device=device)[:, None]
        self.targets = torch.stack([_padded_tensor(portion.targets, longest) for portion in portions])
        self.mask = (torch.arange(longest, device=device) < torch.tensor(self.counts, device=device)[:, None]).float()
        self._is_weighted = any(portion.weights is not None for portion in portions)
        self._weights = self.mask
        if self._is_weighted:
            weights = [portion.weights for portion in portions if portion.weights is not None]
            self._weights = torch.stack([_padded_tensor(each, longest) for each in weights])
        self._equal_shares: tuple[list[list[int]], Tensor] | None = None
        self._is_shared = all(portion.inputs is portions[0].inputs for portion in portions)

    def take(self, places: list[int]) -> StackedRows:
        """Return the rows of some members."""
        return StackedRows([self.portions[place] for place in places])

    def batches(self, orders: Sequence[NDArray[np.int64]], sizes: Sequence[Sequence[int]]) -> Iterator[StackedBatch]:
        """Yield an epoch's batches, gathered for many steps at a time.

        Args:
            orders: of each member's rows. sizes: of each member's batches; they differ in the last at most.
        """
        widths = [max(each) for each in zip(*sizes, strict=True)]
        order = np.stack([_padded(each, sum(widths)) for each in orders])
        places = torch.from_numpy(order).to(self._members.device)
        targets, shares = self.targets[self._members, places], self._shares(places, sizes, widths)
        per_gather = max(1, GATHERED_BYTES // max(1, len(order) * widths[0] * self.portions[0].inputs.row_bytes))
        first = 0
        for step in range(0, len(widths), per_gather):
            some = widths[step : step + per_gather]
            chunk = slice(first, first + sum(some))
            first = chunk.stop
            parts = (self._inputs(order[:, chunk]), targets[:, chunk], shares[:, chunk])
            split = zip(*(torch.split(part, some, dim=1) for part in parts), strict=True)
            for number, (inputs, wanted, share) in enumerate(split, step):
                lasts = [each[number] for each in sizes]
                yield StackedBatch(inputs, wanted, share, None if min(lasts) == widths[number] else lasts)

    def in_order(self) -> Iterator[Tensor]:
        """Yield the inputs of all rows, [members, some rows, ...], as many at a time as memory allows."""
        rows = self._rows.shape[1]
        step = max(1, min(1024, GATHERED_BYTES // max(1, len(self.counts) * self.portions[0].inputs.row_bytes)))
        every = np.broadcast_to(np.arange(rows), self._rows.shape)
        return (self._inputs(every[:, first : first + step]) for first in range(0, rows, step))

    @property
    def shares(self) -> Tensor:
        """Of each row in the mean over all rows of its member, float[members, rows]."""
        return self._weights / self._weights.sum(dim=1, keepdim=True).clamp_min(_NO_WEIGHT)

    def _inputs(self, places: NDArray[np.int64]) -> Tensor:
        rows = np.take_along_axis(self._rows, places, axis=1)
        if self._is_shared:
            gathered = self.portions[0].inputs.at(rows.reshape(-1))
            assert isinstance(gathered, Tensor)
            return gathered.view(*rows.shape, *gathered.shape[1:])
        parts = [portion.inputs.at(each) for portion, each in zip(self.portions, rows, strict=True)]
        return torch.stack([part for part in parts if isinstance(part, Tensor)])

    def _shares(self, places: Tensor, sizes: Sequence[Sequence[int]], widths: list[int]) -> Tensor:
        """Return each row's share in the mean of its batch."""
        key = [list(each) for each in sizes]
        if not self._is_weighted and self._equal_shares and self._equal_shares[0] == key:
            return self._equal_shares[1]
        totals = torch.tensor([sum(each) for each in sizes], device=places.device)
        counted = torch.arange(places.shape[1], device=places.device) < totals[:, None]
        weights = torch.split(self._weights[self._members, places] * counted, widths, dim=1)
        shares = torch.cat([each / each.sum(dim=1, keepdim=True).clamp_min(_NO_WEIGHT) for each in weights], dim=1)
        self._equal_shares = key, shares
        return shares


def _padded(values: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    return np.pad(values, (0, length - len(values)))


def _padded_tensor(values: Tensor, length: int) -> Tensor:
    return torch.cat([values, values.new_zeros(length - len(values), *values.shape[1:])])
