import tracemalloc

import numpy as np
import pandas as pd
import pytest

from mlpipeline.dataflow.io import CSVData, CSVGenerator
from mlpipeline.dataflow.io.source import BLOCK_BYTES
from mlpipeline.errors import DataError

LATE = 500  # the row in which a column turns out to be another than it looked like


@pytest.fixture
def csv(tmp_path):
    def write(text):
        path = tmp_path / "data.csv"
        path.write_text(text)
        return path

    return write


def column_that_turns(csv, usual, late):
    return csv("c,i\n" + "".join(f"{late if i == LATE else usual},{i}\n" for i in range(2 * LATE)))


def joined(generator):
    batches = list(generator)
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}


def assert_same(one, two):
    assert list(one) == list(two)
    for name in one:
        assert one[name].dtype == two[name].dtype
        np.testing.assert_array_equal(one[name], two[name])


def test_each_column_has_the_dtype_of_its_values(csv):
    data = CSVData(csv("n,gap,x,b,word,none\n1,1,0.5,True,a,\n2,,1e3,False,,\n"))
    assert {name: str(array.dtype) for name, array in data.items()} == {
        "n": "int64", "gap": "float64", "x": "float64", "b": "bool", "word": "object", "none": "float64",
    }  # fmt: skip
    assert list(data["word"]) == ["a", None]
    assert type(data["word"][0]) is str


@pytest.mark.parametrize(
    ("usual", "late", "dtype", "first", "turned"),
    [
        ("1", "", "float64", 1.0, np.nan),
        ("1", "2.5", "float64", 1.0, 2.5),
        ("01", "x", "object", "01", "x"),
        ("1.50", "x", "object", "1.50", "x"),
        ("True", "1", "object", "True", "1"),
        ("TRUE", "maybe", "object", "TRUE", "maybe"),
        ("True", "", "float64", 1.0, np.nan),
        ("", "7", "float64", np.nan, 7.0),
        ("", "x", "object", None, "x"),
        ("1", "18446744073709551615", "uint64", 1, 2**64 - 1),
        ("-1", "-2.5", "float64", -1.0, -2.5),
        ("1", "99999999999999999999", "float64", 1.0, 1e20),
    ],
)
def test_a_column_that_turns_late_has_one_dtype_from_the_first_row_on(csv, usual, late, dtype, first, turned):
    path = column_that_turns(csv, usual, late)
    whole = CSVData(path)
    assert whole["c"].dtype == dtype
    np.testing.assert_array_equal(whole["c"][[0, LATE]], np.array([first, turned], dtype))
    assert {batch["c"].dtype for batch in CSVGenerator(path, batch_size=100)} == {np.dtype(dtype)}
    assert_same(joined(CSVGenerator(path, batch_size=100)), whole)


def test_batches_end_with_a_short_one_and_begin_again(csv):
    generator = CSVGenerator(csv("n\n" + "\n".join(map(str, range(10)))), batch_size=4)
    for _ in range(2):
        assert [list(batch["n"]) for batch in generator] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert len(generator) == 3


def test_two_passes_at_once_do_not_disturb_each_other(csv):
    generator = CSVGenerator(csv("n\n" + "\n".join(map(str, range(10)))), batch_size=3)
    pairs = list(zip(generator, generator, strict=True))
    assert all((one["n"] == two["n"]).all() for one, two in pairs)
    assert len(pairs) == 4


def test_repeat_begins_again(csv):
    batches = iter(CSVGenerator(csv("n\n1\n2\n3\n"), batch_size=2, repeat=True))
    assert [list(next(batches)["n"]) for _ in range(4)] == [[1, 2], [3], [1, 2], [3]]


@pytest.mark.parametrize("nrows", [0, 1, 5, 300, 10_000])
def test_nrows_bounds_what_is_read(csv, nrows):
    path = column_that_turns(csv, "1", "x")
    whole = CSVData(path, nrows=nrows)
    assert list(whole["i"]) == list(range(min(nrows, 2 * LATE)))
    assert sum(len(batch["i"]) for batch in CSVGenerator(path, batch_size=7, nrows=nrows)) == len(whole["i"])


def test_arguments_of_read_csv_are_passed_on(csv):
    path = csv("1;a;2,5\n2;b;?\n")
    options = {"sep": ";", "header": None, "decimal": ",", "na_values": ["?"]}
    data = CSVData(path, exclude_cols=["1"], **options)
    np.testing.assert_array_equal(data["2"], [2.5, np.nan])
    assert list(data) == ["0", "2"]
    assert_same(joined(CSVGenerator(path, 1, exclude_cols=["1"], **options)), data)
    assert list(CSVData(csv("a::b\n1::2\n"), sep="::")["b"]) == [2]


def test_a_dtype_and_a_converter_of_the_caller_go_first(csv):
    path = csv("c,id,i\n1,007,1\n2,008,2\n")
    options = {"dtype": {"c": "float32"}, "converters": {"id": lambda text: text.strip("0")}}
    data = CSVData(path, **options)
    assert data["c"].dtype == np.float32
    assert list(data["id"]) == ["7", "8"]
    assert_same(joined(CSVGenerator(path, 1, **options)), data)


