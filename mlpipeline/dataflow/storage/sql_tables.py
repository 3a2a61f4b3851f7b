"""The tables of a storage in a database, and the statements on them, written by SQLAlchemy."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Dialect,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    bindparam,
    func,
    null,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

from mlpipeline.dataflow.spec import Array
from mlpipeline.dataflow.storage.base import Run
from mlpipeline.dataflow.storage.ids import INTEGER, digest_of
from mlpipeline.dataflow.storage.values import Specs, from_json, to_json
from mlpipeline.errors import StorageError

# INTEGER makes the id the row's own number in SQLite; "C" orders texts by their bytes, as Python does
_INTEGER_ID = BigInteger().with_variant(Integer(), "sqlite")
_TEXT_ID = (
    Text().with_variant(Text(collation="C"), "postgresql").with_variant(String(255, collation="utf8mb4_bin"), "mysql")
)
_BYTES = LargeBinary(2**32 - 1).with_variant(LargeBinary(), "postgresql").with_variant(LargeBinary(), "sqlite")

CATALOG = Table(
    "mlpipeline~runs",  # no name that `stored_name` gives is like this
    MetaData(),
    Column("stored_as", String(63), primary_key=True),
    Column("run", BigInteger, primary_key=True, autoincrement=False),
    Column("key", Text),
    Column("ids_digest", Text),
    Column("ids_kind", Text),
    Column("n", BigInteger),
    Column("parts", Text),
    Column("outputs", Text),
    Column("written", Text),
)


@dataclass(frozen=True)
class SqlRun:
    """One write as the catalog tells, with the column of each output."""

    number: int
    run: Run
    digest: str
    kind: str
    specs: Specs
    columns: dict[str, int]

    @classmethod
    def of(cls, row: Any) -> SqlRun:
        """Read a row of the catalog.

        Raises: StorageError: it is damaged.
        """
        try:
            outputs = json.loads(row.outputs)
            run = Run(row.key, dict(json.loads(row.parts)), row.n, row.written)
            columns = {str(each["name"]): int(each["column"]) for each in outputs}
            return cls(row.run, run, row.ids_digest, row.ids_kind, from_json(outputs), columns)
        except (ValueError, KeyError, TypeError) as error:
            raise StorageError(f"{CATALOG.name} of {row.stored_as}, run {row.run}, is damaged: {error}") from error

    def as_row(self, stored_as: str) -> dict[str, Any]:
        """Return the row of the catalog."""
        outputs = [{**each, "column": self.columns[each["name"]]} for each in to_json(self.specs)]
        return {
            "stored_as": stored_as,
            "run": self.number,
            "key": self.run.key,
            "ids_digest": self.digest,
            "ids_kind": self.kind,
            "n": self.run.n,
            "parts": json.dumps(self.run.parts),
            "outputs": json.dumps(outputs),
            "written": self.run.written,
        }


@dataclass(frozen=True)
class Runs:
    """The writes of a storage by their number, and what follows from them; never changed."""

    by_number: dict[int, SqlRun] = field(default_factory=dict)
    first: int = 0
    last: int = 0
    kind: str | None = None
    columns: dict[str, int] = field(default_factory=dict)

    def latest_with(self, key: str, ids: Array) -> SqlRun | None:
        """Return the last write with this key and these ids."""
        digest = digest_of(ids)
        later_first = reversed(self.by_number.values())
        return next((each for each in later_first if each.run.key == key and each.digest == digest), None)

    def with_more(self, more: Iterable[SqlRun]) -> Runs:
        """Return these and later ones."""
        by_number, kind, columns = dict(self.by_number), self.kind, dict(self.columns)
        for each in more:
            by_number[each.number] = each
            columns |= each.columns
            kind = kind or (each.kind if each.run.n else None)
        return Runs(by_number, min(by_number, default=0), max(by_number, default=0), kind, columns)

    def refreshed(self, connection: Connection, stored_as: str) -> Runs:
        """Return the writes that are there now; only those that came since are read."""
        number, of_store = CATALOG.c.run, CATALOG.c.stored_as == stored_as
        ends = [select(end).where(of_store).scalar_subquery() for end in (func.min(number), func.max(number))]
        first, last = connection.execute(select(*ends)).one()  # each alone is found at an end of the index
        known = self if first == self.first else Runs()
        if first is None or last == known.last:
            return known
        rows = connection.execute(select(CATALOG).where(of_store, number > known.last).order_by(number))
        return known.with_more(SqlRun.of(row) for row in rows)


def column_name(number: int) -> str:
    """Return the name of a column of outputs; names that users give may differ in case only."""
    return f"output_{number}"


def rows_table(name: str, kind: str, columns: Iterable[int]) -> Table:
    """Return the table of a storage: id, run, the place in the order of first writes, and the outputs' bytes."""
    return Table(
        name,
        MetaData(),
        Column("id", _INTEGER_ID if kind == INTEGER else _TEXT_ID, primary_key=True, autoincrement=False),
        Column("run", BigInteger),
        Column("place", BigInteger),
        *(Column(column_name(number), _BYTES) for number in sorted(columns)),
    )


@dataclass(frozen=True)
class Statement:
    """SQL text for the driver itself, and the order of its parameters; None where they go by name."""

    text: str
    order: Sequence[str] | None

    @classmethod
    def of(cls, statement: Any, dialect: Dialect, **options: Any) -> Statement:
        """Let SQLAlchemy write a statement."""
        compiled = statement.compile(dialect=dialect, **options)
        return cls(str(compiled), compiled.positiontup if compiled.positional else None)

    def parameters(self, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> list[Any]:
        """Return the parameters of each row as the driver takes them; rows have their values in the order of names."""
        if self.order is None:
            return [dict(zip(names, row, strict=True)) for row in rows]
        if list(self.order) == list(names):
            return list(rows)
        places = [names.index(name) for name in self.order]
        return [tuple(row[place] for place in places) for row in rows]


def inserting(table: Table, names: Sequence[str], dialect: Dialect) -> Statement:
    """Return the statement that stores a row; where the id is there it keeps its place, and all else is replaced.

    Other databases than SQLite and PostgreSQL get a plain INSERT.
    """
    if dialect.name not in ("sqlite", "postgresql"):
        return Statement.of(table.insert(), dialect, column_keys=list(names))
    module: Any = sqlite if dialect.name == "sqlite" else postgresql
    insert = module.insert(table)
    replaced = [column.name for column in table.columns if column.name not in ("id", "place")]
    changes = {name: insert.excluded[name] if name in names else null() for name in replaced}
    upsert = insert.on_conflict_do_update(index_elements=["id"], set_=changes)
    return Statement.of(upsert, dialect, column_keys=list(names))


def looking_up(table: Table, columns: Iterable[int], dialect: Dialect) -> Statement:
    """Return the statement that reads one row: the run and the outputs."""
    wanted = [table.c[column_name(number)] for number in columns]
    return Statement.of(select(table.c.run, *wanted).where(table.c.id == bindparam("asked")), dialect)
