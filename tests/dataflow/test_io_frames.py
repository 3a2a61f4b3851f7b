import decimal

import numpy as np
import pandas as pd
import pytest

from mlpipeline.dataflow.io import PandasData, PandasGenerator
from mlpipeline.errors import DataError

ROWS = pd.DataFrame({"n": np.arange(10), "x": np.linspace(0, 1, 10), "word": list("abcdefghij")})


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (pd.Series([1, 2], dtype="int8"), np.array([1, 2], "int8")),
        (pd.Series([1, None], dtype="Int64"), np.array([1, np.nan])),
        (pd.Series([1, 2], dtype="Int32"), np.array([1, 2], "int32")),
        (pd.Series([2**64 - 1, 1], dtype="uint64"), np.array([2**64 - 1, 1], "uint64")),
        (pd.Series([1.5, np.nan], dtype="float32"), np.array([1.5, np.nan], "float32")),
        (pd.Series([np.nan, np.nan], dtype="float32"), np.array([np.nan, np.nan], "float32")),
        (pd.Series([True, False]), np.array([True, False])),
        (pd.Series([True, None], dtype="boolean"), np.array([1, np.nan])),
        (pd.Series([True, None], dtype=object), np.array([1, np.nan])),
        (pd.Series([1, None], dtype=object), np.array([1, np.nan])),
        (pd.Series([None, None], dtype=object), np.array([np.nan, np.nan])),
        (pd.Series([decimal.Decimal("1.25"), None]), np.array([1.25, np.nan])),
        (pd.Series(["a", None]), np.array(["a", None], object)),
        (pd.Series(["a", pd.NA], dtype="string"), np.array(["a", None], object)),
        (pd.Series(["a", None], dtype="category"), np.array(["a", None], object)),
        (pd.Series([3, None], dtype="category"), np.array([3, np.nan])),
        (pd.Series([3, 4], dtype="category"), np.array([3, 4])),
        (pd.Series([1 + 2j, 0]), np.array([1 + 2j, 0])),
        (pd.Series(["2020-01-02", None], dtype="datetime64[s]"), np.array(["2020-01-02", "NaT"], "datetime64[ns]")),
        (pd.Series([pd.Timestamp("2020-01-02", tz="Asia/Tokyo")]), np.array(["2020-01-01T15"], "datetime64[ns]")),
        (pd.to_timedelta(pd.Series([1], name="t"), unit="s"), np.array([10**9], "timedelta64[ns]")),
        (pd.Series(pd.arrays.SparseArray([0, 0, 1])), np.array([0, 0, 1])),
    ],
)
def test_a_column_becomes_an_array_of_its_dtype(column, expected):
    array = PandasData(pd.DataFrame({"c": column}))["c"]
    assert type(array) is np.ndarray
    assert array.dtype == expected.dtype
    np.testing.assert_array_equal(array, expected)


def test_a_column_of_arrow_text_holds_nothing_of_arrow():
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"t": pd.Series(["a", None], dtype="string[pyarrow]"), "n": [1, None]})
    frame["n"] = frame["n"].astype("int64[pyarrow]")
    data = PandasData(frame)
    assert [type(each) for each in data["t"]] == [str, type(None)]
    np.testing.assert_array_equal(data["n"], [1.0, np.nan])


def test_what_is_done_to_the_arrays_does_not_reach_the_frame():
    frame = ROWS.copy()
    data = PandasData(frame)
    for array in data.values():
        array[:] = array[0]
    for batch in PandasGenerator(frame, batch_size=4):
        batch["x"][:] = -1
    pd.testing.assert_frame_equal(frame, ROWS)


def test_a_moment_that_nanoseconds_cannot_hold_is_an_error_and_not_another_moment():
    frame = pd.DataFrame({"d": pd.Series(["3000-01-01"], dtype="datetime64[us]")})
    with pytest.raises(DataError, match="column 'd': expected values that fit in datetime64"):
        PandasData(frame)


