"""Generator: the batches of a source, in order, as often as they are asked for."""

from __future__ import annotations

from collections.abc import Iterator

from mlpipeline.dataflow.io.kinds import as_arrays
from mlpipeline.dataflow.io.source import Source, blocks, checked_count, checked_nrows, length_of, survey
from mlpipeline.dataflow.spec import Array
from mlpipeline.errors import DataError


class Generator:
    """Batches of a source: dictionaries of arrays by the name of the column.

    Each `iter()` begins at the first row and ends after the last; the last batch may be shorter. A
    column has one dtype in all batches. It is found in a pass over the source when the generator is
    made, since a value that is missing, or text, may stand in any row.

    Args:
        source: where the rows come from.
        batch_size: how many rows a batch has.
        nrows: how many rows to read at most.
        repeat: begin again after the last row, without end.
    """

    def __init__(self, source: Source, batch_size: int, nrows: int | None, repeat: bool) -> None:
        self._source = source
        self.batch_size = checked_count("batch_size", batch_size, 1)
        self.nrows = checked_nrows(nrows)
        self.repeat = repeat
        self._survey = survey(source, self.nrows)

    def __iter__(self) -> Iterator[dict[str, Array]]:
        if self.repeat and not self._survey.rows:
            raise DataError(f"{type(self).__name__}: expected rows to repeat, but there is none")
        for source in self._rounds():
            yield from self._batches(source)

    def __len__(self) -> int:
        """Return how many batches there are.

        Raises: TypeError: they have no end; it is what Python expects of a length that is not there.
        """
        if self.repeat:
            raise TypeError(f"{type(self).__name__} with repeat=True has no end, and so no length")
        return -(-self._survey.rows // self.batch_size)

    def _rounds(self) -> Iterator[Source]:
        """Yield the source once, or without end."""
        yield self._source
        while self.repeat:
            yield self._source

    def _batches(self, source: Source) -> Iterator[dict[str, Array]]:
        kinds = self._survey.kinds
        with source.open(kinds) as take:
            for table in blocks(take, self.batch_size, self.nrows):
                arrays = as_arrays(table, kinds)
                for start in range(0, length_of(arrays), self.batch_size):
                    yield {name: array[start : start + self.batch_size] for name, array in arrays.items()}
