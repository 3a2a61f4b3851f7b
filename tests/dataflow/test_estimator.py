from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.utils.validation import check_is_fitted

from mlpipeline.dataflow import Input, Node, Pipeline, layers, metrics
from mlpipeline.errors import DataError, PipelineError

ROWS, SPECIES = load_iris(return_X_y=True)
FOLDS = KFold(3, shuffle=True, random_state=0)
FRAME, _ = load_iris(return_X_y=True, as_frame=True)


def classifying(strength: float = 1.0) -> Pipeline:
    x, label = Input("x", (4,)), Input("label")
    layer = layers.Sklearn(LogisticRegression(C=strength, max_iter=500), method="predict")
    predicted = layer([layers.Whiten()(x, "white"), label], "species")
    return Pipeline([x, label], predicted, metrics.Accuracy()([label, predicted], "accuracy"), name="iris")


def whitening_nodes() -> tuple[Input, Node]:
    x = Input("x", (4,))
    return x, layers.Whiten()(x, "white")


def whitening() -> Pipeline:
    return Pipeline(*whitening_nodes())


def test_a_layer_stands_in_a_pipeline_of_scikit_learn() -> None:
    steps = make_pipeline(layers.Whiten(), LogisticRegression()).fit(ROWS, SPECIES)
    assert steps.score(ROWS, SPECIES) > 0.9


def test_a_pipeline_stands_in_a_pipeline_of_scikit_learn() -> None:
    steps = make_pipeline(whitening(), LogisticRegression()).fit(ROWS, SPECIES)
    expected = make_pipeline(layers.Whiten(), LogisticRegression()).fit(ROWS, SPECIES)
    np.testing.assert_allclose(steps.predict_proba(ROWS), expected.predict_proba(ROWS))


def test_a_pipeline_is_searched_over_by_the_parameters_of_its_layers() -> None:
    search = GridSearchCV(classifying(), {"species__estimator__C": [1e-6, 1.0]}, cv=FOLDS).fit(ROWS, SPECIES)
    assert search.best_params_ == {"species__estimator__C": 1.0}
    assert search.best_score_ > 0.9
    assert (search.predict(ROWS) == SPECIES).mean() > 0.9


def test_folds_are_fitted_on_clones() -> None:
    pipeline = classifying()
    scores = cross_val_score(pipeline, ROWS, SPECIES, cv=FOLDS)
    assert scores.min() > 0.9
    assert pipeline.fitted is None


def test_a_clone_has_the_parameters_and_not_the_state() -> None:
    pipeline = classifying(0.5).fit(ROWS, SPECIES)
    copied = clone(pipeline)
    assert copied.fitted is None
    assert copied.get_params()["species__estimator__C"] == 0.5
    np.testing.assert_array_equal(copied.fit(ROWS, SPECIES).predict(ROWS), pipeline.predict(ROWS))


def test_a_parameter_of_a_node_is_set_in_this_pipeline_alone() -> None:
    x = Input("x")
    twice = layers.ScalarMultiply(2)(x, "twice")
    one, other = Pipeline(x, twice), Pipeline(x, twice)
    one.set_params(twice__factor=5)
    assert one.transform({"x": np.ones(1)})["twice"] == 5
    assert other.transform({"x": np.ones(1)})["twice"] == 2


def test_a_parameter_that_does_not_exist_is_named() -> None:
    with pytest.raises(PipelineError, match="Whiten: sigma is not a parameter"):
        whitening().set_params(white__sigma=2)
    with pytest.raises(PipelineError, match="nme is not a parameter; did you mean name"):
        whitening().set_params(nme="x")


def test_the_name_and_version_are_parameters() -> None:
    assert repr(whitening().set_params(name="other", version=2)) == "<Pipeline other 2: x -> white, not fitted>"


@pytest.mark.parametrize(("container", "kind"), [("pandas", pd.DataFrame), ("polars", pl.DataFrame)])
def test_frames_come_out_on_request(container: str, kind: type) -> None:
    frame = FRAME.set_index(pd.Index(range(1000, 1150)))
    for estimator in (whitening(), layers.Whiten()):
        table = estimator.set_output(transform=container).fit_transform(frame)
        assert isinstance(table, kind)
        assert list(table.columns) == list(FRAME.columns)
        np.testing.assert_allclose(table.to_numpy(), whitening().fit_transform(ROWS)["white"])
        if container == "pandas":
            assert list(table.index) == list(frame.index)


def test_the_columns_of_outputs_have_names() -> None:
    x, kind = Input("x", (2,)), Input("kind")
    joined = layers.Concatenate()([layers.Whiten()(x), layers.OneHotLabels()(kind)], "joined")
    pipeline = Pipeline([x, kind], joined).fit({"x": np.ones((2, 2)), "kind": np.array(["red", "blue"])})
    assert list(pipeline.get_feature_names_out()) == ["x_0", "x_1", "kind_blue", "kind_red"]


