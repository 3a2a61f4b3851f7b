"""SQL queries: as a dictionary of arrays, and streamed in batches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from mlpipeline.dataflow.io.generators import Generator
from mlpipeline.dataflow.io.queries import Rows, opened
from mlpipeline.dataflow.io.source import Kinds, Take, checked_nrows, chosen, read_whole
from mlpipeline.dataflow.spec import Array


class SQLSource:
    """What a query finds, read with a cursor.

    Args:
        connection: sqlite3.Connection, or a SQLAlchemy URL, engine or connection.
        query: a SELECT, or the name of a table.
        exclude_cols: the names of columns to leave out.
        cols: the names of columns to read; None for all.
    """

    parses_text = False
    is_misread = False
    first_rows = 64

    def __init__(
        self, connection: Any, query: Any, exclude_cols: Sequence[str] = (), cols: Sequence[str] | None = None
    ) -> None:
        self._connection = connection
        self._query = query
        self._asked = cols, exclude_cols
        self.names: list[str] = []

    @contextmanager
    def open(self, kinds: Kinds | None) -> Iterator[Take]:
        """Run the query.

        Raises: DataError: the database or the query does not work, or a name is of no column.
        """
        with opened(self._connection, self._query) as rows:
            if kinds is None:
                self.names = chosen(rows.names, *self._asked, "the query")
            yield lambda count: next_table(rows, count)


def next_table(rows: Rows, count: int) -> dict[str, Any]:
    """Return the next rows of a query as a series of Python objects for each column."""
    import pandas as pd

    columns = list(zip(*rows.fetch(count), strict=True)) or [()] * len(rows.names)
    return {
        name: pd.Series(np.fromiter(values, dtype=object, count=len(values)), dtype=object, copy=False)
        for name, values in zip(rows.names, columns, strict=True)
    }


class SQLData(dict[str, Array]):
    """The columns that a query finds as arrays by name.

    Integers are int64, or float64 with NaN where one is NULL; decimal numbers are float64, dates and
    times datetime64[ns], text an object array of `str` with None for NULL. What else a database has
    stays as its driver gives it, in an object array.

    Args:
        connection: sqlite3.Connection, or a SQLAlchemy URL, engine or connection.
        query: a SELECT, or the name of a table; with SQLAlchemy a `select(...)` too, whose values are bound.
        exclude_cols: the names of columns to leave out.
        nrows: how many rows to read at most.
        cols: the names of columns to read; None for all.
    Raises: DataError: the database or the query does not work, or a name is of no column.
    """

    def __init__(
        self,
        connection: Any,
        query: Any,
        exclude_cols: Sequence[str] = (),
        nrows: int | None = None,
        cols: Sequence[str] | None = None,
    ) -> None:
        super().__init__(read_whole(SQLSource(connection, query, exclude_cols, cols), checked_nrows(nrows))[0])


class SQLGenerator(Generator):
    """What a query finds in batches, which together are `SQLData` of the query.

    The rows are streamed: memory holds some batches of them, never all. The query runs when the
    generator is made, for the dtypes of its columns, and once for each round. Rows come in the
    order that the database chooses, unless the query has an ORDER BY.

    Args:
        connection: sqlite3.Connection, or a SQLAlchemy URL, engine or connection.
        query: a SELECT, or the name of a table; with SQLAlchemy a `select(...)` too, whose values are bound.
        batch_size: how many rows a batch has; the last one may have fewer.
        exclude_cols: the names of columns to leave out.
        nrows: how many rows to read at most.
        repeat: begin again after the last row, without end.
        cols: the names of columns to read; None for all.
    Raises: DataError: the database or the query does not work, or a name is of no column.
    """

    def __init__(
        self,
        connection: Any,
        query: Any,
        batch_size: int = 32,
        exclude_cols: Sequence[str] = (),
        nrows: int | None = None,
        repeat: bool = False,
        cols: Sequence[str] | None = None,
    ) -> None:
        super().__init__(SQLSource(connection, query, exclude_cols, cols), batch_size, nrows, repeat)
