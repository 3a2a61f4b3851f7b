from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.cluster import KMeans
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectKBest
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, RidgeClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    KBinsDiscretizer,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier
from torch import nn

from mlpipeline.dataflow import Input, Pipeline, layers
from mlpipeline.dataflow.layers.torch_layer import Torch
from mlpipeline.dataflow.onnx_export.subgraphs import agree
from mlpipeline.errors import PipelineError
from tests.dataflow.onnx_files import assert_same_outputs, open_session, run, write

X, CODES = load_iris(return_X_y=True)
X = X + np.random.default_rng(0).normal(0, 0.01, X.shape)  # no two values are equal, so that nothing is tied
NAMES = np.array(["setosa", "versicolor", "virginica"])[CODES]
FLOAT32 = {"rtol": 1e-5, "atol": 1e-6}

NATIVE: dict[str, tuple[Any, str | None, Any]] = {
    "scaler": (StandardScaler(), None, None),
    "min and max": (MinMaxScaler(), None, None),
    "robust scaler": (RobustScaler(with_scaling=False), None, None),
    "PCA": (PCA(2, whiten=True), None, None),
    "SVD": (TruncatedSVD(2), None, None),
    "regression": (LinearRegression(), None, X[:, 0] * 2 + CODES),
    "regression of two": (Ridge(), None, X[:, :2]),
    "probabilities": (LogisticRegression(max_iter=500), None, CODES),
    "probabilities of two": (LogisticRegression(), None, NAMES == "setosa"),
    "classes": (LogisticRegression(max_iter=500), "predict", NAMES),
    "one of two classes": (LinearSVC(), "predict", np.where(CODES == 0, "a", "other")),
    "decisions": (RidgeClassifier(), "decision_function", CODES),
}
CONVERTED: dict[str, tuple[Any, str | None, Any]] = {
    "forest": (RandomForestClassifier(5, random_state=0), None, NAMES),
    "forest's classes": (RandomForestClassifier(5, random_state=0), "predict", NAMES),
    "forest of numbers": (RandomForestRegressor(5, random_state=0), None, X[:, 0]),
    "tree": (DecisionTreeClassifier(random_state=0), None, CODES),
    "boosting": (GradientBoostingClassifier(n_estimators=3, random_state=0), None, CODES),
    "bayes": (GaussianNB(), None, NAMES),
    "network": (MLPRegressor(max_iter=5, random_state=0), None, CODES / 2),
    "support vectors": (SVC(), "predict", CODES),
    "support vectors' decisions": (SVC(), "decision_function", CODES),
    "clusters": (KMeans(3, n_init=1, random_state=0), "predict", None),
    "distances": (KMeans(3, n_init=1, random_state=0), None, None),
    "powers": (PolynomialFeatures(2), None, None),
    "chosen columns": (SelectKBest(k=2), None, CODES),
    "bins": (KBinsDiscretizer(3, encode="ordinal", quantile_method="averaged_inverted_cdf"), None, None),
    "a pipeline": (make_pipeline(StandardScaler(), PCA(2), LogisticRegression()), None, NAMES),
}


def pipeline_of(layer: layers.Layer, x: Any, labels: Any = None) -> Pipeline:
    data = {"x": x} if labels is None else {"x": x, "label": labels}
    inputs = [Input(name, array.shape[1:], array.dtype) for name, array in data.items()]
    return Pipeline(inputs, layer(inputs, "result")).fit(data)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("case", NATIVE)
def test_native_forms_give_the_same(case: str, dtype: type, tmp_path: Path) -> None:
    estimator, method, labels = NATIVE[case]
    pipeline = pipeline_of(layers.Sklearn(estimator, method), X.astype(dtype), labels)
    assert_same_outputs(pipeline, {"x": X.astype(dtype)}, tmp_path, **(FLOAT32 if dtype is np.float32 else {}))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("case", CONVERTED)
def test_skl2onnx_writes_other_estimators(case: str, tmp_path: Path) -> None:
    estimator, method, labels = CONVERTED[case]
    assert_same_outputs(pipeline_of(layers.Sklearn(estimator, method), X, labels), {"x": X}, tmp_path, **FLOAT32)


@pytest.mark.parametrize("encoder", [OneHotEncoder(), OrdinalEncoder()])
@pytest.mark.parametrize("labels", [CODES, NAMES, NAMES.astype(object)], ids=["codes", "texts", "objects"])
def test_encoders_take_texts_and_integers(encoder: Any, labels: Any, tmp_path: Path) -> None:
    table = np.stack([labels, labels[::-1]], axis=1)
    assert_same_outputs(pipeline_of(layers.Sklearn(encoder), table), {"x": table}, tmp_path)


