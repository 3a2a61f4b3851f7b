"""What every storage does: in a folder, in SQLite, through a sqlite3 connection, in PostgreSQL."""

import sqlite3
import threading
from contextlib import ExitStack, closing
from uuid import uuid4

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlpipeline.dataflow.storage import open_storage
from mlpipeline.errors import StorageError

KINDS = ["folder", "sqlite", "connection", "memory", "postgres"]
DTYPES = ["bool", "float16", "float32", "float64", ">f8", "int8", "uint64", "complex64", "U3", "S4", "M8[ns]", "m8[s]"]


@pytest.fixture(params=KINDS)
def where(request, tmp_path):
    if request.param == "folder":
        yield tmp_path / "outputs"
    elif request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/outputs.db"
    elif request.param == "postgres":
        yield request.getfixturevalue("postgres_schema")
    else:
        with closing(sqlite3.connect(tmp_path / "lent.db" if request.param == "connection" else ":memory:")) as lent:
            yield lent


@pytest.fixture
def opened(where):
    """Open storages in the same place, again and again."""
    with ExitStack() as stack:
        yield lambda name="p", version=1, overwrite=False: stack.enter_context(
            open_storage(where, name, version, overwrite)
        )


def table(n, offset=0.0):
    return np.arange(n * 3, dtype=np.float64).reshape(n, 3) + offset


def test_values_come_back_with_their_dtype_and_shape(opened):
    whole = {dtype: np.arange(48).reshape(4, 3, 2, 2).astype(dtype) for dtype in DTYPES}
    flat = {f"flat {dtype}": values[:, 0, 0, 0] for dtype, values in whole.items()}
    opened().write(range(4), whole | flat)
    for rows, at in ([2, 0], [2, 0]), (3, [3]), (None, [0, 1, 2, 3]):
        found = opened().read(rows)
        for name, values in (whole | flat).items():
            assert found[name].dtype == values.dtype
            np.testing.assert_array_equal(found[name], values[at], err_msg=name)


def test_zero_rows_keep_dtype_and_shape(opened):
    opened().write([], {"y": np.empty((0, 4, 5), np.int16)})
    opened().write(["a"], {"y": np.ones((1, 4, 5), np.int16)}, key="k")
    for found in (opened().read(rows=[]), opened().read(rows=["b"], missing="skip")):
        assert (found["y"].shape, found["y"].dtype) == ((0, 4, 5), np.int16)
    only = opened(version=2)
    only.write([], {"y": np.empty((0, 2), bool)}, key="k")
    assert only.read()["y"].shape == only.find("k", [])["y"].shape == (0, 2)


def test_rows_without_values_come_back(opened):
    opened().write([1, 2], {"y": np.empty((2, 0), np.float32), "u": np.array(["", ""])})
    assert opened().read(rows=[2, 2, 1])["y"].shape == (3, 0)
    assert opened().read(rows=[2])["u"].tolist() == [""]


def test_a_row_is_found_by_its_id_as_a_number_or_a_text(opened):
    numbers, texts = opened("numbers"), opened("texts")
    numbers.write([7, 0, -3], {"y": table(3)})
    texts.write(["7", "07"], {"y": table(2)})
    for asked, row in (("0", 1), (0, 1), ("-3", 2), (np.int8(7), 0), (["0"], 1), (np.array("7"), 0)):
        np.testing.assert_array_equal(numbers.read(lookup=asked)["y"], table(3)[[row]])
    np.testing.assert_array_equal(texts.read([7, "07"])["y"], table(2))
    assert numbers.read(["07", "7.0", "+7", " 7", "٧", str(2**64)], missing="skip")["y"].shape == (0, 3)


def test_missing_ids_are_listed_or_skipped(opened):
    storage = opened()
    storage.write(range(5), {"y": table(5)})
    with pytest.raises(StorageError, match=r"not stored: 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, \.\.\. \(15 in all\)"):
        storage.read(range(20))
    with pytest.raises(StorageError, match="not stored: '99'"):
        storage.read("99")
    np.testing.assert_array_equal(storage.read([9, 4, 4, 17, 0], missing="skip")["y"], table(5)[[4, 4, 0]])


def test_nothing_stored_is_an_error_that_says_so(opened):
    with pytest.raises(StorageError, match="nothing is stored yet"):
        opened().read(rows=[0])
    assert (len(opened()), opened().ids().tolist(), opened().runs()) == (0, [], [])
    assert opened().find("k", [0]) is None


