"""Connections to a database: who opens them, how a transaction begins, how their errors are told."""

from __future__ import annotations

import sqlite3
import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from threading import RLock
from typing import Any
from zlib import crc32

from sqlalchemy import Connection, Engine, create_engine, event, func, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import NoSuchModuleError, SQLAlchemyError
from sqlalchemy.pool import StaticPool

from mlpipeline.errors import StorageError

_BUSY_SECONDS = 60
_PAGE_BYTES = 16384  # of a new SQLite file: rows of some hundred bytes are stored in two thirds of the time
_SAVEPOINT = "mlpipeline_storage"


class Database:
    """An engine, with the transactions that a storage needs.

    Args:
        engine: any SQLAlchemy engine.
        is_own: whether to let its connections go at the end.
        lent: the caller's own connection where the engine has no other.
        watched: the caller's connection to the same file, whose open transaction would block ours.
        place: a path or URL that opens it again; None where there is none.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        is_own: bool = True,
        lent: LentConnection | None = None,
        watched: sqlite3.Connection | None = None,
        place: str | Path | None = None,
    ) -> None:
        self.engine = engine
        self.is_sqlite = engine.dialect.name == "sqlite"
        self.is_postgres = engine.dialect.name == "postgresql"
        # connections that nobody closes would warn when they are collected
        self._dispose = weakref.finalize(self, engine.dispose) if is_own else None
        self._lent = lent
        self._watched = watched
        self._place = place
        has_one_connection = isinstance(engine.pool, StaticPool)
        self._turn: AbstractContextManager[Any] = RLock() if has_one_connection else nullcontext()

    @contextmanager
    def writing(self, table: str) -> Iterator[Connection]:
        """Give a connection in a transaction that no other writer to this table shares; committed at the end.

        Raises: StorageError: the database refuses something. Nothing is written then.
        """
        if self._watched is not None and self._watched.in_transaction:
            raise StorageError("the sqlite3 connection has changes that are not committed; commit() it before storing")
        with self._told(), self._turn, self.engine.connect() as connection:
            if self.is_postgres:
                connection.execution_options(isolation_level="READ COMMITTED")
                connection.execute(select(func.pg_advisory_xact_lock(crc32(table.encode()))))
            elif self.is_sqlite:
                self._begin(connection, "BEGIN IMMEDIATE")
            yield connection
            connection.commit()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection in which all statements see the database at one moment."""
        with self._told(), self._turn, self.engine.connect() as connection:
            if self.is_postgres:
                connection.execution_options(isolation_level="REPEATABLE READ")
            elif self.is_sqlite:
                self._begin(connection, "BEGIN")
            yield connection

    def fetch_one(self, statement: str, parameters: Any) -> Any:
        """Return the first row of a query, with as little around it as can be."""
        with self._told(), self._turn:
            connection = self.engine.raw_connection()
            try:
                cursor = connection.cursor()
                cursor.execute(statement, parameters)
                row = cursor.fetchone()
                cursor.close()
                return row
            finally:
                connection.close()

    @property
    def place(self) -> str | Path:
        """What opens the same database in another process.

        Raises: StorageError: there is nothing of the kind.
        """
        if self._place is None:
            raise StorageError(
                "a storage in an open connection, in an Engine or in memory cannot be pickled or copied; "
                "open it from a path or a URL instead"
            )
        return self._place

    def close(self) -> None:
        """Close the connections that were opened here; a caller's stay open."""
        if self._dispose is not None:
            self.engine.dispose()

    def _begin(self, connection: Connection, statement: str) -> None:
        if self._lent is not None:
            self._lent.begin()
        elif not getattr(connection.connection.dbapi_connection, "in_transaction", False):
            connection.exec_driver_sql(statement)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, self.engine.dialect.loaded_dbapi.Error) as error:
            reason = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
            file = self.engine.url.database if self.is_sqlite else None
            if file and not Path(file).exists():
                raise StorageError(
                    f"the file {file} is gone: it was deleted or moved while it was open; open the storage again"
                ) from error
            url = self.engine.url.render_as_string(hide_password=True)
            raise StorageError(f"the database {url} refuses: {reason}") from error


class LentConnection:
    """A caller's SQLite connection, in which our transactions are savepoints: what is pending stays pending."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._is_open = False

    def begin(self) -> None:
        """Open the savepoint."""
        self.cursor().execute(f"SAVEPOINT {_SAVEPOINT}")
        self._is_open = True

    def commit(self) -> None:
        """Keep what was done since `begin`; the caller's own transaction stays open."""
        if self._is_open:
            self._is_open = False
            self.cursor().execute(f"RELEASE {_SAVEPOINT}")

    def rollback(self) -> None:
        """Undo what was done since `begin`."""
        if self._is_open:
            self.cursor().execute(f"ROLLBACK TO {_SAVEPOINT}")
            self.commit()

    def cursor(self) -> sqlite3.Cursor:
        """Return a cursor whose rows are tuples, whatever the caller's rows are."""
        cursor = self._connection.cursor()
        cursor.row_factory = None
        return cursor

    def close(self) -> None:
        """Do nothing: it is the caller's."""

    def create_function(self, *arguments: Any, **options: Any) -> None:
        """Do nothing: SQLAlchemy would give the caller's connection a function."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def open_database(where: Any) -> Database:
    """Return the database that a URL, a path, an Engine or a `sqlite3.Connection` leads to.

    A connection to a file is only asked for the file; connections of our own are opened to it, so that threads
    can be served and the caller's stays as it is.

    Raises: StorageError: the URL cannot be read; its driver is not installed.
    """
    if isinstance(where, Engine):
        return Database(where, is_own=False)
    if isinstance(where, Path):
        return Database(_file_engine(where), place=where.absolute())
    if isinstance(where, sqlite3.Connection):
        path = _file_of(where)
        return Database(_file_engine(Path(path)), watched=where) if path else _lent_database(where)
    try:
        url = make_url(where)
        if url.get_backend_name() == "sqlite" and url.get_driver_name() == "pysqlite":
            if url.database in (None, "", ":memory:"):
                return _lent_database(sqlite3.connect(":memory:", check_same_thread=False))
            if not url.query:
                file = Path(str(url.database)).absolute()
                return Database(_file_engine(file), place=file)
        return Database(create_engine(url), place=where)
    except NoSuchModuleError as error:
        raise StorageError(f"storage: SQLAlchemy knows no such database: {error}") from None
    except ModuleNotFoundError as error:
        raise StorageError(f"storage: the driver of this database is missing: pip install {error.name}") from None
    except SQLAlchemyError:
        # the text may hold a password, so it is not repeated
        raise StorageError("storage: expected a URL like sqlite:///outputs.db or postgresql://user@host/name") from None


def _file_of(connection: sqlite3.Connection) -> str:
    cursor = connection.cursor()
    cursor.row_factory = None
    files = {row[1]: row[2] for row in cursor.execute("PRAGMA database_list")}
    path = files["main"]
    return path.decode() if isinstance(path, bytes) else path or ""


def _file_engine(path: Path) -> Engine:
    path.absolute().parent.mkdir(parents=True, exist_ok=True)
    url = make_url("sqlite+pysqlite://").set(database=str(path.absolute()))
    engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def set_page_size(connection: sqlite3.Connection, record: object) -> None:
        # without an effect on a file that has content
        connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")

    return engine


def _lent_database(connection: sqlite3.Connection) -> Database:
    lent = LentConnection(connection)
    engine = create_engine("sqlite+pysqlite://", creator=lambda: lent, poolclass=StaticPool)
    return Database(engine, lent=lent)
