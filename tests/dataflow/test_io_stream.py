"""What comes in batches is what comes as a whole."""

import sqlite3
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlpipeline.dataflow.io import CSVData, CSVGenerator, PandasData, PandasGenerator, SQLData, SQLGenerator

MISSING = st.none()
NUMBERS = st.floats(allow_nan=False, width=64)
COLUMNS = {
    "number": MISSING | st.integers(-(2**70), 2**70),
    "count": st.integers(0, 2**64 - 1),
    "real": MISSING | NUMBERS | st.integers(-5, 5),
    "truth": MISSING | st.booleans(),
    "text": MISSING | st.text(st.characters(codec="utf-8", exclude_categories=["C"]), min_size=1, max_size=5),
    "mixture": MISSING | st.integers(-9, 9) | st.booleans() | st.just("x"),
}
ROWS = st.lists(st.fixed_dictionaries(COLUMNS), min_size=1, max_size=40)
FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def assert_stream_is_whole(generator, whole):
    batches = list(generator)
    assert len(batches) == len(generator)
    assert all(len(each) == generator.batch_size for batch in batches[:-1] for each in batch.values())
    for name, expected in whole.items():
        assert {batch[name].dtype for batch in batches} == {expected.dtype}
        np.testing.assert_array_equal(np.concatenate([batch[name] for batch in batches]), expected)


@FEW
@given(rows=ROWS, repeats=st.sampled_from([1, 10]), batch_size=st.integers(1, 50))
def test_the_batches_of_a_csv_file_are_the_file(rows, repeats, batch_size):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.csv"
        pd.DataFrame(sorted(rows * repeats, key=str), dtype=object).to_csv(path, index=False)
        assert_stream_is_whole(CSVGenerator(path, batch_size), CSVData(path))


@FEW
@given(rows=ROWS, batch_size=st.integers(1, 50))
def test_the_batches_of_a_frame_are_the_frame(rows, batch_size):
    frame = pd.DataFrame(rows)
    assert_stream_is_whole(PandasGenerator(frame, batch_size), PandasData(frame))


@FEW
@given(rows=ROWS, batch_size=st.integers(1, 50))
def test_the_batches_of_a_query_are_the_query(rows, batch_size):
    kept = ["real", "truth", "text", "mixture"]  # the integers of SQLite have 64 bits
    with sqlite3.connect(":memory:") as connection:
        connection.execute("CREATE TABLE data (real, truth, text, mixture)")
        connection.executemany(
            "INSERT INTO data VALUES (?, ?, ?, ?)", [[row[name] for name in kept] for row in rows * 4]
        )
        assert_stream_is_whole(SQLGenerator(connection, "data", batch_size), SQLData(connection, "data"))
    connection.close()


@FEW
@given(values=st.lists(MISSING | NUMBERS, min_size=1))
def test_numbers_come_back_from_a_csv_file_as_they_went(values):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data.csv"
        pd.DataFrame({"i": range(len(values)), "x": pd.Series(values, dtype="float64")}).to_csv(path, index=False)
        np.testing.assert_array_equal(CSVData(path)["x"], np.array(values, float))