def test_columns_are_chosen_in_the_order_of_the_frame():
    assert list(PandasData(ROWS, exclude_cols=["x"])) == ["n", "word"]
    assert list(PandasData(ROWS, exclude_cols="word")) == ["n", "x"]
    assert list(PandasData(ROWS, cols=["word", "n"], exclude_cols=["n"])) == ["word"]
    assert len(PandasData(ROWS, nrows=3)["n"]) == 3


def test_an_unknown_column_is_named_with_the_one_that_is_meant():
    with pytest.raises(DataError, match=r"exclude_cols names 'wrod', which is no column; did you mean word\?"):
        PandasData(ROWS, exclude_cols=["wrod"])


def test_two_columns_of_one_name_are_refused():
    with pytest.raises(DataError, match="several are called 'a'"):
        PandasData(pd.DataFrame(np.zeros((2, 2)), columns=["a", "a"]))


@pytest.mark.parametrize("value", [ROWS.to_dict(), ROWS["n"], None])
def test_what_is_no_frame_is_refused(value):
    with pytest.raises(DataError, match="expected a pandas frame, but got"):
        PandasData(value)


def test_an_empty_frame_gives_empty_arrays_and_no_batches():
    assert {name: array.shape for name, array in PandasData(ROWS[:0]).items()} == {"n": (0,), "x": (0,), "word": (0,)}
    assert list(PandasGenerator(ROWS[:0])) == []


def test_batches_end_with_a_short_one_and_begin_again():
    generator = PandasGenerator(ROWS, batch_size=4)
    for _ in range(2):
        assert [list(batch["n"]) for batch in generator] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert len(generator) == 3


def test_a_column_has_one_dtype_in_all_batches():
    frame = pd.DataFrame({"n": pd.Series([1, 2, 3, None], dtype="Int64"), "b": [None, True, False, True]})
    dtypes = [{name: array.dtype for name, array in batch.items()} for batch in PandasGenerator(frame, batch_size=1)]
    assert dtypes == [{"n": np.float64, "b": np.float64}] * 4


def test_shuffled_rows_are_all_there_stay_together_and_come_in_the_same_order_again():
    generator = PandasGenerator(ROWS, batch_size=3, shuffle=True, seed=1)
    rounds = [np.concatenate([np.stack([batch["n"], batch["x"] * 9]) for batch in generator], axis=1) for _ in "ab"]
    np.testing.assert_array_equal(rounds[0], rounds[1])
    np.testing.assert_allclose(rounds[0][0], rounds[0][1])
    assert sorted(rounds[0][0]) == list(range(10)) != list(rounds[0][0])


def test_repeated_rounds_of_shuffled_rows_have_orders_of_their_own():
    batches = iter(PandasGenerator(ROWS, batch_size=10, repeat=True, shuffle=True, seed=1))
    one, two = next(batches)["n"], next(batches)["n"]
    assert sorted(one) == sorted(two) == list(range(10))
    assert list(one) != list(two)


def test_repeat_has_no_end_and_no_length():
    generator = PandasGenerator(ROWS, batch_size=4, nrows=6, repeat=True)
    batches = iter(generator)
    assert [list(next(batches)["n"]) for _ in range(3)] == [[0, 1, 2, 3], [4, 5], [0, 1, 2, 3]]
    with pytest.raises(TypeError, match="has no end"):
        len(generator)


def test_nothing_cannot_be_repeated_without_end():
    with pytest.raises(DataError, match="expected rows to repeat"):
        next(iter(PandasGenerator(ROWS[:0], repeat=True)))


@pytest.mark.parametrize("size", [0, -1, 2.5, None])
def test_a_batch_size_is_a_whole_number_above_zero(size):
    with pytest.raises(DataError, match="batch_size: expected a whole number of at least 1"):
        PandasGenerator(ROWS, batch_size=size)
