"""pandas frames: as a dictionary of arrays, and in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from mlpipeline.dataflow.io.generators import Generator
from mlpipeline.dataflow.io.source import Kinds, Source, Take, checked_nrows, chosen, read_whole
from mlpipeline.dataflow.spec import Array
from mlpipeline.errors import DataError


class FrameSource:
    """A frame that is read from the first row to the last, or in another order.

    Args:
        frame: pandas.DataFrame; it is not changed. Columns are known by `str` of their label.
        exclude_cols: the names of columns to leave out.
        cols: the names of columns to read; None for all.
        order: int[n], the positions of the rows to read; None for all as they stand.
    """

    parses_text = False
    is_misread = False

    def __init__(
        self,
        frame: Any,
        exclude_cols: Sequence[str] = (),
        cols: Sequence[str] | None = None,
        order: Array | None = None,
    ) -> None:
        import pandas as pd

        if not isinstance(frame, pd.DataFrame):
            hint = "; call its to_pandas() first" if hasattr(frame, "to_pandas") else ""
            raise DataError(f"expected a pandas frame, but got {type(frame).__name__}{hint}")
        names = [str(label) for label in frame.columns]
        self.names = chosen(names, cols, exclude_cols, "the frame")
        self._columns = {name: frame.iloc[:, names.index(name)] for name in self.names}
        self._order = order
        self.first_rows = len(frame) + 1  # all at once: they are in memory

    @contextmanager
    def open(self, kinds: Kinds | None) -> Iterator[Take]:
        """Begin at the first row."""
        start = 0

        def take(rows: int) -> dict[str, Any]:
            nonlocal start
            part: Any = slice(start, start + rows)
            start += rows
            part = part if self._order is None else self._order[part]
            return {name: column.iloc[part] for name, column in self._columns.items()}

        yield take


class PandasData(dict[str, Array]):
    """The columns of a frame as arrays by name.

    Numbers and truth values keep their dtype; integers with missing values become float64 with NaN.
    Moments become datetime64[ns], categories their values, text an object array of `str` with None
    where it is missing.

    Args:
        frame: pandas.DataFrame.
        exclude_cols: the names of columns to leave out.
        nrows: how many rows to read at most.
        cols: the names of columns to read; None for all.
    Raises: DataError: it is no frame, or a name is of no column.
    """

    def __init__(
        self,
        frame: Any,
        exclude_cols: Sequence[str] = (),
        nrows: int | None = None,
        cols: Sequence[str] | None = None,
    ) -> None:
        super().__init__(read_whole(FrameSource(frame, exclude_cols, cols), checked_nrows(nrows))[0])


class PandasGenerator(Generator):
    """The rows of a frame in batches, as `PandasData` converts them.

    Args:
        frame: pandas.DataFrame.
        batch_size: how many rows a batch has; the last one may have fewer.
        exclude_cols: the names of columns to leave out.
        nrows: how many rows to read at most, the first ones.
        repeat: begin again after the last row, without end.
        shuffle: give the rows in a random order, which is the same each time the batches are asked
            for; with `repeat` each further round has an order of its own.
        seed: of the order; None for one that differs from generator to generator.
        cols: the names of columns to read; None for all.
    Raises: DataError: it is no frame, or a name is of no column.
    """

    def __init__(
        self,
        frame: Any,
        batch_size: int = 32,
        exclude_cols: Sequence[str] = (),
        nrows: int | None = None,
        repeat: bool = False,
        shuffle: bool = False,
        seed: int | None = None,
        cols: Sequence[str] | None = None,
    ) -> None:
        source = FrameSource(frame, exclude_cols, cols)
        super().__init__(source, batch_size, nrows, repeat)
        self._in_order = partial(FrameSource, frame, (), source.names)
        self.shuffle = shuffle
        self.seed = np.random.SeedSequence().entropy if seed is None else seed

    def _rounds(self) -> Iterator[Source]:
        if not self.shuffle:
            yield from super()._rounds()
            return
        random = np.random.default_rng(self.seed)
        for _ in super()._rounds():
            yield self._in_order(random.permutation(self._survey.rows))
