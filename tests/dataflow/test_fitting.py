from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mlpipeline.dataflow import Input, Pipeline, layers, metrics
from mlpipeline.errors import DataError, PipelineError

FLOATS = st.floats(-1e6, 1e6, allow_nan=False, width=32).map(lambda value: round(value, 3))


class Counting(layers.StatefulLayer):
    """Counts how many observations it was shown."""

    def partial_fit(self, x):
        self.metadata["count"] = self.metadata.get("count", 0) + len(x)

    def transform(self, x):
        return x


class Whole(layers.StatefulLayer):
    def fit(self, x):
        self.metadata["largest"] = x.max(axis=0)

    def transform(self, x):
        return x / self.metadata["largest"]


def two_levels() -> Pipeline:
    """A pipeline whose second layer that learns stands on the first."""
    x, kind = Input("x", (3,)), Input("kind")
    white = layers.Whiten()(layers.ImputeMean()(x), "white")
    kinds = layers.OneHotLabels()(kind, "kinds")
    both = layers.Whiten()(layers.Concatenate()([white, kinds]), "both")
    return Pipeline([x, kind], [white, kinds, both])


def batches_of(data: dict[str, np.ndarray], size: int) -> list[dict[str, np.ndarray]]:
    n = len(next(iter(data.values())))
    return [{name: values[i : i + size] for name, values in data.items()} for i in range(0, n, size)]


@settings(max_examples=30, deadline=None)
@given(
    x=arrays(np.float64, st.tuples(st.integers(1, 40), st.just(3)), elements=FLOATS),
    size=st.integers(1, 50),
    offset=st.sampled_from([0.0, 1e6]),
)
def test_a_fit_on_a_stream_equals_a_fit_on_the_whole(x: np.ndarray, size: int, offset: float) -> None:
    data = {"x": x + offset, "kind": np.array(["red", "blue", "green"])[np.arange(len(x)) % 3]}
    whole, streamed = two_levels().fit(data), two_levels().fit_generator(batches_of(data, size))
    for name in ("ImputeMean_1", "white", "kinds", "both"):
        for key, learned in whole.layer(name).metadata.items():
            other = np.asarray(streamed.layer(name).metadata[key])
            if other.dtype.kind == "f":
                scale = max(1.0, float(np.abs(learned).max()))
                np.testing.assert_allclose(other, learned, rtol=1e-12, atol=1e-12 * scale, err_msg=f"{name} {key}")
            else:
                np.testing.assert_array_equal(other, learned)


def test_each_level_is_fitted_in_a_pass_of_its_own() -> None:
    data = {"x": np.ones((10, 3)), "kind": np.arange(10) % 2}
    passes = []

    def make() -> Iterator[dict[str, np.ndarray]]:
        passes.append(1)
        yield from batches_of(data, 4)

    two_levels().fit_generator(make)
    assert len(passes) == 3  # the mean for missing values, whitening and one-hot, whitening of both


def test_a_generator_that_can_be_read_once_is_refused_before_anything_is_read() -> None:
    data = {"x": np.ones((10, 3)), "kind": np.arange(10) % 2}
    once = iter(batches_of(data, 4))
    with pytest.raises(PipelineError, match="fitting takes 3 passes over the data"):
        two_levels().fit_generator(once)
    assert len(list(once)) == 3


def test_a_generator_that_can_be_read_once_does_for_one_pass() -> None:
    x = Input("x")
    pipeline = Pipeline(x, Counting()(x, "out")).fit_generator({"x": np.ones(2)} for _ in range(3))
    assert pipeline.layer("out").metadata["count"] == 6


def test_an_endless_generator_ends_after_its_steps() -> None:
    x = Input("x")
    endless = ({"x": np.ones(2)} for _ in itertools.count())
    pipeline = Pipeline(x, Counting()(x, "out")).fit_generator(endless, steps_per_epoch=5, epochs=2)
    assert pipeline.layer("out").metadata["count"] == 20


