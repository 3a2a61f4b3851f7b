"""Writes of different shapes, dtypes and outputs: where they are read together, and where not."""

import numpy as np
import pytest

from mlpipeline.dataflow.storage import open_storage
from mlpipeline.errors import StorageError


@pytest.fixture(params=["outputs", "outputs.db"])
def opened(request, tmp_path):
    """Open storages in the same place, again and again."""
    storages = []

    def open_one():
        storages.append(open_storage(tmp_path / request.param, "p", 1))
        return storages[-1]

    yield open_one
    for storage in storages:
        storage.close()


def table(n, offset=0.0):
    return np.arange(n * 3, dtype=np.float64).reshape(n, 3) + offset


def test_writes_of_different_shapes_are_read_apart(opened):
    storage = opened()
    storage.write([1, 2], {"y": table(2), "u": np.array(["a", "b"])})
    storage.write([3], {"y": np.ones((1, 4), np.float32), "u": np.array(["long"])})
    assert (storage.read([3])["y"].dtype, storage.read([3, 3])["y"].dtype) == (np.float32, np.float32)
    assert storage.read([1, 2])["y"].shape == (2, 3)
    assert storage.read([3, 1], cols="u")["u"].tolist() == ["long", "a"]
    with pytest.raises(StorageError, match=r"'y'.*different shapes, \(n, 3\) and \(n, 4\)"):
        storage.read([1, 3])


def test_writes_of_different_dtypes_are_promoted_where_they_meet(opened):
    storage = opened()
    storage.write([1], {"y": np.array([1], np.int32)})
    storage.write([2], {"y": np.array([1.5], np.float32)})
    assert storage.read([1])["y"].dtype == np.int32
    assert storage.read([2, 1])["y"].dtype == np.float64
    storage.write([3], {"y": np.array(["2020-01-01"], "M8[D]")})
    with pytest.raises(StorageError, match="dtypes that do not go together"):
        storage.read([1, 3])


def test_writes_of_different_outputs_are_read_where_all_have_them(opened):
    storage = opened()
    storage.write([1, 2], {"y": table(2), "z": table(2)})
    storage.write([2, 3], {"new": table(2, 5), "y": table(2, 6)})
    assert list(storage.read(3)) == list(opened().read([3, 2])) == ["new", "y"]
    np.testing.assert_array_equal(storage.read([3, 1], cols=["y"])["y"], [table(2, 6)[1], table(2)[0]])
    with pytest.raises(StorageError, match=r"different outputs: new, y; y, z.*cols=\['y'\]"):
        storage.read()
    for rows in ([2], [1, 2]):
        with pytest.raises(StorageError, match="written without the output 'z'"):
            storage.read(rows, cols=["z"])
