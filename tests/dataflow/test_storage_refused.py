"""What cannot be stored is refused before anything is written; of objects, strings can."""

from collections import deque

import numpy as np
import pytest

from mlpipeline.dataflow.storage import open_storage
from mlpipeline.errors import StorageError

TABLE = np.zeros((5, 3))


@pytest.mark.parametrize(
    ("ids", "values", "message"),
    [
        ([1, 2, 1, 2, 3], TABLE, "1, 2 came more than once"),
        (["a", "a"], TABLE[:2], "'a' came more than once"),
        ([1, 2], TABLE[:3], "expected 2 rows"),
        ([1], np.array([{}], object), "objects are not stored.*dict"),
        ([1], np.array([None], object), "objects are not stored.*NoneType"),
        ([1], np.zeros(1, [("a", "f4")]), "cannot be stored"),
        ([1.5], TABLE[:1], "expected integers of 64 bits or strings, but got float64"),
        ([True], TABLE[:1], "bool"),
        ([2**63], TABLE[:1], "64 bits"),
        ([2**70], TABLE[:1], "64 bits"),
        (["a\0b"], TABLE[:1], "NUL"),
        (np.array(["a\0"], object), TABLE[:1], "NUL"),
        (["a\0"], TABLE[:1], "NUL"),
        ("a\0", TABLE[:1], "NUL"),
        (deque(["a\0"]), TABLE[:1], "NUL"),
        ([1, 2], np.array(["a", None], object), "expected texts, but some are None; fill in"),
        (["\ud800"], TABLE[:1], "half of a pair"),
        ([[1]], TABLE[:1], "shape"),
        (["a", 1.5], TABLE[:2], "1.5 of type float"),
    ],
)
def test_what_cannot_be_stored_is_refused_before_anything_is_written(tmp_path, ids, values, message):
    storage = open_storage(tmp_path, "p", 1)
    with pytest.raises(StorageError, match=message):
        storage.write(ids, {"y": values})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rows": [1], "lookup": [1]}, "expected one of them, but got both"),
        ({"missing": "drop"}, "missing is 'error' or 'skip', but got 'drop'"),
        ({"rows": "a\0"}, "NUL"),
        ({"cols": 0}, "cols are names of outputs, texts; but got 0"),
        ({"rows": 1, "cols": ["y", 0]}, "cols are names of outputs"),
        ({"rows": [1.5]}, "expected integers or strings|float64"),
    ],
)
def test_a_look_up_that_has_no_meaning_is_refused(tmp_path, arguments, message):
    storage = open_storage(tmp_path, "p", 1)
    storage.write([1], {"y": TABLE[:1]})
    with pytest.raises(StorageError, match=message):
        storage.read(**arguments)


def test_parts_must_be_values_for_json(tmp_path):
    with pytest.raises(StorageError, match="parts: expected values for JSON"):
        open_storage(tmp_path, "p", 1).write([1], {"y": TABLE[:1]}, parts={"a": object()})


def test_strings_in_an_object_array_are_stored_as_an_array_of_text(tmp_path):
    for where in (tmp_path / "folder", tmp_path / "x.db"):
        with open_storage(where, "p", 1) as storage:
            storage.write(["a", "b"], {"y": np.array(["long text", "ü"], object)})
            np.testing.assert_array_equal(storage.read()["y"], np.array(["long text", "ü"]), strict=True)
