"""From what a user calls a storage to the storage."""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path
from typing import Any

from mlpipeline.dataflow.storage.base import Storage
from mlpipeline.dataflow.storage.folder import FolderStorage
from mlpipeline.errors import StorageError

_SQLITE_SUFFIXES = {".db", ".sqlite", ".sqlite3"}


def open_storage(where: Any, name: str, version: object | None, overwrite: bool = False) -> Storage:
    """Return the storage of a pipeline and version.

    Args:
        where: a folder; an SQLite file (one that is there, or a name that ends in .db, .sqlite or .sqlite3); a
            SQLAlchemy URL or Engine; a `sqlite3.Connection`; or a storage, for its place.
        name: of the pipeline.
        version: of the pipeline, or None. 1 and "1" are one version.
        overwrite: whether the first write replaces all that is stored of this name and version.
    Raises: StorageError: it is none of these; SQLAlchemy is needed and not installed.
    """
    if isinstance(where, Storage):
        return where.renamed(name, version, overwrite)
    if isinstance(where, sqlite3.Connection) or _is_engine(where) or (isinstance(where, str) and "://" in where):
        return _sql(where, name, version, overwrite)
    if isinstance(where, str | Path):
        path = Path(where).expanduser()
        if _is_sqlite(path):
            return _sql(path, name, version, overwrite)
        return FolderStorage(path, name, version, overwrite)
    raise StorageError(
        "storage: expected a folder, an SQLite file, a SQLAlchemy URL or Engine, or a sqlite3 connection, "
        f"but got {type(where).__name__}"
    )


def _sql(where: Any, name: str, version: object | None, overwrite: bool) -> Storage:
    try:
        from mlpipeline.dataflow.storage.database import open_database
        from mlpipeline.dataflow.storage.sql import SqlStorage
    except ModuleNotFoundError as error:
        if error.name != "sqlalchemy":
            raise
        raise StorageError('a database as storage needs SQLAlchemy: pip install "mlpipeline[sql]"') from None
    return SqlStorage(open_database(where), name, version, overwrite)


def _is_engine(where: Any) -> bool:
    # whoever has an Engine has imported SQLAlchemy
    sqlalchemy = sys.modules.get("sqlalchemy")
    return sqlalchemy is not None and isinstance(where, sqlalchemy.Engine)


def _is_sqlite(path: Path) -> bool:
    if path.is_dir():
        return False
    if not path.is_file():
        return path.suffix.lower() in _SQLITE_SUFFIXES
    with path.open("rb") as file:
        begin = file.read(16)
    if begin == b"SQLite format 3\0" or (not begin and path.suffix.lower() in _SQLITE_SUFFIXES):
        return True
    raise StorageError(f"storage: {path} is a file, but no SQLite database; expected a folder or a database")
