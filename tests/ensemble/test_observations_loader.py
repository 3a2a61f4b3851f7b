"""Rows as they are, with a test part."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.model_selection import train_test_split

from mlpipeline.ensemble import ObservationsLoader
from mlpipeline.ensemble.observations_loader import as_observations
from mlpipeline.errors import EnsembleError
from mlpipeline.pytorch import ArrayLoader

IRIS = load_iris()
NAMES = IRIS.target_names[IRIS.target]


def test_a_loader_divides_its_rows_as_scikit_learn_does() -> None:
    ids = [f"flower {number}" for number in range(150)]
    loader = ObservationsLoader(IRIS.data, NAMES, test_fraction=0.2, seed=4, ids=ids)
    train, test = train_test_split(np.arange(150), test_size=0.2, random_state=4)
    assert loader.train.ids.tolist() == [f"flower {number}" for number in train]
    assert loader.test.X.tolist() == IRIS.data[test].tolist()
    assert (loader.get_train_sample_count(), loader.get_test_sample_count()) == (120, 30)


def test_a_loader_keeps_groups_together() -> None:
    groups = np.arange(150) // 10
    loader = ObservationsLoader(IRIS.data, NAMES, test_fraction=0.2, groups=groups)
    assert not set(loader.train.groups) & set(loader.test.groups)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"test": (IRIS.data, NAMES), "test_fraction": 0.2}, "got both"),
        ({"test_fraction": 1.5}, "cannot divide 150 rows"),
        ({"ids": [1, 2]}, "X has 150 rows, but ids has 2"),
        ({"test": IRIS.data}, "but gave ndarray"),
        ({"test_fraction": 0.2, "groups": NAMES, "stratify": True}, "choose one"),
    ],
)
def test_a_loader_refuses_what_does_not_fit_together(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(EnsembleError, match=message):
        ObservationsLoader(IRIS.data, NAMES, **arguments)


def test_scaled_tensors_of_a_torch_loader_are_taken_as_rows() -> None:
    is_setosa = IRIS.target == 0
    rows = as_observations(ArrayLoader(IRIS.data, is_setosa.astype(int), task="binary", seed=4).get_train_input())
    train, _ = train_test_split(np.arange(150), test_size=0.33, random_state=4)
    assert rows.y.tolist() == is_setosa[train].tolist()
    assert rows.y.dtype.kind == "i"  # classes, and not values
    assert rows.X.shape == (100, 4)
    assert abs(rows.X.mean(axis=0)).max() < 1e-6
