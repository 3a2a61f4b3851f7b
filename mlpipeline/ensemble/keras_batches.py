"""Batches: what Keras trains and predicts on, read batch by batch in an order that the seed alone decides."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mlpipeline.ensemble.keras_setup import keras_module
from mlpipeline.ensemble.observations import Source, count_rows, read
from mlpipeline.ensemble.order import epoch_order
from mlpipeline.ensemble.splits import RowNumbers
from mlpipeline.errors import EnsembleError

Change = Callable[[NDArray[Any], torch.Generator], Any]
_READ_BYTES = 2**22  # of rows that are predicted at once, where a training batch is smaller


@dataclass
class Batches:
    """Batches of some rows, by their numbers.

    Args:
        source: what `as_readable` returned: all rows.
        rows: which of them.
        batch_size: the last batch may be shorter.
        seed: of the order, of dropout and of augmentation.
        y, weights: of `rows`, None for none.
        is_shuffled: each epoch has an order of its own.
        change: what is done to the inputs of a batch; None for nothing.
        epoch: which one is read, from 0.
        limit: of batches; None for all.
    """

    source: Any
    rows: RowNumbers
    batch_size: int
    seed: int
    y: NDArray[Any] | None = None
    weights: NDArray[Any] | None = None
    is_shuffled: bool = False
    change: Change | None = None
    epoch: int = 0
    limit: int | None = None

    def __post_init__(self) -> None:
        self._order: tuple[int, NDArray[np.int64]] | None = None
        self._generator = torch.Generator()

    def __len__(self) -> int:
        count = -(-len(self.rows) // self.batch_size)
        return count if self.limit is None else min(count, self.limit)

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        places = self._places()[index * self.batch_size : (index + 1) * self.batch_size]
        inputs = self._changed(read_inputs(self.source, self.rows[places]), index)
        _seed_draws(batch_seed(self.seed, self.epoch, index))
        if self.y is None:
            return (inputs,)
        if self.weights is None:
            return inputs, self.y[places]
        return inputs, self.y[places], self.weights[places].astype(np.float32)

    def _places(self) -> NDArray[np.int64]:
        if not self.is_shuffled:
            return np.arange(len(self.rows))
        if self._order is None or self._order[0] != self.epoch:
            self._order = self.epoch, epoch_order(len(self.rows), self.seed, self.epoch)
        return self._order[1]

    def _changed(self, inputs: Any, index: int) -> Any:
        if self.change is None:
            return inputs
        if index == 0:  # Keras looks at the first batch once more, before the first epoch
            self._generator.manual_seed(batch_seed(self.seed, self.epoch))
        return self.change(inputs, self._generator)


def as_dataset(batches: Batches) -> Any:
    """Return batches as Keras wants them."""

    class Dataset(keras_module().utils.PyDataset):  # type: ignore[misc]  # Keras is not typed
        def __len__(self) -> int:
            return len(batches)

        def __getitem__(self, index: int) -> tuple[Any, ...]:
            return batches[index]

    return Dataset()


def batch_seed(seed: int, *place: int) -> int:
    """Return the seed of what is drawn at a place: in an epoch, or in a batch of it."""
    return int(np.random.SeedSequence([seed, *place]).generate_state(1)[0])


def _seed_draws(seed: int) -> None:
    """Seed what a step draws by itself, dropout's masks; `torch.manual_seed` takes longer than a small layer."""
    torch.default_generator.manual_seed(seed)
    if torch.cuda.is_available():
        torch.cuda.manual_seed_all(seed)


def as_readable(X: Any, name: str = "X") -> Any:
    """Return rows in a kind that batches are taken from quickly: frames and tensors become arrays.

    Raises: EnsembleError: a column or an array holds no numbers.
    """
    if isinstance(X, Mapping):
        return {key: as_readable(value, f"{name}[{key!r}]") for key, value in X.items()}
    if isinstance(X, Source):
        return X
    if hasattr(X, "tocsr"):
        return X.tocsr()
    if hasattr(X, "to_numpy"):
        return _frame_numbers(X, name)
    array = np.asarray(X.detach().cpu() if hasattr(X, "detach") else X)
    if array.dtype.kind not in "biuf":
        raise EnsembleError(f"{name} must hold numbers for Keras, but has {array.dtype}; encode texts before")
    return array


def read_inputs(source: Any, rows: RowNumbers) -> Any:
    """Return some rows as arrays that Keras takes: floats in its own precision, whole numbers as they are."""
    batch = read(source, rows)
    if isinstance(batch, Mapping):
        return {key: as_numbers(value) for key, value in batch.items()}
    return as_numbers(batch)


def as_numbers(batch: Any) -> NDArray[Any]:
    """Return one array in the precision of Keras."""
    array = batch.toarray() if hasattr(batch, "tocsr") else np.asarray(batch)
    return array if array.dtype.kind in "iu" else array.astype(keras_module().config.floatx(), copy=False)


def reading_size(source: Any, batch_size: int) -> int:
    """Return how many rows to predict at once: many small ones, no more than `batch_size` of large ones."""
    first = read_inputs(source, np.arange(1))
    row_bytes = sum(value.nbytes for value in first.values()) if isinstance(first, dict) else first.nbytes
    return int(max(batch_size, min(_READ_BYTES // max(1, row_bytes), count_rows(source))))


def _frame_numbers(frame: Any, name: str) -> NDArray[Any]:
    array = frame.to_numpy()
    if array.dtype.kind in "biuf":
        return np.asarray(array)
    try:
        return np.asarray(array, dtype=np.float64)  # truth values beside numbers are objects
    except (TypeError, ValueError) as error:
        raise EnsembleError(f"{name} must hold numbers for Keras, but {error}; encode texts before") from None