def test_a_classifier_from_raw_columns_to_probabilities(tmp_path: Path) -> None:
    colours = np.random.default_rng(1).choice(["red", "green", "blue"], len(X))
    x, colour, label = Input("x", 4), Input("colour"), Input("label")
    hot = layers.OneHotLabels()(colour)
    features = layers.Concatenate()([layers.Whiten()(x), hot], "features")
    reduced = layers.Sklearn(PCA(5))(features)
    likely = layers.Sklearn(LogisticRegression())([reduced, label], "likely")
    forest = layers.Sklearn(RandomForestClassifier(10, random_state=0))([features, label], "forest")
    pipeline = Pipeline([x, colour, label], [likely, forest, features, colour])
    pipeline.fit({"x": X, "colour": colours, "label": NAMES})
    data = {"x": X, "colour": colours}
    assert_same_outputs(pipeline, data, tmp_path, **FLOAT32)
    session = open_session(tmp_path / "pipeline.onnx")
    assert [(each.name, each.type, each.shape) for each in session.get_inputs()] == [
        ("x", "tensor(double)", ["n", 4]),
        ("colour", "tensor(string)", ["n"]),
    ]
    given = run(session, data)
    np.testing.assert_allclose(given["likely"], pipeline.transform(data)["likely"], rtol=1e-9)


def test_rows_with_nan_fail_with_a_reason(tmp_path: Path) -> None:
    holey = np.where(np.arange(len(X))[:, None] == 3, np.nan, X)
    for estimator in (LogisticRegression(max_iter=500), GaussianNB()):
        session = open_session(write(pipeline_of(layers.Sklearn(estimator), X, CODES), tmp_path / "a.onnx"))
        with pytest.raises(Exception, match="result: observations hold NaN or infinity"):
            run(session, {"x": holey})
        assert np.isfinite(run(session, {"x": X})["result"]).all()


def test_what_skl2onnx_writes_is_compared_by_kind_and_value() -> None:
    for given, expected, same in [
        (np.array([[0.5], [1]]), np.array([0.5, 1.0]), True),
        (np.array([0.5, 1]), np.array([0.5, 1.1]), False),
        (np.array([0.5, 1, 2]), np.array([0.5, 1.0]), False),
        (np.array(["a", "b"], object), np.array(["a", "b"]), True),
        (np.array(["a", "b"], object), np.array(["a", "c"]), False),
        (np.array([1, 2]), np.array([1, 3]), False),
        (np.array([1, 2]), np.array(["1", "2"]), False),
    ]:
        assert agree(given, expected) is same


class Shifted(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    def fit(self, x: Any, y: Any = None) -> Shifted:
        self.n_features_in_ = x.shape[1]
        return self

    def transform(self, x: Any) -> Any:
        return x + 1


def test_estimators_that_cannot_be_written_are_refused(tmp_path: Path) -> None:
    texts = np.array(["a word", "another word"] * 5)
    for layer, x, told in [
        (layers.Sklearn(Shifted()), X, "skl2onnx does not write transform of Shifted"),
        (layers.Sklearn(TfidfVectorizer()), texts, "TfidfVectorizer takes no table"),
    ]:
        with pytest.raises(PipelineError, match=f"cannot be written as ONNX: Sklearn 'result' .*{told}"):
            write(pipeline_of(layer, x), tmp_path / "a.onnx")


class Changing(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * len(x)  # a trace keeps the number of observations that it saw


@pytest.mark.parametrize("method", [None, "softmax", "sigmoid", "classes"])
def test_torch_modules_are_traced(method: str | None, tmp_path: Path) -> None:
    images = np.random.default_rng(0).random((9, 1, 8, 8))
    module = nn.Sequential(
        nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Dropout(), nn.Linear(108, 4)
    )
    pipeline = pipeline_of(Torch(module, "cross_entropy", method=method), images, np.arange(9) % 4)
    assert_same_outputs(pipeline, {"x": images}, tmp_path, **FLOAT32)


def test_torch_modules_that_look_up_take_integers(tmp_path: Path) -> None:
    codes = np.arange(12).reshape(6, 2) % 5
    module = nn.Sequential(nn.Embedding(5, 3), nn.Flatten(), nn.Linear(6, 2))
    assert_same_outputs(pipeline_of(Torch(module), codes), {"x": codes}, tmp_path, **FLOAT32)


def test_a_module_that_a_trace_gets_wrong_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"Torch 'result' \(what torch writes gives other results"):
        write(pipeline_of(Torch(Changing()), X), tmp_path / "a.onnx")


def test_keras_models_on_torch_are_traced(tmp_path: Path) -> None:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    parts = [keras.layers.Conv2D(3, 3, activation="relu"), keras.layers.BatchNormalization(), keras.layers.Flatten()]
    model = keras.Sequential([keras.Input((6, 6, 1)), *parts, keras.layers.Dense(3, activation="softmax")])
    images = np.random.default_rng(0).random((7, 6, 6, 1))
    assert_same_outputs(pipeline_of(layers.Keras(model), images), {"x": images}, tmp_path, **FLOAT32)
