"""What is special in databases: whose connection it is, tables of others, what the tables hold, errors."""

import sqlite3
import sys
from contextlib import closing

import numpy as np
import pytest
from sqlalchemy import create_engine

from mlpipeline.dataflow.storage import Storage, open_storage
from mlpipeline.dataflow.storage.folder import FolderStorage
from mlpipeline.errors import StorageError

VALUES = np.arange(8.0).reshape(4, 2)


@pytest.fixture(params=["file", "memory"])
def lent(request, tmp_path):
    with closing(sqlite3.connect(tmp_path / "lent.db" if request.param == "file" else ":memory:")) as connection:
        yield connection


def rows_of(path, statement):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


def test_a_table_has_the_raw_bytes_of_each_row_and_one_index(tmp_path):
    path = tmp_path / "outputs.db"
    for version in (1, 2):
        with open_storage(path, "p", version) as storage:
            storage.write(["a", "b", "c", "d"], {"y": VALUES})
        table = f'"p-{version}"'
        assert rows_of(path, f"SELECT output_0 FROM {table} WHERE id = 'b'") == [(VALUES[1].tobytes(),)]
        assert len(rows_of(path, f"PRAGMA index_list({table})")) == 1
        (plan,) = rows_of(path, f"EXPLAIN QUERY PLAN SELECT run FROM {table} WHERE id = 'b'")
        assert "USING INDEX" in plan[3]


def test_integer_ids_are_the_keys_of_the_table_itself(tmp_path):
    with open_storage(tmp_path / "x.db", "p", 1) as storage:
        storage.write(range(4), {"y": VALUES})
    (plan,) = rows_of(tmp_path / "x.db", 'EXPLAIN QUERY PLAN SELECT run FROM "p-1" WHERE id = 2')
    assert "USING INTEGER PRIMARY KEY" in plan[3]


def by_column(cursor, row):
    return {column[0]: value for column, value in zip(cursor.description, row, strict=True)}


def test_the_callers_connection_stays_as_it_is(lent):
    lent.row_factory = by_column
    lent.create_function("regexp", 2, lambda pattern, text: 42)
    with open_storage(lent, "p", 1) as storage:
        storage.write(range(4), {"y": VALUES}, key="k")
        np.testing.assert_array_equal(storage.read([3, 1])["y"], VALUES[[3, 1]])
        np.testing.assert_array_equal(storage.read(3)["y"], VALUES[[3]])
        np.testing.assert_array_equal(storage.find("k", range(4))["y"], VALUES)
    assert lent.row_factory is by_column
    assert not lent.in_transaction
    assert lent.execute('SELECT count(*) AS n FROM "p-1"').fetchone() == {"n": 4}
    assert lent.execute("SELECT 'a' REGEXP 'b' AS found").fetchone() == {"found": 42}


def test_a_pending_transaction_in_memory_stays_pending():
    with closing(sqlite3.connect(":memory:")) as lent:
        lent.execute("CREATE TABLE own(x)")
        lent.execute("INSERT INTO own VALUES (1)")
        storage = open_storage(lent, "p", 1)
        storage.write(range(4), {"y": VALUES})
        storage.read()
        storage.read(2)
        with pytest.raises(StorageError):
            storage.write(["a"], {"y": VALUES[:1]})
        assert lent.in_transaction
        lent.rollback()
        assert lent.execute("SELECT count(*) FROM own").fetchone() == (0,)


def test_a_pending_transaction_on_a_file_is_an_error_at_once(tmp_path):
    with closing(sqlite3.connect(tmp_path / "x.db")) as lent:
        lent.execute("CREATE TABLE own(x)")
        lent.execute("INSERT INTO own VALUES (1)")
        storage = open_storage(lent, "p", 1)
        with pytest.raises(StorageError, match=r"commit\(\) it before storing"):
            storage.write(range(4), {"y": VALUES})
        lent.commit()
        storage.write(range(4), {"y": VALUES})


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_table_of_someone_else_is_left_alone(tmp_path, overwrite):
    path = tmp_path / "x.db"
    rows_of(path, "CREATE TABLE iris(id INTEGER PRIMARY KEY, sepal REAL)")
    with open_storage(path, "iris", None, overwrite=overwrite) as storage:
        with pytest.raises(StorageError, match="has a table 'iris' that is not a storage"):
            storage.write(range(4), {"y": VALUES})
        assert storage.runs() == []
    assert rows_of(path, "SELECT * FROM iris") == []


def test_an_engine_of_the_caller_is_used_and_stays_open(tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path}/x.db")
    with open_storage(engine, "p", 1) as storage:
        storage.write(range(4), {"y": VALUES})
    pool = engine.pool
    np.testing.assert_array_equal(open_storage(engine, "p", 1).read()["y"], VALUES)
    assert engine.pool is pool
    engine.dispose()


