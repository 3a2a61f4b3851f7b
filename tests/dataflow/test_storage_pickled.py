"""A storage that goes to another process opens its place again; one without a place says so."""

import copy
import pickle
import sqlite3
from contextlib import closing

import numpy as np
import pytest
from sqlalchemy import create_engine

from mlpipeline.dataflow.storage import open_storage
from mlpipeline.errors import StorageError


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda storage: pickle.loads(pickle.dumps(storage))])
@pytest.mark.parametrize("place", ["{}/outputs", "{}/x.db", "sqlite:///{}/x.db"])
def test_a_storage_is_opened_again(tmp_path, again, place):
    with open_storage(place.format(tmp_path), "p", 1) as storage:
        storage.write([1], {"y": np.array([5.0])})
        with again(storage) as other:
            assert other is not storage
            other.write([2], {"y": np.array([6.0])})
        assert storage.read([2, 1])["y"].tolist() == [6, 5]


def test_a_postgres_storage_is_opened_again(postgres_schema):
    with open_storage(postgres_schema, "p", 1) as storage, copy.deepcopy(storage) as other:
        other.write([2], {"y": np.array([6.0])})
        assert storage.read(2)["y"] == 6


@pytest.mark.parametrize("again", [copy.deepcopy, pickle.dumps])
def test_a_storage_in_an_open_connection_is_not_copied(tmp_path, again):
    engine = create_engine(f"sqlite:///{tmp_path}/x.db")
    with closing(sqlite3.connect(tmp_path / "x.db")) as lent:
        for where in (lent, engine, "sqlite://"):
            with open_storage(where, "p", 1) as storage, pytest.raises(StorageError, match="path or a URL"):
                again(storage)
    engine.dispose()