def test_columns_are_chosen_by_name(opened):
    storage = opened()
    storage.write(range(3), {"white": table(3), "hot": table(3, 5)})
    for rows in (None, 1, [1, 2]):
        assert list(storage.read(rows, cols=["hot"])) == ["hot"]
        assert list(storage.read(rows, "white")) == ["white"]
        with pytest.raises(StorageError, match="no output 'hott'; did you mean hot"):
            storage.read(rows, cols=["hott"])


def test_outputs_may_have_any_name(opened):
    names = ["id", "run", "place", "a", "A", '"; DROP', "%s :x", "ü.\u2028", "x" * 300]
    opened().write(range(2), {name: table(2, at) for at, name in enumerate(names)})
    found = opened().read([1])
    assert list(found) == names
    assert [values[0, 0] for values in found.values()] == [3 + at for at in range(len(names))]


def test_writing_an_id_again_replaces_its_row_and_keeps_its_place(opened):
    storage = opened()
    storage.write([3, 1, 2], {"y": table(3)})
    storage.write([2, 9, 3], {"y": table(3, 100)})
    other = opened()
    assert other.ids().tolist() == [3, 1, 2, 9]
    assert len(other) == 4
    expected = np.array([table(3, 100)[2], table(3)[1], table(3, 100)[0], table(3, 100)[1]])
    np.testing.assert_array_equal(other.read()["y"], expected)
    np.testing.assert_array_equal(storage.read([9, 1, 9, 3])["y"], expected[[3, 1, 3, 0]])
    np.testing.assert_array_equal(storage.read(3)["y"], expected[[0]])


def test_versions_and_names_do_not_share_rows(opened):
    pairs = [("a", 1), ("a", "1-2"), ("a-1", 2), ("A", 1), ("a-1", None), ("a", None), ("a", 0.1), ("é", 1), ("ê", 1)]
    for number, pair in enumerate(pairs):
        opened(*pair).write([0], {"y": np.array([number])})
    assert [opened(*pair).read(0)["y"].item() for pair in pairs] == list(range(len(pairs)))


def test_names_of_any_kind_are_safe(opened, tmp_path):
    names = ["../../up", "..", "/abs", 'q"; DROP TABLE x;--', "sqlite_x", "ü" * 400, "ü" * 401, "", "a\0b"]
    for number, name in enumerate(names):
        opened(name, "1/2").write(["a"], {"y": np.array([number])})
    assert [opened(name, "1/2").read("a")["y"].item() for name in names] == list(range(len(names)))
    assert {path.name for path in tmp_path.iterdir()} <= {"outputs", "outputs.db", "lent.db"}


def test_a_renamed_storage_has_the_same_place_and_its_own_rows(opened):
    storage = opened("a", 1)
    storage.write([0], {"y": np.array([1.0])})
    other = open_storage(storage, "b", 1)
    other.write([0], {"y": np.array([2.0])})
    assert open_storage(storage, "a", 1) is storage
    assert (opened("b", 1).read(0)["y"], opened("a", 1).read(0)["y"]) == (2.0, 1.0)
    again = open_storage(storage, "a", 1, overwrite=True)
    again.write([5], {"y": np.array([3.0])})
    assert storage.ids().tolist() == [5]


def test_overwrite_replaces_everything_of_the_version_at_its_first_write(opened):
    old, other = opened(), opened(version=2)
    old.write(range(5), {"y": table(5)}, key="old")
    other.write(["a"], {"y": table(1)})
    new = opened(overwrite=True)
    assert new.find("old", range(5)) is None
    assert len(new) == 5
    new.write(["x"], {"z": table(1, 7)}, key="new")
    new.write(["y"], {"z": table(1, 8)})
    for storage in (old, new, opened()):
        assert storage.ids().tolist() == ["x", "y"]
        assert list(storage.read("x")) == ["z"]
        assert [run.key for run in storage.runs()] == ["new", ""]
    assert opened(version=2).ids().tolist() == ["a"]


def test_integers_beside_texts_are_refused_and_nothing_is_written(opened):
    storage = opened()
    storage.write([1], {"y": table(1)})
    with pytest.raises(StorageError, match=r"stored ids are integers, but these are texts"):
        storage.write(["1"], {"y": table(1)})
    assert len(storage.runs()) == 1