def test_what_is_fitted_says_so_to_scikit_learn() -> None:
    layer, pipeline = layers.Whiten(), whitening()
    for estimator in (layer, pipeline):
        with pytest.raises(Exception, match="not fitted"):
            check_is_fitted(estimator)
        check_is_fitted(estimator.fit(ROWS))


def test_a_score_without_a_metric_says_what_to_do() -> None:
    with pytest.raises(PipelineError, match="score needs a metric"):
        whitening().fit(ROWS).score(ROWS)


def test_a_layer_lists_its_parameters() -> None:
    assert layers.OneHotRange(max_val=3).get_params() == {"min_val": None, "max_val": 3, "strict": False}
    assert repr(layers.ScalarMultiply(2)) == "ScalarMultiply(factor=2)"


LAYERS = st.one_of(
    st.floats(-9, 9).map(layers.ScalarMultiply),
    st.sampled_from(["float32", "int64"]).map(layers.Cast),
    st.integers(2, 9).map(lambda window: layers.TimeSeries(window, reverse=bool(window % 2))),
    st.lists(st.integers(0, 5), min_size=1, max_size=3).map(lambda indices: layers.Slice(slice(None), indices)),
    st.dictionaries(st.integers(), st.floats(allow_nan=False), min_size=1).map(layers.Impute),
    st.floats(allow_nan=False).map(lambda value: layers.Divide(impute=value)),
    st.sampled_from([np.add, np.negative, np.mean]).map(layers.Lambda),
)


@settings(max_examples=60, deadline=None)
@given(layer=LAYERS)
def test_a_clone_of_a_layer_is_another_with_equal_parameters(layer: layers.Layer) -> None:
    copied = clone(layer)
    assert copied is not layer
    assert type(copied) is type(layer)
    assert repr(copied) == repr(layer)
    assert copied.get_params().keys() == layer.get_params().keys()


def test_a_parameter_is_checked_when_it_is_changed() -> None:
    with pytest.raises(PipelineError, match="luminosity"):
        layers.RGBtoGrey().set_params(method="lumi")


def test_a_parameter_that_a_layer_does_not_keep_is_named() -> None:
    class Plus(layers.StatelessLayer):
        def __init__(self, amount):
            self._amount = amount

    with pytest.raises(PipelineError, match=r"Plus has a parameter amount, but no attribute self\.amount"):
        clone(Plus(2))


def test_a_layer_refuses_a_frame_of_other_columns_than_its_fits() -> None:
    layer = layers.Whiten().fit(FRAME)
    with pytest.raises(DataError, match="expected the columns of the fit"):
        layer.transform(FRAME[FRAME.columns[::-1]])


def test_folds_of_a_pipeline_that_classifies_are_stratified() -> None:
    scores = cross_val_score(classifying(), ROWS, SPECIES, cv=3, scoring="accuracy")
    assert scores.min() > 0.9


def test_a_clone_does_not_write_into_the_storage(tmp_path: Path) -> None:
    pipeline = Pipeline(*whitening_nodes(), name="kept", storage=tmp_path).fit(ROWS)
    kept = pipeline.transform(ROWS)["white"].copy()
    cross_val_score(make_pipeline(pipeline, LogisticRegression()), ROWS, SPECIES, cv=FOLDS)
    np.testing.assert_array_equal(pipeline.storage.read()["white"], kept)
    other = pipeline.set_params(version=2).fit(ROWS * 2)
    other.transform(ROWS)
    np.testing.assert_array_equal(Pipeline(*whitening_nodes(), name="kept", storage=tmp_path).storage.read()[0], kept)


def test_a_pipeline_that_ends_in_probabilities_is_a_classifier_to_scikit_learn() -> None:
    x, label = Input("x", (4,)), Input("label")
    probability = layers.Sklearn(LogisticRegression(max_iter=500))([layers.Whiten()(x), label], "probability")
    pipeline = Pipeline([x, label], probability)
    scores = cross_val_score(pipeline, ROWS, SPECIES, cv=3, scoring="roc_auc_ovr")
    assert scores.min() > 0.95
    voting = VotingClassifier([("a", pipeline), ("b", classifying())]).fit(ROWS, SPECIES)
    assert voting.score(ROWS, SPECIES) > 0.9
    with pytest.raises(AttributeError, match="no probabilities"):
        classifying().fit(ROWS, SPECIES).predict_proba(ROWS)


def test_layers_are_searched_over_as_well_as_their_parameters() -> None:
    search = GridSearchCV(classifying(), {"white": [layers.Whiten(), layers.ScalarMultiply(0.0)]}, cv=3)
    assert repr(search.fit(ROWS, SPECIES).best_params_["white"]) == "Whiten()"


def test_a_classifier_without_metrics_has_its_accuracy_as_score() -> None:
    bare = classifying().set_params(metrics=[]).fit(ROWS, SPECIES)
    assert bare.score(ROWS, SPECIES) == (bare.predict(ROWS) == SPECIES).mean()