def test_a_generator_that_ends_too_early_is_an_error() -> None:
    x = Input("x")
    short = ({"x": np.ones(2)} for _ in range(3))
    with pytest.raises(DataError, match="ended after 3 of 5 batches in pass 1 of 1"):
        Pipeline(x, Counting()(x, "out")).fit_generator(short, steps_per_epoch=5)


def test_a_generator_that_gives_nothing_is_an_error() -> None:
    x = Input("x")
    with pytest.raises(DataError, match="the generator gave no batch"):
        Pipeline(x, Counting()(x, "out")).fit_generator([])


def test_a_layer_that_cannot_be_merged_is_refused_with_its_name() -> None:
    x = Input("x")
    pipeline = Pipeline(x, Counting()(Whole()(x, "whole"), "out"))
    with pytest.raises(PipelineError, match="cannot be fitted batch by batch: Whole 'whole'"):
        pipeline.fit_generator([{"x": np.ones(2)}])
    with pytest.raises(PipelineError, match="cannot be fitted batch by batch: Whole 'whole'"):
        pipeline.partial_fit({"x": np.ones(2)})


def test_epochs_count_for_layers_that_go_on_learning_alone() -> None:
    x = Input("x")
    pipeline = Pipeline(x, [Counting()(x, "count"), layers.Whiten()(x, "white")])
    pipeline.fit({"x": np.arange(4.0)}, epochs=3)
    assert pipeline.layer("count").metadata["count"] == 12
    pipeline.fit_generator([{"x": np.arange(4.0)}], epochs=3)
    assert pipeline.layer("count").metadata["count"] == 12


@pytest.mark.parametrize("epochs", [0, -1, 2.5, True])
def test_epochs_that_are_no_count_are_refused(epochs: object) -> None:
    x = Input("x")
    with pytest.raises(PipelineError, match="epochs: expected a whole number from 1 on"):
        Pipeline(x, Counting()(x, "out")).fit({"x": np.ones(2)}, epochs=epochs)


def test_batches_transformed_one_by_one_equal_the_whole() -> None:
    x = Input("x", (2,))
    windows = layers.TimeSeries(3)(layers.Whiten()(x), "windows")
    data = np.random.default_rng(0).normal(size=(11, 2))
    pipeline = Pipeline(x, windows).fit({"x": data})
    parts = [each["windows"] for each in pipeline.transform_generator(batches_of({"x": data}, 4))]
    np.testing.assert_array_equal(np.concatenate(parts), pipeline.transform({"x": data})["windows"])


def test_metrics_over_batches_equal_those_of_the_whole() -> None:
    truth, prediction = Input("truth"), Input("prediction")
    from sklearn.metrics import f1_score, roc_auc_score

    pipeline = Pipeline(
        [truth, prediction],
        layers.ScalarMultiply(1)(prediction, "same"),
        [
            metrics.Metric(roc_auc_score)([truth, prediction], "auc"),
            metrics.Accuracy()([truth, prediction], "accuracy"),
        ],
    )
    rng = np.random.default_rng(1)
    data = {"truth": rng.integers(0, 2, 50), "prediction": rng.random(50)}
    assert pipeline.evaluate_generator(batches_of(data, 7)) == pipeline.evaluate(data)
    assert f1_score(data["truth"], data["prediction"] > 0.5) > 0


def test_pairs_of_data_and_labels_are_batches_too() -> None:
    x, label = Input("x", (2,)), Input("label")
    from sklearn.linear_model import SGDClassifier

    layer = layers.Sklearn(SGDClassifier(random_state=0), method="predict", classes=[0, 1])
    pipeline = Pipeline([x, label], layer([x, label], "class"))
    data = np.random.default_rng(0).normal(size=(40, 2))
    labels = (data[:, 0] > 0).astype(int)
    pipeline.fit_generator([(data[:20], labels[:20]), (data[20:], labels[20:])], epochs=5)
    assert (pipeline.transform(data)["class"] == labels).mean() > 0.8
