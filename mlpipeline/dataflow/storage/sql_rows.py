"""Rows of a storage in a database: as they are sent, asked for and selected."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from sqlalchemy import Select, Table

from mlpipeline.dataflow.spec import Array
from mlpipeline.dataflow.storage.ids import INTEGER, TEXT, kind_of
from mlpipeline.dataflow.storage.sql_tables import SqlRun
from mlpipeline.dataflow.storage.values import as_blobs, row_bytes

_ASKED_AT_ONCE = 900  # ids in one statement; the lowest limit among databases is 999 parameters
_SENT_AT_ONCE = 1 << 20  # bytes
_PLACES_OF_A_RUN = 2**32


def in_parts(ids: Array) -> Iterator[list[Any]]:
    """Yield ids, as many at once as a statement takes."""
    for begin in range(0, len(ids), _ASKED_AT_ONCE):
        yield ids[begin : begin + _ASKED_AT_ONCE].tolist()


def rows_of(run: SqlRun, ids: Array, outputs: Sequence[Array]) -> Iterator[list[tuple[Any, ...]]]:
    """Yield rows of id, run, place and the bytes of each output, as many at once as memory should hold."""
    step = max(1, _SENT_AT_ONCE // max(1, sum(map(row_bytes, run.specs.values()))))
    first_place = run.number * _PLACES_OF_A_RUN
    for begin in range(0, len(ids), step):
        part = slice(begin, begin + step)
        count = len(ids[part])
        places = range(first_place + begin, first_place + begin + count)
        blobs = [as_blobs(array[part]) for array in outputs]
        yield list(zip(ids[part].tolist(), [run.number] * count, places, *blobs, strict=True))


def of_run(query: Select[Any], table: Table, number: int, ids: Array) -> Select[Any]:
    """Return a query for the rows that a write left."""
    query = query.where(table.c.run == number)
    if kind_of(ids) == INTEGER:  # so that the rest of a large table is not searched
        query = query.where(table.c.id.between(int(ids.min()), int(ids.max())))
    return query


def as_ids_of(rows: Sequence[Any], kind: str) -> Array:
    """Return the first cells of rows as ids."""
    return np.array([row[0] for row in rows], np.str_ if kind == TEXT else np.int64)