def test_the_second_of_two_columns_of_one_name_gets_a_number(csv):
    path = csv("a,a,b\n1,x,2\n3,,4\n")
    assert list(CSVData(path, exclude_cols=["a"])["a.1"]) == ["x", None]
    assert_same(joined(CSVGenerator(path, 1)), CSVData(path))


def test_dates_are_read_alike_in_every_batch(csv):
    path = csv("d\n01/02/2020\n13/02/2020\n")
    with pytest.raises(DataError, match="column 'd' is in parse_dates, but not all of its values are dates as ISO8601"):
        CSVData(path, parse_dates=["d"])
    data = joined(CSVGenerator(path, 1, parse_dates=["d"], date_format="%d/%m/%Y"))
    np.testing.assert_array_equal(data["d"], np.array(["2020-02-01", "2020-02-13"], "datetime64[ns]"))


def test_a_compressed_file_is_read(tmp_path):
    path = tmp_path / "data.csv.gz"
    pd.DataFrame({"n": [1, 2]}).to_csv(path, index=False)
    assert list(joined(CSVGenerator(path))["n"]) == [1, 2]


def test_a_file_with_names_only_gives_no_rows(csv):
    path = csv("a,b\n")
    assert {name: len(array) for name, array in CSVData(path).items()} == {"a": 0, "b": 0}
    assert list(CSVGenerator(path)) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a CSV file, but No columns"),
        ("a,b\n1,2\n1,2,3\n", "Expected 2 fields in line 3, saw 3"),
        ("a,b\n1,2,\n3,4,\n", "expected as many values in a row as there are names"),
    ],
)
def test_a_file_that_is_no_table_is_an_error_that_names_it(csv, text, message):
    with pytest.raises(DataError, match=f"data.csv.*{message}"):
        CSVData(csv(text))


def test_a_row_with_too_many_values_is_an_error_even_where_columns_are_left_out(csv):
    with pytest.raises(DataError, match="Expected 2 fields in line 3, saw 3"):
        CSVData(csv("name,age\nAnn,2\nSmith, Bob,3\n"), exclude_cols=["age"])


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"none\.csv is not there: expected the path of a CSV file"):
        CSVGenerator(tmp_path / "none.csv")
    with pytest.raises(DataError, match="is a folder"):
        CSVData(tmp_path)


def test_text_in_another_encoding_is_an_error_that_says_what_to_pass(tmp_path):
    path = tmp_path / "data.csv"
    path.write_bytes("word\nMünchen\n".encode("latin-1"))
    with pytest.raises(DataError, match="pass encoding='latin-1'"):
        CSVData(path)
    assert list(CSVData(path, encoding="latin-1")["word"]) == ["München"]


def test_a_dtype_that_was_asked_for_and_does_not_fit_names_column_row_and_value(csv):
    path = column_that_turns(csv, "1", "eleven")
    with pytest.raises(DataError, match=f"column 'c' has 'eleven' in row {LATE} .*, not float64"):
        CSVData(path, dtype={"c": "float64"})
    with pytest.raises(DataError, match="column 'c' has 'eleven' in row"):
        list(CSVGenerator(path, dtype={"c": int}))


def test_a_file_that_changed_after_its_dtypes_were_found_is_an_error(csv):
    generator = CSVGenerator(csv("n\n1\n2\n"))
    csv("n\n1\ntwo\n")
    with pytest.raises(DataError, match="column 'n' has 'two' in row 1"):
        list(generator)


@pytest.mark.parametrize("name", ["chunksize", "usecols", "index_col", "iterator"])
def test_arguments_that_would_change_what_is_given_are_refused(csv, name):
    with pytest.raises(DataError, match=f"{name} is not an argument here; use"):
        CSVData(csv("a\n1\n"), **{name: 1})


@pytest.mark.parametrize("left_out", [[], ["word"]])
def test_memory_is_bounded_by_the_batch(tmp_path, left_out):
    path = tmp_path / "big.csv"
    path.write_text("a,word\n" + "".join(f"{i},{'text ' * 400}{i}\n" for i in range(5_000)))
    tracemalloc.start()
    assert sum(len(batch["a"]) for batch in CSVGenerator(path, exclude_cols=left_out)) == 5_000
    assert tracemalloc.get_traced_memory()[1] < 6 * BLOCK_BYTES < path.stat().st_size
    tracemalloc.stop()


@pytest.mark.parametrize("missing", ["", "NA"])
def test_what_is_missing_beside_integers_beyond_int64_is_missing(tmp_path, missing):
    path = tmp_path / "large.csv"
    path.write_text(f"n,c\n9223372036854775808,0\n{missing},1\n{missing},2\n")
    assert CSVData(path)["n"].tolist() == ["9223372036854775808", None, None]
    streamed = [value for batch in CSVGenerator(path, 1) for value in batch["n"].tolist()]
    assert streamed == ["9223372036854775808", None, None]
