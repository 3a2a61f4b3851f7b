"""Inputs: rows of whatever kind as tensors on a network's device, gathered for many batches at a time."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mlpipeline.ensemble.observations import Source, count_rows
from mlpipeline.ensemble.splits import RowNumbers
from mlpipeline.errors import EnsembleError
from mlpipeline.pytorch.batches import Rows
from mlpipeline.pytorch.placement import Placement

Tensors = Tensor | dict[str, Tensor]
Change = Callable[[Tensor], Tensor]

# one gather for many batches saves a call for each; bounded, so that large data is not held twice
GATHERED_BYTES = 8 * 2**20
_LARGEST_BATCH = 1024  # of rows that are only predicted

# what torch can look at without a copy, in this machine's order of bytes
_SHARED = {np.dtype(kind) for kind in ("f4", "f8", "f2", "i1", "i2", "i4", "i8", "u1", "?")}


class Inputs:
    """X as a network takes it: floats of 32 bits, channels before height and width.

    Args:
        X: an array, a frame, a sparse matrix, a tensor, arrays by name, or a `Source`, whose images have their
            channels last. It is not copied, and read when a batch of it is asked for.
        placement: where the network is.
        keeps_whole_numbers: they stay what they are, int64: the network looks them up in an embedding.
    Raises: EnsembleError: it holds no numbers.
    """

    def __init__(self, X: Any, placement: Placement, keeps_whole_numbers: bool) -> None:
        self.placement, self._keeps_whole_numbers = placement, keeps_whole_numbers
        self._stored: dict[str, Any] = (
            {key: self._store(value, f"X[{key!r}]") for key, value in X.items()}
            if isinstance(X, Mapping)
            else {"": self._store(X, "X")}
        )
        self.count = count_rows(X)
        self.is_named = isinstance(X, Mapping)
        self.is_in_memory = all(isinstance(stored, Tensor) for stored in self._stored.values())

    def at(self, rows: RowNumbers, change: Change | None = None) -> Tensors:
        """Return some rows; `change` is done to them before they get to the network's device."""
        found = {key: self._ready(_read(stored, rows), change) for key, stored in self._stored.items()}
        return found if self.is_named else found[""]

    def batches(self, rows: RowNumbers, sizes: Sequence[int], change: Change | None = None) -> Iterator[Tensors]:
        """Yield rows in batches of the given sizes; `change` is done to each."""
        per_gather = max(1, GATHERED_BYTES // max(1, sizes[0] * self.row_bytes)) if self.is_in_memory else 1
        first = 0
        for place in range(0, len(sizes), per_gather):
            some = list(sizes[place : place + per_gather])
            chunk = rows[first : first + sum(some)]
            first += len(chunk)
            if change is None:
                yield from _split(self.at(chunk), some)
            else:
                yield from (self.at(part, change) for part in np.split(chunk, np.cumsum(some[:-1])))

    def in_order(self, rows: RowNumbers, change: Change | None = None) -> Iterator[Tensors]:
        """Yield rows in batches as large as memory allows, to predict with."""
        size = max(1, min(_LARGEST_BATCH, GATHERED_BYTES // max(1, self.row_bytes)))
        return (self.at(rows[first : first + size], change) for first in range(0, len(rows), size))

    @property
    def row_bytes(self) -> int:
        """What one row takes, as a network takes it."""
        if not hasattr(self, "_row_bytes"):
            first = [_read(stored, np.zeros(1, dtype=np.int64)) for stored in self._stored.values()]
            self._row_bytes = sum(4 * tensor.numel() for tensor in first)
        return self._row_bytes

    def _store(self, X: Any, name: str) -> Any:
        if isinstance(X, Source):
            return X
        if hasattr(X, "tocsr"):
            return X.tocsr()
        tensor = X.detach() if isinstance(X, Tensor) else _shared(X, name)
        return self.placement.rows(Rows(tensor, tensor[:0])).inputs

    def _ready(self, values: Tensor, change: Change | None) -> Tensor:
        if values.dtype != torch.float32:
            is_whole = not values.is_floating_point() and values.dtype != torch.bool
            values = values.long() if is_whole and self._keeps_whole_numbers else values.float()
        return self.placement.inputs(values if change is None else change(values))


def keeps_whole_numbers(network: nn.Module) -> bool:
    """Tell whether a network looks whole numbers up, so that they must not become floats."""
    return any(isinstance(module, (nn.Embedding, nn.EmbeddingBag)) for module in network.modules())


def _shared(X: Any, name: str) -> Tensor:
    """Return an array, or the values of a frame, as a tensor in the same memory where it can be."""
    array = np.asarray(X.to_numpy() if hasattr(X, "to_numpy") else X)
    if array.dtype not in _SHARED:
        try:
            array = array.astype(np.float32)
        except (TypeError, ValueError) as error:
            raise EnsembleError(
                f"{name} must hold numbers for a network, but {error}; encode texts with preprocessing="
            ) from None
    with warnings.catch_warnings():
        # nothing is ever written to it; a memory map that is only read warns
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(np.ascontiguousarray(array))


def _read(stored: Any, rows: RowNumbers) -> Tensor:
    if isinstance(stored, Tensor):
        return stored.index_select(0, torch.from_numpy(rows).to(stored.device))
    if not isinstance(stored, Source):
        return torch.from_numpy(np.asarray(stored[rows].toarray(), dtype=np.float32))
    values: NDArray[np.float32] = stored.read(rows)
    tensor = torch.from_numpy(values)
    return tensor.permute(0, 3, 1, 2) if tensor.ndim == 4 else tensor


def _split(inputs: Tensors, sizes: list[int]) -> Iterator[Tensors]:
    if isinstance(inputs, Tensor):
        yield from torch.split(inputs, sizes)
        return
    for parts in zip(*(torch.split(values, sizes) for values in inputs.values()), strict=True):
        yield dict(zip(inputs, parts, strict=True))
