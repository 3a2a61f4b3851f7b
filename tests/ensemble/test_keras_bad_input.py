"""KerasPipeline: arguments and rows that cannot be used are refused, with what to do next."""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from mlpipeline.ensemble import KerasPipeline
from mlpipeline.ensemble.keras_pipelines.rows import join
from mlpipeline.ensemble.observations import Observations, take
from mlpipeline.errors import EnsembleError
from tests.ensemble.small_networks import ONE_HOT, TEST, N, digits, listing, one_thread, pipeline, small_network


@pytest.fixture(autouse=True, scope="module")
def in_one_thread():
    with one_thread():
        yield


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_bags": 0}, "n_bags must be a whole number of at least 1"),
        ({"n_folds": 1}, "n_folds must be a whole number of at least 2"),
        ({"split_size": 1}, "split_size must be a share"),
        ({"number_epochs": 0}, "number_epochs must be a whole number of at least 1"),
        ({"batch_size": 2.5}, "batch_size must be a whole number"),
        ({"save_model": True}, "save_model=True needs run_save_name"),
        ({"load_keras_model": True}, "needs run_save_name"),
        ({"load_keras_model": True, "run_save_name": "a", "save_history": True}, "needs save_as"),
        ({"save_as": "b"}, "save_as is for load_keras_model"),
        ({"run_save_name": "a", "resume": True}, "resume=True needs save_model"),
    ],
)
def test_an_argument_that_cannot_be_used_is_refused_at_once(arguments, message):
    with pytest.raises(EnsembleError, match=message):
        pipeline(**arguments)


def test_a_name_in_place_of_the_model_function_is_refused():
    with pytest.raises(EnsembleError, match=r"getattr\(module, name\)"):
        KerasPipeline("small_network")
    with pytest.raises(EnsembleError, match="model_params must be a dict"):
        KerasPipeline(small_network, 10)


def test_rows_that_do_not_fit_together_are_refused():
    x, y, x_test, y_test = digits()
    missing = np.where(np.arange(64) == 5, np.nan, x)
    with pytest.raises(EnsembleError, match="X_train has 120 rows, but y_train has 119"):
        pipeline().kfold_run(x, y[:-1])
    with pytest.raises(EnsembleError, match="X_train has 120 rows, but y_train has 110"):  # in sum they would fit
        pipeline(user_split=True).bag_run(x, y[:110], x_test, np.append(y_test, y[110:]))
    with pytest.raises(EnsembleError, match="at least 20 rows of each class"):
        pipeline(stratify=True, n_folds=20).kfold_run(x, y)
    with pytest.raises(EnsembleError, match="y_train holds labels and y_valid rows of 10"):
        pipeline(user_split=True).bag_run(x, y, x_test, np.eye(10)[y_test])
    with pytest.raises(EnsembleError, match="y_train holds rows of 10 and y_test labels"):
        pipeline(params={"loss": ONE_HOT}).kfold_run(x, np.eye(10)[y], x_test, y_test)
    with pytest.raises(EnsembleError, match=r"X_test has .* row 0, column 5"):
        pipeline().full_train_run(x, y, missing[:TEST])
    with pytest.raises(EnsembleError, match=r"X_valid has .* row 0, column 5"):
        pipeline(user_split=True).bag_run(x, y, missing[:TEST], y_test)
    with pytest.raises(EnsembleError, match=r"X_valid is .*\(63,\)"):
        pipeline(user_split=True).bag_run(x, y, x_test[:, 1:], y_test)


@pytest.mark.parametrize(
    "kind",
    [
        np.asarray,
        pd.DataFrame,
        torch.from_numpy,
        sparse.csr_matrix,
        lambda rows: {"a": rows[:, :9], "b": rows[:, 9:]},
    ],
)
def test_validation_rows_are_put_behind_training_rows_of_their_kind(kind):
    x, y, x_test, y_test = (each.copy() for each in digits())
    both = join(Observations(kind(x), y), Observations(kind(x_test), y_test))
    rows = take(both.X, np.arange(N - 2, N + 3))
    rows = np.hstack([rows["a"], rows["b"]]) if isinstance(rows, dict) else rows
    rows = rows.toarray() if sparse.issparse(rows) else np.asarray(rows)
    np.testing.assert_array_equal(rows, np.concatenate([x[-2:], x_test[:3]]))
    np.testing.assert_array_equal(both.y, np.concatenate([y, y_test]))


def test_rows_are_given_where_they_are_used_and_nowhere_else():
    x, y, x_test, y_test = digits()
    with pytest.raises(EnsembleError, match="set user_split=True"):
        pipeline().bag_run(x, y, x_test, y_test)
    with pytest.raises(EnsembleError, match="needs X_valid and y_valid"):
        pipeline(user_split=True).bag_run(x, y)
    with pytest.raises(EnsembleError, match="y_test is given without X_test"):
        pipeline().kfold_run(x, y, y_test=y_test)


@pytest.mark.parametrize("name", ["../net", "/tmp/net", ".."])
def test_a_run_cannot_leave_its_folder(tmp_path, name):
    x, y, *_ = digits()
    (tmp_path / "in").mkdir()
    with pytest.raises(EnsembleError, match="run_save_name"):
        pipeline(run_save_name=name, src_dir=tmp_path / "in", save_model=True).kfold_run(x, y)
    assert list(listing(tmp_path)) == ["in"]
