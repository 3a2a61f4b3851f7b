"""Source: where tables come from, read in blocks whose size is bounded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from mlpipeline.dataflow.io.kinds import Kind, Table, as_arrays, joined_kinds, kinds_of
from mlpipeline.dataflow.spec import Array
from mlpipeline.errors import DataError, did_you_mean

Take = Callable[[int], Table]  # the next rows, at most so many; with its columns even where no row is left
Kinds = Mapping[str, Kind]
BLOCK_BYTES = 1 << 20


class Source(Protocol):
    """A frame, a file or a query that can be read again and again from its first row.

    Args:
        names: of the columns that are asked for, known when `open` has been called without kinds. A
            table has the others too: how much memory a row takes is known from all of them.
        first_rows: how many rows to look at first.
        parses_text: whether values depend on the kinds that `open` is given: 1 or "1".
        is_misread: whether values were taken for what they are not, and must be read with their kinds.
    """

    names: list[str]
    first_rows: int
    parses_text: bool
    is_misread: bool

    def open(self, kinds: Kinds | None) -> AbstractContextManager[Take]:
        """Begin at the first row; without kinds, values are taken for what they look like."""
        ...


@dataclass(frozen=True)
class Survey:
    """What one pass over a source has found.

    Args:
        kinds: of each column, in the order of the source.
        rows: how many there are, `nrows` at most.
        is_complete: whether every row of the source was seen.
    """

    kinds: Kinds
    rows: int
    is_complete: bool


def survey(source: Source, nrows: int | None) -> Survey:
    """Read a source once, a block at a time, for what its columns hold."""
    found: Survey | None = None
    with source.open(None) as take:
        for table in blocks(take, source.first_rows, nrows):
            found = _with_block(found, kinds_of(table, source.names), length_of(table), nrows)
    assert found is not None  # there is always a first block
    return found


def read_whole(source: Source, nrows: int | None) -> tuple[dict[str, Array], Survey]:
    """Return all rows of a source as arrays, with the dtypes that its batches have.

    What was read under another kind than the column turns out to have is read a second time.
    """
    found: Survey | None = None
    tables, kinds = [], []
    with source.open(None) as take:
        for table in blocks(take, source.first_rows, nrows):
            tables.append(table)
            kinds.append(kinds_of(table, source.names))
            found = _with_block(found, kinds[-1], length_of(table), nrows)
    assert found is not None
    if source.is_misread or (source.parses_text and any(_differ(part, found.kinds) for part in kinds)):
        tables.clear()
        with source.open(found.kinds) as take:
            tables.extend(blocks(take, source.first_rows, nrows))
    return _joined([as_arrays(table, found.kinds) for table in tables]), found


def blocks(take: Take, rows: int, nrows: int | None) -> Iterator[Table]:
    """Yield a source's rows in blocks, the first one even if it is empty.

    Args:
        take: gives the next rows.
        rows: of the first block; a multiple of them make the further ones, as many as fit in BLOCK_BYTES.
        nrows: how many rows to read at most.
    """
    left = nrows
    size, is_first = rows, True
    while left is None or left > 0 or is_first:
        asked = size if left is None else min(size, left)
        table = take(asked)
        length = length_of(table)
        if length or is_first:
            yield table
        if length < asked:
            return
        left = None if left is None else left - length
        is_first = False
        if length:
            size = rows * max(1, min(2 * size, int(BLOCK_BYTES // bytes_per_row(table))) // rows)


def chosen(names: Sequence[str], cols: object, exclude_cols: object, where: str) -> list[str]:
    """Return the names of the columns to read, in the order of the source.

    Args:
        names: all columns.
        cols: the names of those to read; None for all.
        exclude_cols: the names of those to leave out.
        where: what the columns are of, for messages.
    Raises: DataError: two columns have one name, or a name is of no column.
    """
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise DataError(f"{where}: expected a name of its own for each column, but several are called {doubled[0]!r}")
    left_out = _checked_columns("exclude_cols", exclude_cols, names, where)
    kept = list(names) if cols is None else _checked_columns("cols", cols, names, where)
    return [name for name in names if name in kept and name not in left_out]


def checked_count(name: str, value: object, least: int) -> int:
    """Return a count.

    Raises: DataError: it is not a whole number, or too small.
    """
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < least:
        raise DataError(f"{name}: expected a whole number of at least {least}, but got {value!r}")
    return int(value)


def checked_nrows(nrows: object) -> int | None:
    """Return how many rows to read at most, or None.

    Raises: DataError: it is not a whole number.
    """
    return None if nrows is None else checked_count("nrows", nrows, 0)


def length_of(table: Mapping[str, object]) -> int:
    """Return how many rows a table has."""
    return next((len(column) for column in table.values()), 0)  # type: ignore[arg-type]


def bytes_per_row(table: Table) -> float:
    """Return how much memory a row takes, as about 64 of them show; at least a byte."""
    step = max(1, length_of(table) // 64)
    samples = [column.iloc[::step] for column in table.values()]
    taken = sum(sample.memory_usage(index=False, deep=True) / max(1, len(sample)) for sample in samples)
    return max(1.0, float(taken))


def _with_block(found: Survey | None, kinds: Kinds, rows: int, nrows: int | None) -> Survey:
    rows += found.rows if found else 0
    return Survey(joined_kinds(found.kinds, kinds) if found else kinds, rows, nrows is None or rows < nrows)


def _differ(part: Kinds, whole: Kinds) -> bool:
    return any(kind.has_values and kind.dtype != whole[name].dtype for name, kind in part.items())


def _joined(parts: Sequence[dict[str, Array]]) -> dict[str, Array]:
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part.pop(name) for part in parts]) for name in list(parts[0])}


def _checked_columns(argument: str, given: object, names: Sequence[str], where: str) -> list[str]:
    wanted = [given] if isinstance(given, str) else given
    try:
        wanted = [str(name) for name in wanted]  # type: ignore[attr-defined]
    except TypeError:
        raise DataError(f"{argument}: expected a list of names of columns, but got {given!r}") from None
    for name in wanted:
        if name not in names:
            raise DataError(
                f"{where}: {argument} names {name!r}, which is no column{did_you_mean(name, names)}; "
                f"there are {', '.join(map(repr, names)) or 'none'}"
            )
    return wanted