def test_a_database_without_upsert_replaces_rows_too(tmp_path):
    engine = create_engine(f"sqlite:///{tmp_path}/x.db")
    engine.dialect.name = "another"
    storage = open_storage(engine, "p", 1)
    storage.write(range(4), {"y": VALUES})
    storage.write([1, 7], {"y": VALUES[:2] + 50})
    np.testing.assert_array_equal(storage.read([7, 1, 0])["y"], [[52, 53], [50, 51], [0, 1]])
    assert len(storage) == 5
    engine.dispose()


@pytest.mark.parametrize("name", ["x.db", "x.SQLITE", "deep/er/x.sqlite3"])
def test_a_path_that_is_named_like_a_database_becomes_one(tmp_path, name):
    with open_storage(str(tmp_path / name), "p", 1) as storage:
        storage.write(range(4), {"y": VALUES})
    assert (tmp_path / name).read_bytes()[:15] == b"SQLite format 3"
    (tmp_path / name).rename(tmp_path / "plain")
    with open_storage(tmp_path / "plain", "p", 1) as storage:
        np.testing.assert_array_equal(storage.read()["y"], VALUES)


def test_a_folder_stays_a_folder_and_a_storage_a_storage(tmp_path):
    (tmp_path / "x.db").mkdir()
    storage = open_storage(tmp_path / "x.db", "p", 1)
    assert isinstance(storage, FolderStorage)
    assert isinstance(storage, Storage)
    assert open_storage(storage, "p", "1") is storage


@pytest.mark.parametrize(
    ("where", "message"),
    [
        (7, "expected a folder, an SQLite file, .* but got int"),
        (__file__, "is a file, but no SQLite database"),
        ("nothing://x", "knows no such database"),
        ("postgresql+psycopg2://u:secret@h/d", "pip install psycopg2"),
        ("://secret", "expected a URL like"),
    ],
)
def test_what_is_no_storage_is_an_error(where, message):
    with pytest.raises(StorageError, match=message) as caught:
        open_storage(where, "p", 1)
    assert "secret" not in str(caught.value)


def test_a_database_that_cannot_be_reached_is_an_error_without_the_password():
    storage = open_storage("postgresql+psycopg://user:secret@127.0.0.1:1/none", "p", 1)
    for use in (storage.read, lambda: storage.write([1], {"y": [1]}), lambda: storage.read(1)):
        with pytest.raises(StorageError, match=r"user:\*\*\*@127.0.0.1:1/none refuses") as caught:
            use()
        assert "secret" not in str(caught.value)


def test_a_file_that_was_deleted_while_open_is_said_to_be_gone(tmp_path):
    with open_storage(tmp_path / "x.db", "p", 1) as storage:
        storage.write(range(4), {"y": VALUES})
        (tmp_path / "x.db").unlink()
        with pytest.raises(StorageError, match=r"the file .*x.db is gone.*open the storage again"):
            storage.write(range(4), {"y": VALUES})


def test_writes_that_were_replaced_leave_the_catalog(tmp_path):
    with open_storage(tmp_path / "x.db", "p", 1) as storage, open_storage(tmp_path / "x.db", "p", 1) as other:
        storage.write([7, 8], {"y": VALUES[:2], "only": VALUES[:2]}, key="wide")
        storage.write([8], {"y": VALUES[:1]}, key="stays")
        for number in range(200):
            storage.write([7], {"y": VALUES[:1] + number}, key=str(number))
        keys = [run.key for run in storage.runs()]
        assert keys == [run.key for run in other.runs()]
        assert keys[:2] == ["wide", "stays"]  # the column of "only" is told by the first alone
        assert len(keys) < 70
        storage.write([9], {"new": VALUES[:1], "only": VALUES[1:2]})
        assert other.read([9], "only")["only"].tolist() == [[2, 3]]
        assert other.read([7, 8])["y"].tolist() == [[199, 200], [0, 1]]


def test_a_damaged_catalog_is_an_error(tmp_path):
    path = tmp_path / "x.db"
    with open_storage(path, "p", 1) as storage:
        storage.write(range(4), {"y": VALUES})
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("""UPDATE "mlpipeline~runs" SET outputs = '[{"name": "y", "dtype": "O"}]'""")
    with open_storage(path, "p", 1) as storage, pytest.raises(StorageError, match="p-1, run 1, is damaged"):
        storage.read()


def test_rows_of_another_length_are_an_error(tmp_path):
    path = tmp_path / "x.db"
    with open_storage(path, "p", 1) as storage:
        storage.write(range(4), {"y": VALUES})
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("""UPDATE "p-1" SET output_0 = x'00'""")
        for rows in (None, 1, [1, 2]):
            with pytest.raises(StorageError, match="the database is damaged"):
                storage.read(rows)


def test_without_sqlalchemy_the_extra_is_named(monkeypatch, tmp_path):
    for module in ("database", "sql", "sql_tables"):
        monkeypatch.delitem(sys.modules, f"mlpipeline.dataflow.storage.{module}", raising=False)
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    with pytest.raises(StorageError, match=r'pip install "mlpipeline\[sql\]"'):
        open_storage(tmp_path / "x.db", "p", 1)
