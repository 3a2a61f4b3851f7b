"""Inputs from a source of data: one for each column of a frame, a CSV file or a query."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from mlpipeline.dataflow.io.csv_files import CSVSource
from mlpipeline.dataflow.io.frames import FrameSource
from mlpipeline.dataflow.io.kinds import Kind
from mlpipeline.dataflow.io.source import Source, checked_nrows, read_whole, survey
from mlpipeline.dataflow.io.sql import SQLSource
from mlpipeline.dataflow.node import Input


def from_dataframe(
    df: Any, exclude_cols: Sequence[str] = (), nrows: int | None = None, eager: bool = False
) -> dict[str, Input]:
    """Return an input for each column of a pandas frame, in the order of the columns.

    Args:
        df: pandas.DataFrame.
        exclude_cols: the names of columns to leave out.
        nrows: how many rows to look at.
        eager: give the inputs these rows, so that what is built from them is computed at once.
    Raises: DataError: it is no frame, or a name is of no column.
    """
    return _inputs(FrameSource(df, exclude_cols), nrows, eager)


def from_csv(
    path: str | os.PathLike[str],
    exclude_cols: Sequence[str] = (),
    nrows: int | None = None,
    eager: bool = False,
    cols: Sequence[str] | None = None,
    **options: Any,
) -> dict[str, Input]:
    """Return an input for each column of a CSV file, in the order of the columns.

    Args:
        path: may be compressed, as its ending says.
        exclude_cols: the names of columns to leave out.
        nrows: how many rows to look at; a few are enough to learn the names, and no dtype is promised then.
        eager: give the inputs these rows, so that what is built from them is computed at once.
        cols: the names of columns to use; None for all.
        options: keyword arguments of `pandas.read_csv`, as for `io.CSVData`.
    Raises: DataError: the file cannot be read, or a name is of no column.
    """
    return _inputs(CSVSource(path, exclude_cols, cols, options), nrows, eager)


def from_sql(
    connection: Any, query: Any, exclude_cols: Sequence[str] = (), nrows: int | None = None, eager: bool = False
) -> dict[str, Input]:
    """Return an input for each column that a query finds, in their order.

    Args:
        connection: sqlite3.Connection, or a SQLAlchemy URL, engine or connection.
        query: a SELECT, or the name of a table.
        exclude_cols: the names of columns to leave out.
        nrows: how many rows to look at; a few are enough to learn the names, and no dtype is promised then.
        eager: give the inputs these rows, so that what is built from them is computed at once.
    Raises: DataError: the database or the query does not work, or a name is of no column.
    """
    return _inputs(SQLSource(connection, query, exclude_cols), nrows, eager)


def _inputs(source: Source, nrows: int | None, eager: bool) -> dict[str, Input]:
    rows = checked_nrows(nrows)
    arrays, found = read_whole(source, rows) if eager else ({}, survey(source, rows))
    inputs = {
        name: Input(name, dtype=promised_dtype(kind) if found.is_complete else None)
        for name, kind in found.kinds.items()
    }
    for name, values in arrays.items():
        inputs[name](values)
    return inputs


def promised_dtype(kind: Kind) -> np.dtype[Any] | None:
    """Return the dtype that further data like a column's has too, or None.

    Integers and truth values are floats as soon as one of them is missing, and text may hold
    anything; floats and times stay what they are.
    """
    return kind.dtype if kind.has_values and kind.dtype.kind in "fcmM" else None