def test_a_find_gives_the_write_of_the_key_for_the_same_ids_only(opened):
    opened().write(["b", "a"], {"y": table(2), "z": np.array(["p", "q"])}, key="k", parts={"code": ["f", 1]})
    storage = opened()
    found = storage.find("k", ["b", "a"])
    np.testing.assert_array_equal(found["y"], table(2))
    assert found["z"].tolist() == ["p", "q"]
    assert storage.find("k", ["a", "b"]) is storage.find("k", ["b"]) is storage.find("other", ["b", "a"]) is None
    assert storage.find("", ["b", "a"]) is None
    (run,) = storage.runs()
    assert (run.key, run.parts, run.n) == ("k", {"code": ["f", 1]}, 2)
    assert run.written.endswith("+00:00")


def test_after_a_find_reading_gives_what_was_found(opened):
    storage = opened()
    storage.write([2, 1], {"y": table(2)}, key="first")
    storage.write([1, 3], {"y": table(2, 50)}, key="second")
    for key, ids in [("first", [2, 1]), ("second", [1, 3]), ("first", [2, 1])] * 2:
        found = storage.find(key, ids)
        if found is not None:
            np.testing.assert_array_equal(opened().read(ids)["y"], found["y"])
    assert storage.ids().tolist() == [2, 1, 3]
    assert [run.key for run in opened().runs()] == ["first", "second"]


def test_a_find_in_a_large_table_keeps_the_order_of_the_write(opened):
    storage, ids = opened(), np.random.default_rng(0).permutation(50) * 3
    storage.write(range(1, 100, 3), {"y": table(33)})
    storage.write(ids, {"y": table(50, 7)}, key="k")
    np.testing.assert_array_equal(opened().find("k", ids)["y"], table(50, 7))


def test_many_ids_are_read_in_one_call(opened):
    storage, order = opened(), np.random.default_rng(1).permutation(5000)
    storage.write([f"row {i}" for i in range(5000)], {"y": np.arange(5000)})
    assert (storage.read([f"row {i}" for i in order])["y"] == order).all()


@pytest.mark.parametrize("ids", [st.integers(-(2**63), 2**63 - 1), st.text(st.characters(exclude_categories=["Cs"]))])
def test_rows_come_in_the_asked_order(opened, ids):
    @settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.data(), st.lists(ids.filter(lambda each: "\0" not in str(each)), min_size=1, max_size=20, unique=True))
    def check(data, stored):
        asked = data.draw(st.lists(st.integers(0, len(stored) - 1), max_size=30))
        storage, values = opened(uuid4().hex), np.random.default_rng(len(stored)).normal(size=(len(stored), 2))
        part = data.draw(st.integers(0, len(stored)))
        storage.write(stored, {"y": np.zeros_like(values)})
        storage.write(stored[part:], {"y": values[part:]})
        storage.write(stored[:part], {"y": values[:part]})
        np.testing.assert_array_equal(storage.read([stored[at] for at in asked])["y"], values[asked])
        np.testing.assert_array_equal(storage.read()["y"], values)
        assert storage.ids().tolist() == stored

    check()


def test_the_callers_arrays_stay_as_they_are_and_may_be_strided(opened):
    values = np.asfortranarray(table(6))[::2, ::-1]
    before, outputs = values.copy(), {"y": values}
    opened().write([1, 2, 3], outputs)
    np.testing.assert_array_equal(values, before)
    assert outputs["y"] is values
    np.testing.assert_array_equal(opened().read()["y"], before)
    for rows in (1, [2, 1]):
        opened().read(rows)["y"][:] = 0  # looked up rows are the caller's
    opened().read()["y"][:] = 0
    np.testing.assert_array_equal(opened().read()["y"], before)


def test_another_storage_sees_each_write_at_once(opened):
    writer, reader = opened(), opened()
    for number in range(20):
        writer.write([number, 1000], {"y": np.array([number, number])})
        assert reader.read([1000])["y"].item() == number
        assert len(reader) == number + 2


@pytest.mark.parametrize("where", [kind for kind in KINDS if kind != "memory"], indirect=True)
def test_threads_share_one_storage(opened):
    storage, errors = opened(), []

    def work(number):
        try:
            for turn in range(5):
                storage.write([number, 100 + number * 10 + turn], {"y": np.full((2, 3), number)}, key=str(number))
                assert (storage.read([number])["y"] == number).all()
                assert storage.read().shape[1] == 3
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(storage) == 4 + 20
