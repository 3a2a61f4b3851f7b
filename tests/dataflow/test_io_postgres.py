"""Queries of a real PostgreSQL server: its types, its schemas, its cursors."""

import tracemalloc

import numpy as np
import pytest
import sqlalchemy as sa

from mlpipeline.dataflow.io import SQLData, SQLGenerator
from mlpipeline.dataflow.io.source import BLOCK_BYTES
from mlpipeline.errors import DataError

TABLE = """
CREATE SCHEMA "raw data";
CREATE TABLE "raw data"."My Table" AS SELECT
    i AS n, nullif(i, 900) AS gap, i / 4.0 AS exact, mod(i, 2) = 0 AS b, nullif(i, 77) > 5 AS bgap, 'w' || i AS word,
    DATE '2020-01-01' + i AS day, TIMESTAMPTZ '2020-01-01 12:00+02' AS moment, ARRAY[i, i] AS several
FROM generate_series(0, 999) AS g(i)
"""
NAME = "raw data.My Table"


@pytest.fixture
def engine(postgres_url):
    made = sa.create_engine(postgres_url)
    with made.begin() as connected:
        connected.exec_driver_sql('DROP SCHEMA IF EXISTS "raw data" CASCADE')
        connected.exec_driver_sql(TABLE)
    yield made
    made.dispose()


def test_the_types_of_the_server_become_dtypes(engine):
    data = SQLData(engine, NAME)
    assert {name: str(array.dtype) for name, array in data.items()} == {
        "n": "int64", "gap": "float64", "exact": "float64", "b": "bool", "bgap": "float64", "word": "object",
        "day": "datetime64[ns]", "moment": "datetime64[ns]", "several": "object",
    }  # fmt: skip
    assert data["moment"][0] == np.datetime64("2020-01-01T10:00")
    assert data["several"][3] == [3, 3]


def test_the_batches_of_a_query_are_the_query(engine):
    query = "SELECT gap, bgap, word FROM \"raw data\".\"My Table\" WHERE word LIKE 'w%' AND word != ':x' ORDER BY n"
    whole, generator = SQLData(engine, query), SQLGenerator(engine, query, batch_size=300)
    batches = list(generator)
    assert [len(batch["gap"]) for batch in batches] == [300, 300, 300, 100]
    for name, expected in whole.items():
        assert {batch[name].dtype for batch in batches} == {expected.dtype}
        np.testing.assert_array_equal(np.concatenate([batch[name] for batch in batches]), expected)


def test_rows_stay_on_the_server_until_they_are_asked_for(engine):
    query = "SELECT i, repeat('x', 2000) || i AS word FROM generate_series(1, 5000) AS g(i)"
    with engine.connect() as connected:
        batches = iter(SQLGenerator(connected, query))
        next(batches)
        assert connected.scalar(sa.text("SELECT count(*) FROM pg_cursors")) == 1
        batches.close()
    tracemalloc.start()
    assert sum(len(batch["i"]) for batch in SQLGenerator(engine, query)) == 5_000
    assert tracemalloc.get_traced_memory()[1] < 6 * BLOCK_BYTES
    tracemalloc.stop()


def test_a_table_that_is_not_there_is_an_error_that_names_the_nearest(engine):
    with pytest.raises(DataError, match=r"did you mean raw data\.My Table"):
        SQLData(engine, "raw data.My Tabel")
    with pytest.raises(DataError, match='the query failed: column "nothing" does not exist'):
        SQLData(engine, 'SELECT nothing FROM "raw data"."My Table"')
