"""A storage in a database: a table for each name and version, and a catalog of the writes.

Table `<name-version>`: id (the primary key, the one index), run, place, and the bytes of each output.
Table `mlpipeline~runs`: for each write its key, and name, dtype, shape and column of its outputs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from json import loads
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Connection, Table, bindparam, delete, func, inspect, select
from sqlalchemy.schema import CreateColumn

from mlpipeline.dataflow.outputs import Outputs
from mlpipeline.dataflow.spec import Array
from mlpipeline.dataflow.storage import sql_tables as tables
from mlpipeline.dataflow.storage.base import Run, Storage
from mlpipeline.dataflow.storage.database import Database, open_database
from mlpipeline.dataflow.storage.ids import (
    TEXT,
    Positions,
    check_kind,
    digest_of,
    in_kind,
    kind_of,
    one_in_kind,
)
from mlpipeline.dataflow.storage.sql_rows import as_ids_of, in_parts, of_run, rows_of
from mlpipeline.dataflow.storage.sql_tables import CATALOG, Runs, SqlRun, Statement
from mlpipeline.dataflow.storage.values import Piece, assemble, chosen, empty, from_blobs, specs_of
from mlpipeline.errors import StorageError

_PRUNED_EVERY = 64  # writes


class SqlStorage(Storage):
    """The outputs of a pipeline and version in a table of a database.

    A write is one transaction. Tested on SQLite and PostgreSQL; in other databases a row that is written again
    takes its place at the end of the order.

    Args:
        database: an open one.
        name: of the pipeline.
        version: of the pipeline.
        overwrite: whether the first write replaces all that is stored of this name and version.
    """

    def __init__(self, database: Database, name: str, version: object | None, overwrite: bool = False) -> None:
        super().__init__(name, version, overwrite)
        self._database = database
        self._dialect = database.engine.dialect
        self._has_catalog = False
        self._runs = Runs()
        self._pruned_to = 0  # rows that there were when it was last looked for replaced writes
        self._lookups: dict[tuple[str | None, tuple[int, ...]], Statement] = {}

    def ids(self) -> Array:
        with self._database.reading() as connection:
            runs = self._refreshed(connection)
            if runs.kind is None:
                return np.empty(0, np.int64)
            table = self._rows_table(runs)
            rows = connection.execute(select(table.c.id, table.c.place)).all()
        return as_ids_of(sorted(rows, key=itemgetter(1)), runs.kind)

    def runs(self) -> list[Run]:
        self._runs = Runs()  # another process may have deleted some from the midst
        with self._database.reading() as connection:
            return [each.run for each in self._refreshed(connection).by_number.values()]

    def close(self) -> None:
        self._database.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return reopened, (self._database.place, self.name, self.version, self._overwrites)

    def _opened_anew(self, name: str, version: object | None, overwrite: bool) -> SqlStorage:
        return SqlStorage(self._database, name, version, overwrite)

    def __len__(self) -> int:
        with self._database.reading() as connection:
            runs = self._refreshed(connection)
            if runs.kind is None:
                return 0
            return int(connection.execute(select(func.count()).select_from(self._rows_table(runs))).scalar_one())

    def _write(self, ids: Array, outputs: dict[str, Array], key: str, parts: str) -> None:
        self._make_catalog()
        with self._database.writing(self.table) as connection:
            before = self._refreshed(connection)
            runs = self._emptied(connection, before) if self._overwrites else before
            if len(ids):
                check_kind(runs.kind, kind_of(ids))
            written = Run(key, loads(parts), len(ids), datetime.now(UTC).isoformat())
            columns = {name: runs.columns.get(name, -1) for name in outputs}
            new = [name for name, number in columns.items() if number < 0]
            columns |= {name: len(runs.columns) + number for number, name in enumerate(new)}
            run = SqlRun(before.last + 1, written, digest_of(ids), kind_of(ids), specs_of(outputs), columns)
            if len(ids):
                self._fit_table(connection, runs, run)
                self._insert(connection, runs.with_more([run]), run, ids, outputs)
            connection.execute(CATALOG.insert(), run.as_row(self.table))
            if run.number % _PRUNED_EVERY == 0:
                self._prune(connection, runs.with_more([run]))
        self._overwrites = False

    def _prune(self, connection: Connection, runs: Runs) -> None:
        """Delete from the catalog what no row comes from any more; the last tells the outputs without rows."""
        if runs.kind is None or sum(each.run.n for each in runs.by_number.values()) < 2 * self._pruned_to:
            return
        table = self._rows_table(runs)
        counted = connection.execute(select(table.c.run, func.count()).group_by(table.c.run))
        rows_by_run = {row[0]: row[1] for row in counted}
        columns = set(runs.by_number[runs.last].columns.values())  # a column that nobody tells of would be made again
        gone = [
            number
            for number, each in runs.by_number.items()
            if number not in rows_by_run and number != runs.last and columns.issuperset(each.columns.values())
        ]
        for numbers in in_parts(np.asarray(gone, np.int64)):
            of_these = CATALOG.c.run.in_(numbers)
            connection.execute(delete(CATALOG).where(CATALOG.c.stored_as == self.table, of_these))
        self._pruned_to = sum(rows_by_run.values())

    def _make_catalog(self) -> None:
        if not self._has_catalog:
            with self._database.writing(CATALOG.name) as connection:
                CATALOG.create(connection, checkfirst=True)
            self._has_catalog = True

    def _emptied(self, connection: Connection, runs: Runs) -> Runs:
        if runs.kind is not None:
            self._rows_table(runs).drop(connection)
        connection.execute(delete(CATALOG).where(CATALOG.c.stored_as == self.table))
        return Runs()

    def _fit_table(self, connection: Connection, runs: Runs, run: SqlRun) -> None:
        """Make the table, or the columns that outputs of new names need."""
        table = self._rows_table(runs.with_more([run]))
        if runs.kind is None:
            if inspect(connection).has_table(self.table):
                raise StorageError(
                    f"the database has a table {self.table!r} that is not a storage; give the pipeline another name"
                )
            table.create(connection)
            return
        preparer = self._dialect.identifier_preparer
        for number in sorted(set(run.columns.values()) - set(runs.columns.values())):
            column = CreateColumn(table.c[tables.column_name(number)]).compile(dialect=self._dialect)
            connection.exec_driver_sql(f"ALTER TABLE {preparer.format_table(table)} ADD COLUMN {column}")

    def _insert(
        self, connection: Connection, runs: Runs, run: SqlRun, ids: Array, outputs: Mapping[str, Array]
    ) -> None:
        table = self._rows_table(runs)
        names = ["id", "run", "place", *(tables.column_name(run.columns[name]) for name in outputs)]
        statement = tables.inserting(table, names, self._dialect)
        if not (self._database.is_sqlite or self._database.is_postgres):
            for part in in_parts(ids):
                connection.execute(delete(table).where(table.c.id.in_(part)))
        for rows in rows_of(run, ids, list(outputs.values())):
            connection.exec_driver_sql(statement.text, statement.parameters(names, rows))

    def _find(self, key: str, ids: Array) -> dict[str, Array] | None:
        with self._database.reading() as connection:
            runs = self._refreshed(connection)
            run = runs.latest_with(key, ids)
            if run is None:
                return None
            if not len(ids):
                return empty(run.specs, run.specs)
            table = self._rows_table(runs)
            rows = connection.execute(of_run(select(table), table, run.number, ids)).all()
        if len(rows) != len(ids):
            return None
        at = Positions(as_ids_of(rows, run.kind)).locate(ids)
        return dict(self._decoded(runs, [rows[each] for each in at.tolist()], None, list(runs.columns.values())))

    def _holds(self, key: str, ids: Array) -> bool:
        with self._database.reading() as connection:
            runs = self._refreshed(connection)
            run = runs.latest_with(key, ids)
            if run is None or not len(ids):
                return run is not None
            table = self._rows_table(runs)
            query = of_run(select(func.count()).select_from(table), table, run.number, ids)
            return bool(connection.execute(query).scalar_one() == len(ids))

    def _read(self, ids: Array | None, cols: Sequence[str] | None) -> tuple[Outputs, Array]:
        with self._database.reading() as connection:
            runs = self._refreshed(connection)
            if not runs.by_number:
                raise self._nothing_stored()
            names = runs.columns if cols is None else cols
            columns = [runs.columns[name] for name in names if name in runs.columns]
            if ids is None:
                rows, at, found = self._all_rows(connection, runs, columns), None, np.empty(0, bool)
            else:
                rows, at, found = self._asked_rows(connection, runs, columns, ids)
        if not rows:
            last = runs.by_number[runs.last].specs
            return empty(last, chosen(cols, [last], runs.columns)), found
        outputs = self._decoded(runs, rows, cols, columns)
        if at is not None:
            outputs = Outputs({name: values[at] for name, values in outputs.items()})
        return outputs, found

    def _all_rows(self, connection: Connection, runs: Runs, columns: Sequence[int]) -> list[Any]:
        if runs.kind is None:
            return []
        rows = connection.execute(self._selecting(self._rows_table(runs), columns)).all()
        return sorted(rows, key=itemgetter(2))

    def _asked_rows(
        self, connection: Connection, runs: Runs, columns: Sequence[int], ids: Array
    ) -> tuple[list[Any], Array | None, Array]:
        """Return the rows of the asked ids, each once; which of them each found id has; which ids are found."""
        if runs.kind is None:
            return [], None, np.zeros(len(ids), bool)
        asked, can_be = in_kind(ids, runs.kind)
        table = self._rows_table(runs)
        wanted = self._selecting(table, columns).where(table.c.id.in_(bindparam("asked", expanding=True)))
        unique = np.unique(asked[can_be])
        rows = [row for part in in_parts(unique) for row in connection.execute(wanted, {"asked": part})]
        at = np.where(can_be, Positions(as_ids_of(rows, runs.kind)).locate(asked), -1)
        return rows, at[at >= 0], at >= 0

    def _selecting(self, table: Table, columns: Sequence[int]) -> Any:
        wanted = [table.c[tables.column_name(number)] for number in columns]
        return select(table.c.id, table.c.run, table.c.place, *wanted)

    def _decoded(self, runs: Runs, rows: Sequence[Any], cols: Sequence[str] | None, columns: Sequence[int]) -> Outputs:
        """Return the outputs of rows of id, run, place and these columns."""
        of_row = np.array([row[1] for row in rows])
        used = np.unique(of_row).tolist()
        specs = [runs.by_number[number].specs for number in used]
        names = chosen(cols, specs, runs.columns)
        cells = {name: 3 + list(columns).index(runs.columns[name]) for name in names}
        if len(used) == 1:
            return Outputs({name: from_blobs([row[cells[name]] for row in rows], specs[0][name]) for name in names})
        pieces = []
        for number, spec in zip(used, specs, strict=True):
            at = np.flatnonzero(of_row == number)
            mine = [rows[each] for each in at.tolist()]
            values = {name: from_blobs([row[cells[name]] for row in mine], spec[name]) for name in names}
            pieces.append(Piece(at, values))
        return assemble(names, len(rows), pieces)

    def _read_one(self, asked: int | str, cols: Sequence[str] | None) -> Outputs | None:
        runs = self._runs
        wanted = one_in_kind(asked, runs.kind) if runs.kind else None
        names = runs.columns if cols is None else cols
        if wanted is None or not all(name in runs.columns for name in names):
            return None
        statement = self._looking_up(runs, tuple([runs.columns[name] for name in names]))
        try:
            row = self._database.fetch_one(statement.text, {"asked": wanted} if statement.order is None else (wanted,))
        except StorageError:
            return None  # another process may have made the table anew; the long way tells
        run = runs.by_number.get(row[0]) if row else None
        if run is None or not all(name in run.specs for name in (() if cols is None else names)):
            return None
        cells = zip(names, row[1:], strict=True)
        return Outputs({name: from_blobs((cell,), run.specs[name]) for name, cell in cells if name in run.specs})

    def _looking_up(self, runs: Runs, columns: tuple[int, ...]) -> Statement:
        statement = self._lookups.get((runs.kind, columns))
        if statement is None:
            statement = tables.looking_up(self._rows_table(runs), columns, self._dialect)
            self._lookups[runs.kind, columns] = statement
        return statement

    def _refreshed(self, connection: Connection) -> Runs:
        """Return the writes that are there now."""
        self._has_catalog = self._has_catalog or inspect(connection).has_table(CATALOG.name)
        if self._has_catalog:
            self._runs = self._runs.refreshed(connection, self.table)
        return self._runs

    def _rows_table(self, runs: Runs) -> Table:
        return tables.rows_table(self.table, runs.kind or TEXT, runs.columns.values())


def reopened(place: str | Path, name: str, version: object | None, overwrite: bool) -> SqlStorage:
    """Return a storage that was pickled, with connections of its own."""
    return SqlStorage(open_database(place), name, version, overwrite)
