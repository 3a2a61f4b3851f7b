"""Queries: run on sqlite3 or through SQLAlchemy, their rows fetched some at a time."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlpipeline.errors import DataError, did_you_mean

QUERY = re.compile(r"(\s|--[^\n]*\n|/\*.*?\*/|\()*(select|with|values)\b\s*\S", re.IGNORECASE | re.DOTALL)
TABLES = (
    "SELECT name FROM (SELECT * FROM sqlite_master UNION ALL SELECT * FROM sqlite_temp_master) WHERE type != 'index'"
)
CONNECTIONS = "a sqlite3.Connection, or a SQLAlchemy URL like 'sqlite:///data.db', engine or connection"


@dataclass(frozen=True)
class Rows:
    """The rows of a query that runs.

    Args:
        names: of the columns.
        fetch: gives the next rows, at most so many.
    """

    names: list[str]
    fetch: Callable[[int], Sequence[Sequence[Any]]]


def opened(connection: Any, query: Any) -> AbstractContextManager[Rows]:
    """Run a query.

    Args:
        connection: sqlite3.Connection, or a SQLAlchemy URL, engine or connection.
        query: a SELECT, or the name of a table.
    Raises: DataError: the database or the query does not work.
    """
    if isinstance(connection, sqlite3.Connection):
        return _opened_sqlite(connection, query)
    return _opened_sqlalchemy(connection, query)


@contextmanager
def _opened_sqlite(connection: sqlite3.Connection, query: Any) -> Iterator[Rows]:
    if not isinstance(query, str):
        raise DataError(f"expected a query as text for a sqlite3 connection, but got {type(query).__name__}")
    with _told(query, sqlite3.Error):
        tables = connection.execute(TABLES)
        tables.row_factory = None
        statement = as_statement(query, {name: _quoted(name) for (name,) in tables.fetchall()})
        cursor = connection.cursor()
        cursor.row_factory = None  # the caller's may give rows that have no positions
        cursor.execute(statement)

    def fetch(count: int) -> Sequence[Sequence[Any]]:
        with _told(query, sqlite3.Error):
            return cursor.fetchmany(count)

    try:
        yield Rows(_names(query, [each[0] for each in cursor.description or ()]), fetch)
    finally:
        cursor.close()


@contextmanager
def _opened_sqlalchemy(connection: Any, query: Any) -> Iterator[Rows]:
    try:
        import sqlalchemy as sa
    except ImportError:
        raise DataError(
            f"expected {CONNECTIONS}, but got {type(connection).__name__}, and SQLAlchemy is not installed: "
            'pip install "mlpipeline[sql]"'
        ) from None
    with _connected(sa, connection) as connected:
        options = {"stream_results": True, "max_row_buffer": 64}
        with _told(query, sa.exc.SQLAlchemyError):
            if isinstance(query, str):
                statement = as_statement(query, _tables(sa, connected, query))
                result = connected.exec_driver_sql(statement, execution_options=options | {"no_parameters": True})
            else:
                result = connected.execute(query, execution_options=options)
            names = list(result.keys())

        def fetch(count: int) -> Sequence[Sequence[Any]]:
            with _told(query, sa.exc.SQLAlchemyError):
                rows: Sequence[Sequence[Any]] = result.fetchmany(count)
                return rows

        with result:
            yield Rows(_names(query, names), fetch)


@contextmanager
def _connected(sa: Any, connection: Any) -> Iterator[Any]:
    """Give a connection to the database; what was opened here is closed, and the caller's left as it was."""
    if isinstance(connection, sa.Connection):
        began_here = not connection.in_transaction()
        try:
            yield connection
        finally:
            if began_here and not connection.closed:
                connection.rollback()
        return
    if isinstance(connection, sa.Engine):
        with _told_database(sa, connection.url):
            connected = connection.connect()
        with connected:
            yield connected
        return
    engine = _engine(sa, connection)
    try:
        with _told_database(sa, engine.url):
            connected = engine.connect()
        with connected:
            yield connected
    finally:
        engine.dispose()


def _engine(sa: Any, url: Any) -> Any:
    if not isinstance(url, str | sa.URL):
        raise DataError(f"expected {CONNECTIONS}, but got {type(url).__name__}")
    try:
        url = sa.make_url(url)
        file = url.database if url.get_backend_name() == "sqlite" else None
        if file and file != ":memory:" and not file.startswith("file:") and not Path(file).is_file():
            raise DataError(f"{file} is not there: expected the path of an SQLite database")  # SQLite would make it
        return sa.create_engine(url)
    except sa.exc.ArgumentError as error:
        raise DataError(f"expected {CONNECTIONS}, but: {error}") from None
    except ImportError as error:
        raise DataError(f"{url}: the driver of the database is not installed: {error}") from None


def as_statement(query: str, tables: Mapping[str, str]) -> str:
    """Return a SELECT as it is, and the name of a table as a SELECT of all of it.

    Args:
        query: either of them.
        tables: the tables by name, each as it is written in a statement.
    Raises: DataError: it is neither.
    """
    if query in tables:
        return f"SELECT * FROM {tables[query]}"
    if QUERY.match(query):
        return query
    raise DataError(
        f"expected a SELECT or the name of a table, but got {query!r}{did_you_mean(query, tables)}; "
        f"there are the tables {', '.join(map(repr, sorted(tables))) or '(none)'}"
    )


def _tables(sa: Any, connected: Any, query: str) -> dict[str, str]:
    """Return tables and views by name, quoted; those of another schema too, where the query names one."""
    inspector = sa.inspect(connected)
    quoted = connected.dialect.identifier_preparer.quote_identifier
    tables = {name: quoted(name) for name in [*inspector.get_table_names(), *inspector.get_view_names()]}
    schema, _, table = query.rpartition(".")
    if schema and table and schema in inspector.get_schema_names():
        inside = [*inspector.get_table_names(schema), *inspector.get_view_names(schema)]
        tables |= {f"{schema}.{name}": f"{quoted(schema)}.{quoted(name)}" for name in inside}
    return tables


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _names(query: Any, names: Sequence[str]) -> list[str]:
    if not names:
        raise DataError(f"{_shortened(query)}: expected a query that finds rows, but it has no columns")
    doubled = sorted({name for name in names if list(names).count(name) > 1})
    if doubled:
        raise DataError(
            f"{_shortened(query)}: expected a name of its own for each column, but several are called {doubled[0]!r}; "
            "rename one with AS"
        )
    return list(names)


@contextmanager
def _told(query: Any, kind: type[Exception]) -> Iterator[None]:
    try:
        yield
    except kind as error:
        raise DataError(f"{_shortened(query)}: the query failed: {getattr(error, 'orig', None) or error}") from None


@contextmanager
def _told_database(sa: Any, url: Any) -> Iterator[None]:
    try:
        yield
    except sa.exc.SQLAlchemyError as error:
        where = url.render_as_string(hide_password=True)
        raise DataError(f"{where}: the database cannot be reached: {getattr(error, 'orig', None) or error}") from None


def _shortened(query: Any) -> str:
    text = " ".join(str(query).split())
    return text if len(text) <= 200 else f"{text[:197]}..."
