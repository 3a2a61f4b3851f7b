import sqlite3

import numpy as np
import pandas as pd
import pytest

from mlpipeline.dataflow.io import CSVData, PandasData, SQLData
from mlpipeline.dataflow.io.sources import from_csv, from_dataframe, from_sql
from mlpipeline.dataflow.layer import Lambda
from mlpipeline.errors import DataError

FRAME = pd.DataFrame({"x": [0.5, 1.5, 2.5], "n": [1, 2, 3], "word": ["a", "b", None], "b": [True, False, True]})
FRAME["day"] = pd.to_datetime(["2020-01-01", "2020-01-02", "2020-01-03"])


@pytest.fixture
def ways(tmp_path):
    """For each kind of source the function that makes inputs, its arguments, and the data."""
    path, connection = tmp_path / "data.csv", sqlite3.connect(tmp_path / "data.db")
    frame = FRAME.drop(columns=["day", "b"])
    frame.to_csv(path, index=False)
    frame.to_sql("data", connection, index=False)
    yield [
        (from_dataframe, (frame,), PandasData(frame)),
        (from_csv, (path,), CSVData(path)),
        (from_sql, (connection, "data"), SQLData(connection, "data")),
    ]
    connection.close()


def test_there_is_an_input_for_each_column_in_their_order(ways):
    for make, arguments, _ in ways:
        inputs = make(*arguments, exclude_cols=["n"])
        assert [(key, node.name, node.spec.shape) for key, node in inputs.items()] == [
            ("x", "x", ()),
            ("word", "word", ()),
        ]
        assert not inputs["x"].has_value


def test_a_dtype_is_promised_where_further_data_keeps_it():
    dtypes = {name: node.spec.dtype for name, node in from_dataframe(FRAME).items()}
    assert dtypes == {
        "x": np.dtype("float64"), "n": None, "word": None, "b": None, "day": np.dtype("datetime64[ns]"),
    }  # fmt: skip


def test_inputs_take_the_data_of_their_source(ways):
    for make, arguments, data in ways:
        for name, node in make(*arguments).items():
            np.testing.assert_array_equal(node.checked(data[name]), data[name])


def test_inputs_made_from_the_first_rows_take_what_comes_later(tmp_path):
    path = tmp_path / "late.csv"
    path.write_text("a,b,c\n1,1.5,\n,x,x\n")
    inputs = from_csv(path, nrows=1)
    for name, values in CSVData(path).items():
        assert inputs[name].checked(values) is values


def test_nrows_bounds_what_is_read(tmp_path):
    path = tmp_path / "broken.csv"
    path.write_text("a,b\n" + "1,2\n" * 100_000 + "1,2,3\n")
    assert list(from_csv(path, nrows=5)) == ["a", "b"]
    with pytest.raises(DataError, match="line 100002"):
        from_csv(path)


def test_eager_inputs_hold_their_rows_so_that_layers_compute_at_once(ways):
    for make, arguments, data in ways:
        inputs = make(*arguments, eager=True, nrows=2)
        doubled = Lambda(lambda x, n: x * 2 + n)([inputs["x"], inputs["n"]], "doubled")
        np.testing.assert_array_equal(doubled.value, data["x"][:2] * 2 + data["n"][:2])
        assert list(inputs["word"].value) == ["a", "b"]


def test_an_unknown_column_is_an_error(ways):
    for make, arguments, _ in ways:
        with pytest.raises(DataError, match="did you mean word"):
            make(*arguments, exclude_cols=["words"])


def test_arguments_of_read_csv_are_passed_on(tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("1;2,5\n")
    inputs = from_csv(path, sep=";", decimal=",", header=None, eager=True)
    assert {name: list(node.value) for name, node in inputs.items()} == {"0": [1], "1": [2.5]}
