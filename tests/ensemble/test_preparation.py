"""Preprocessing of a member: fitted on its training rows, whatever kind it is."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_iris
from sklearn.feature_selection import SelectKBest
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    OneHotEncoder,
    QuantileTransformer,
    StandardScaler,
    TargetEncoder,
)

from mlpipeline.dataflow import Input, Pipeline, layers
from mlpipeline.ensemble.observations import Part
from mlpipeline.ensemble.preparation import fit_and_prepare, fit_preparation
from mlpipeline.errors import EnsembleError

MEASURES, SPECIES = load_iris(return_X_y=True)


def train_of(rows, y=SPECIES):
    return Part(rows, np.arange(0, 150, 2), y[::2])


def test_what_is_fitted_knows_the_training_rows_alone():
    preparation, prepared = fit_and_prepare(StandardScaler(), train_of(MEASURES))
    assert np.array_equal(preparation.transformer.mean_, MEASURES[::2].mean(axis=0))
    assert np.array_equal(prepared, preparation.transform(MEASURES[::2]))


def test_the_transformer_that_was_given_stays_as_it_was():
    scaler = StandardScaler()
    fit_preparation(scaler, train_of(MEASURES))
    assert not hasattr(scaler, "mean_")


def test_frames_stay_frames_where_the_transformer_is_told_so():
    chosen = make_column_transformer((StandardScaler(), ["a"]), (OneHotEncoder(sparse_output=False), ["b"]))
    frame = pd.DataFrame({"a": MEASURES[:, 0], "b": np.array(["x", "y", "z"])[SPECIES]})
    prepared = fit_and_prepare(chosen.set_output(transform="pandas"), train_of(frame))[1]
    assert list(prepared.columns) == [
        "standardscaler__a",
        "onehotencoder__b_x",
        "onehotencoder__b_y",
        "onehotencoder__b_z",
    ]


def test_sparse_rows_are_given_as_rows_that_can_be_taken():
    given = FunctionTransformer(sp.coo_matrix)
    assert fit_and_prepare(given, train_of(MEASURES))[1].format == "csr"


@pytest.mark.parametrize(
    "y", [SPECIES, SPECIES.reshape(-1, 1), np.eye(3)[SPECIES]], ids=["labels", "column", "one-hot"]
)
def test_a_supervised_transformer_gets_the_labels(y):
    preparation = fit_preparation(SelectKBest(k=1), train_of(MEASURES, y))
    assert preparation.transform(MEASURES).tolist() == MEASURES[:, [2]].tolist()


def test_training_rows_are_encoded_without_their_own_targets():
    noise = np.random.default_rng(0).integers(0, 300, (2000, 1)).astype(str)  # categories that say nothing
    y = np.random.default_rng(1).integers(0, 2, 2000)
    preparation, prepared = fit_and_prepare(TargetEncoder(), Part(noise, np.arange(2000), y))
    known, unknown = (np.corrcoef(rows[:, 0], y)[0, 1] for rows in (preparation.transform(noise), prepared))
    assert known > 0.3  # rows that their own targets went into
    assert abs(unknown) < 0.1


def test_what_a_transformer_draws_comes_from_the_seed():
    before = np.random.get_state()[1].copy()
    drawing = QuantileTransformer(n_quantiles=10, subsample=40)
    quantiles = [fit_preparation(drawing, train_of(MEASURES), seed).transformer.quantiles_ for seed in (1, 1, 2)]
    assert np.array_equal(quantiles[0], quantiles[1])
    assert not np.array_equal(quantiles[0], quantiles[2])
    assert np.array_equal(np.random.get_state()[1], before)


def test_a_transformer_that_works_in_place_does_not_change_the_rows_that_were_given():
    rows = MEASURES.copy()
    preparation, _ = fit_and_prepare(StandardScaler(copy=False), Part(rows, None, SPECIES))
    first = preparation.transform(rows)
    assert np.array_equal(rows, MEASURES)
    assert np.array_equal(preparation.transform(rows), first)


@pytest.fixture
def measures():
    return Input("measures", (4,))


def test_a_data_pipeline_gives_its_output_as_an_array(measures):
    white = Pipeline(measures, layers.Whiten()(measures, "white"), name="white")
    preparation, prepared = fit_and_prepare(white, train_of(MEASURES))
    expected = StandardScaler().fit(MEASURES[::2]).transform(MEASURES)
    assert type(prepared) is np.ndarray
    assert np.allclose(preparation.transform(MEASURES), expected)
    assert white.fitted is None


def test_outputs_of_a_data_pipeline_stand_beside_each_other(measures):
    outputs = [layers.Whiten()(measures, "white"), layers.Lambda(np.argmax, axis=1)(measures, "largest")]
    prepared = fit_and_prepare(Pipeline(measures, outputs, name="two"), train_of(MEASURES))[1]
    assert prepared.shape == (75, 5)
    assert np.array_equal(prepared[:, 4], MEASURES[::2].argmax(axis=1))


def test_a_data_pipeline_with_labels_is_a_supervised_transformer(measures):
    species = Input("species")
    chance = layers.Sklearn(LogisticRegression(max_iter=500))([measures, species], "chance")
    preparation = fit_preparation(Pipeline([measures, species], chance, name="chance"), train_of(MEASURES))
    expected = LogisticRegression(max_iter=500).fit(MEASURES[::2], SPECIES[::2]).predict_proba(MEASURES)
    assert np.allclose(preparation.transform(MEASURES), expected)


def test_arrays_by_name_go_to_the_inputs_of_a_data_pipeline_and_y_to_that_of_labels(measures):
    species, rest = Input("species"), Input("rest", (2,))
    both = layers.Concatenate()([measures, rest], "both")
    chance = layers.Sklearn(LogisticRegression(max_iter=500))([both, species], "chance")
    named = {"measures": MEASURES, "rest": MEASURES[:, :2]}
    joined = np.hstack([MEASURES, MEASURES[:, :2]])
    supervised = fit_preparation(Pipeline([measures, rest, species], chance, name="chance"), train_of(named))
    expected = LogisticRegression(max_iter=500).fit(joined[::2], SPECIES[::2]).predict_proba(joined)
    assert np.allclose(supervised.transform(named), expected)
    plain = fit_preparation(Pipeline([measures, rest], both, name="both"), train_of(named))
    assert np.array_equal(plain.transform(named), joined)


class DropsRows(TransformerMixin, BaseEstimator):
    def fit(self, rows, y=None):
        return self

    def transform(self, rows):
        return rows[rows[:, 0] > 5]


@pytest.mark.parametrize(
    ("preprocessing", "message"),
    [
        (DropsRows(), "rows for 75, so that rows and predictions would not belong together"),
        (make_pipeline(SimpleImputer(), DropsRows()), "rows for 75"),
        (StandardScaler, "must be a scikit-learn transformer"),
        (LogisticRegression(), "must be a scikit-learn transformer"),
        (np.log1p, "must be a scikit-learn transformer"),
    ],
)
def test_what_does_not_keep_rows_is_refused(preprocessing, message):
    with pytest.raises(EnsembleError, match=message):
        fit_preparation(preprocessing, train_of(MEASURES))


def test_what_cannot_be_copied_is_refused():
    class Odd:
        def fit(self, rows, y=None): ...

        def transform(self, rows): ...

    with pytest.raises(EnsembleError, match="preprocessing cannot be copied"):
        fit_preparation(Odd(), train_of(MEASURES))
