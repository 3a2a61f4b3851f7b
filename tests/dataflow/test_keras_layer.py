import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import threading

import keras
import numpy as np
import pytest

from mlpipeline.dataflow.layers.keras_layer import Keras
from mlpipeline.dataflow.node import Input
from mlpipeline.dataflow.running import fitted
from mlpipeline.dataflow.spec import Spec
from mlpipeline.errors import PipelineError

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras on new torch
RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 4)).astype(np.float32)
LABELS = np.eye(2, dtype=np.float32)[(X[:, 0] > 0).astype(int)]


@pytest.fixture
def model():
    layers = [keras.Input((4,)), keras.layers.Dense(8, activation="relu"), keras.layers.Dense(2, activation="softmax")]
    made = keras.Sequential(layers)
    made.compile(optimizer=keras.optimizers.Adam(0.02), loss="categorical_crossentropy")
    return made


def weights(model):
    return [keras.ops.convert_to_numpy(each.value).copy() for each in model.weights]


def accuracy(layer):
    return (layer.compute(X).argmax(axis=1) == LABELS.argmax(axis=1)).mean()


def test_model_learns_and_the_callers_stays_as_it_was(model):
    before = weights(model)
    node = Keras(model, epochs=15)([Input("x", 4), Input("y", 2)], "out")
    trained = fitted(node.application, [X, LABELS], 1)
    assert accuracy(trained) > 0.95
    assert all((old == new).all() for old, new in zip(before, weights(model), strict=True))
    assert list(trained.metadata) == ["model"]
    assert node.application.layer.metadata == {}


def distance(wanted, given):
    return keras.ops.mean(keras.ops.square(wanted - given), axis=-1)


def test_model_with_functions_of_the_users_own_is_trained_like_any_other(model):
    class Mean(keras.losses.Loss):
        def call(self, wanted, given):
            return distance(wanted, given)

    results = []
    for loss in ("mse", distance, Mean(), lambda wanted, given: distance(wanted, given)):
        counted = keras.metrics.MeanMetricWrapper(distance, name="counted")
        model.compile(optimizer=keras.optimizers.Adam(0.02), loss=loss, metrics=[distance, "accuracy", counted])
        layer = Keras(model, shuffle=False, class_weight={0: 1.0, 1: 2.0}).unfitted_copy()
        layer.learn(X, LABELS)
        layer.learn_more(X, LABELS)
        results.append(layer.fitted_copy().compute(X))
        assert model.optimizer.iterations == 0
        assert counted.count == 0
    for result in results[1:]:
        np.testing.assert_allclose(result, results[0], atol=1e-6)


def test_two_nodes_of_one_layer_learn_separately(model):
    layer = Keras(model)
    one, two = layer.unfitted_copy(), layer.unfitted_copy()
    one.learn(X, LABELS, epochs=15)
    two.learn(X, LABELS[:, ::-1], epochs=15)
    assert accuracy(one) > 0.95
    assert accuracy(two) < 0.05


def test_predictions_equal_those_of_keras_in_batches_of_any_size(model, monkeypatch):
    layer = Keras(model)([Input("x", 4)], "out").application.layer.unfitted_copy()
    layer.learn(X)
    expected = model.predict(X, verbose=0)
    np.testing.assert_allclose(layer.compute(X), expected, atol=1e-6)
    monkeypatch.setattr("mlpipeline.dataflow.layers.batches.PREDICTED_BYTES", 1)
    np.testing.assert_allclose(layer.compute(X), expected, atol=1e-6)


def test_stream_goes_on_from_a_fitted_copy_as_from_the_original(model):
    layer = Keras(model).unfitted_copy()
    for _ in range(5):
        layer.learn_more(X, LABELS)
    copied = layer.fitted_copy()
    layer.learn_more(X, LABELS)
    assert abs(layer.compute(X) - copied.compute(X)).max() > 1e-4
    copied.learn_more(X, LABELS)
    np.testing.assert_allclose(layer.compute(X), copied.compute(X), atol=1e-6)


def test_model_of_two_inputs_and_two_outputs():
    first, second = keras.Input((3,)), keras.Input((2,))
    joined = keras.layers.Concatenate()([first, second])
    model = keras.Model([first, second], [keras.layers.Dense(1)(joined), keras.layers.Dense(4)(joined)])
    model.compile(optimizer="sgd", loss=["mse", "mse"])
    nodes = [Input("a", 3), Input("b", 2), Input("c", 1), Input("d", 4)]
    one, four = Keras(model)(nodes, ["one", "four"])
    assert (one.spec, four.spec) == (Spec((1,), np.dtype("float32")), Spec((4,), np.dtype("float32")))
    layer = Keras(model).unfitted_copy()
    layer.learn(X[:, :3], X[:, :2], X[:, :1], X)
    assert [each.shape for each in layer.compute(X[:, :3], X[:, :2])] == [(200, 1), (200, 4)]
    with pytest.raises(PipelineError, match="expected 2 nodes, or 4 with the labels last, but got 3"):
        Keras(model)(nodes[:3], ["one", "four"])


def test_what_cannot_work_is_refused_when_the_graph_is_built(model):
    images = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Flatten()])
    with pytest.raises(PipelineError, match=r"expected \(n, 8, 8, 1\) .* got \(n, 8, 8\); put an AddDim"):
        Keras(images)(Input("x", (8, 8)), "out")
    with pytest.raises(PipelineError, match="not compiled"):
        Keras(images)([Input("x", (8, 8, 1)), Input("y", 64)], "out")
    with pytest.raises(PipelineError, match="not built"):
        Keras(keras.Sequential([keras.layers.Dense(2)]))
    with pytest.raises(PipelineError, match="expected a Keras model, but got list"):
        Keras([])


def test_threads_share_a_fitted_layer(model):
    layer = Keras(model).unfitted_copy()
    layer.learn(X, LABELS)
    expected, results = layer.compute(X), []
    threads = [threading.Thread(target=lambda: results.append(layer.compute(X))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    assert all((each == expected).all() for each in results)
