import datetime
import sqlite3
import sys
import tracemalloc

import numpy as np
import pytest
import sqlalchemy as sa

from mlpipeline.dataflow.io import SQLData, SQLGenerator
from mlpipeline.dataflow.io.source import BLOCK_BYTES
from mlpipeline.errors import DataError

TABLE = 'a "table" of rows'


@pytest.fixture
def path(tmp_path):
    connection = sqlite3.connect(tmp_path / "data.db")
    quoted = TABLE.replace('"', '""')
    connection.execute(f'CREATE TABLE "{quoted}" (n INTEGER, gap INTEGER, x REAL, word TEXT)')
    rows = [(i, None if i == 90 else i, i / 4, None if i == 3 else f"w{i}") for i in range(100)]
    connection.executemany(f'INSERT INTO "{quoted}" VALUES (?, ?, ?, ?)', rows)
    connection.commit()
    connection.close()
    return tmp_path / "data.db"


@pytest.fixture
def connection(path):
    opened = sqlite3.connect(path)
    yield opened
    opened.close()


def ways_in(path):
    """Yield each kind of connection, and close it."""
    plain = sqlite3.connect(path)
    engine = sa.create_engine(f"sqlite:///{path}")
    yield plain
    yield f"sqlite:///{path}"
    yield sa.make_url(f"sqlite:///{path}")
    yield engine
    with engine.connect() as connected:
        yield connected
    plain.close()
    engine.dispose()


def test_every_kind_of_connection_gives_the_same_arrays(path):
    for way in ways_in(path):
        data = SQLData(way, TABLE)
        assert {name: str(array.dtype) for name, array in data.items()} == {
            "n": "int64", "gap": "float64", "x": "float64", "word": "object",
        }  # fmt: skip
        np.testing.assert_array_equal(data["x"], np.arange(100) / 4)
        assert np.flatnonzero(np.isnan(data["gap"])) == [90]
        assert list(data["word"][:4]) == ["w0", "w1", "w2", None]


def test_every_kind_of_connection_gives_batches_of_one_dtype(path):
    for way in ways_in(path):
        generator = SQLGenerator(way, TABLE, batch_size=30)
        batches = list(generator)
        assert [len(batch["n"]) for batch in batches] == [30, 30, 30, 10]
        assert {batch["gap"].dtype for batch in batches} == {np.dtype("float64")}
        assert [list(batch["n"]) for batch in generator] == [list(batch["n"]) for batch in batches]
        assert len(generator) == 4


def test_a_query_runs_once_for_data_and_once_more_for_batches(connection):
    ran, query = [], "SELECT 1 AS a"
    connection.set_trace_callback(ran.append)
    SQLData(connection, query)
    assert ran.count(query) == 1
    generator = SQLGenerator(connection, query)
    assert ran.count(query) == 2
    list(generator)
    assert ran.count(query) == 3


def test_a_query_chooses_rows_and_names_columns(connection):
    query = f"""-- the last ones
        SELECT n * 2 AS twice, word FROM "{TABLE.replace('"', '""')}" WHERE word LIKE 'w9%' ORDER BY n DESC"""
    data = SQLData(connection, query, exclude_cols=["word"], nrows=2)
    assert {name: list(array) for name, array in data.items()} == {"twice": [198, 196]}


def test_a_colon_and_a_percent_sign_in_a_query_mean_themselves(path):
    data = SQLData(f"sqlite:///{path}", "SELECT ':n' AS colon, '%s' AS percent")
    assert (data["colon"][0], data["percent"][0]) == (":n", "%s")


def test_a_select_of_sqlalchemy_binds_its_values(path):
    query = sa.select(sa.column("word")).select_from(sa.table(TABLE)).where(sa.column("n") == sa.bindparam("n", 7))
    assert list(SQLData(f"sqlite:///{path}", query)["word"]) == ["w7"]


def test_dates_and_blobs_come_as_moments_and_objects(tmp_path):
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'dates.db'}")
    table = sa.Table("t", sa.MetaData(), sa.Column("day", sa.Date), sa.Column("raw", sa.LargeBinary))
    table.create(engine)
    with engine.begin() as connected:
        connected.execute(table.insert(), [{"day": datetime.date(2020, 1, 2), "raw": b"a"}, {"day": None, "raw": b""}])
    data = SQLData(engine, sa.select(table))
    engine.dispose()
    np.testing.assert_array_equal(data["day"], np.array(["2020-01-02", "NaT"], "datetime64[ns]"))
    assert list(data["raw"]) == [b"a", b""]


def test_a_query_that_finds_nothing_gives_empty_arrays(connection):
    assert {name: len(array) for name, array in SQLData(connection, "SELECT 1 AS a WHERE 0").items()} == {"a": 0}
    assert list(SQLGenerator(connection, "SELECT 1 AS a WHERE 0")) == []


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("a 'table' of rows", "expected a SELECT or the name of a table.*did you mean a"),
        ("DROP TABLE x", "expected a SELECT or the name of a table"),
        ("SELECT a FROM nowhere", "SELECT a FROM nowhere: the query failed: no such table: nowhere"),
        ("SELECT 1 AS a, 2 AS a", "several are called 'a'; rename one with AS"),
    ],
)
def test_a_query_that_cannot_work_is_an_error_that_shows_it(path, query, message):
    for way in ways_in(path):
        with pytest.raises(DataError, match=message):
            SQLData(way, query)


def test_a_database_that_is_not_there_is_not_made(tmp_path):
    with pytest.raises(DataError, match=r"none\.db is not there"):
        SQLData(f"sqlite:///{tmp_path / 'none.db'}", "t")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("connection", ["data.db", 3, None, "nosuch://host/data"])
def test_what_is_no_connection_is_an_error_that_lists_what_is(connection):
    with pytest.raises(DataError, match=r"expected a sqlite3\.Connection, or a SQLAlchemy URL"):
        SQLData(connection, "t")


def test_a_password_is_not_shown():
    pytest.importorskip("psycopg")
    with pytest.raises(DataError, match=r"user:\*\*\*@localhost") as caught:
        SQLData("postgresql+psycopg://user:hidden@localhost:1/data", "t")
    assert "hidden" not in str(caught.value)


def test_a_closed_connection_is_an_error(connection):
    connection.close()
    with pytest.raises(DataError, match="closed database"):
        SQLData(connection, TABLE)


def test_sqlite_works_without_sqlalchemy(connection, monkeypatch):
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    assert len(SQLData(connection, TABLE)["n"]) == 100
    with pytest.raises(DataError, match=r'pip install "mlpipeline\[sql\]"'):
        SQLData("sqlite://", TABLE)


def test_a_row_factory_and_a_transaction_of_the_caller_stay_as_they_are(connection):
    connection.row_factory = lambda cursor, row: {"row": row}
    connection.execute("CREATE TEMP TABLE mine (a)")
    connection.execute("INSERT INTO mine VALUES (1)")
    assert list(SQLData(connection, "mine")["a"]) == [1]
    assert connection.in_transaction
    assert connection.execute("SELECT 1").fetchone() == {"row": (1,)}


def test_a_transaction_on_a_connection_of_sqlalchemy_stays_open(path):
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.connect() as connected:
        SQLData(connected, TABLE)
        assert not connected.in_transaction()
        with connected.begin():
            connected.exec_driver_sql("CREATE TABLE mine AS SELECT 1 AS a")
            assert list(SQLData(connected, "mine")["a"]) == [1]
            assert connected.in_transaction()
    engine.dispose()


def test_memory_is_bounded_by_the_batch(tmp_path):
    connection = sqlite3.connect(tmp_path / "big.db")
    connection.execute("CREATE TABLE big (a, word)")
    connection.executemany("INSERT INTO big VALUES (?, ?)", ((i, f"{i} " + "text " * 400) for i in range(5_000)))
    for way in (connection, f"sqlite:///{tmp_path / 'big.db'}"):
        connection.commit()
        SQLData(way, "SELECT 1 AS a")  # what is loaded once is not what is measured
        tracemalloc.start()
        assert sum(len(batch["a"]) for batch in SQLGenerator(way, "big", batch_size=100)) == 5_000
        assert tracemalloc.get_traced_memory()[1] < 6 * BLOCK_BYTES
        tracemalloc.stop()
    connection.close()
