from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as judged
from sklearn.base import clone

from mlpipeline.dataflow import Input, Pipeline, layers, metrics
from mlpipeline.errors import DataError, PipelineError

TRUTH = np.array([0, 1, 1, 0, 1])
HITS = np.array([0, 1, 0, 0, 1])
SCORES = np.array([[0.9, 0.1], [0.45, 0.55], [0.55, 0.45], [0.7, 0.3], [0.1, 0.9]])


@pytest.mark.parametrize(
    ("truth", "prediction"),
    [
        (TRUTH, HITS),
        (TRUTH, SCORES),
        (np.eye(2)[TRUTH], SCORES),
        (np.eye(2)[TRUTH], HITS),
        (TRUTH, SCORES[:, 1]),
        (TRUTH.astype(bool), SCORES[:, 1:]),
        (TRUTH[:, None], HITS.astype(float)),
        (np.array(["no", "yes"])[TRUTH], np.array(["no", "yes"], dtype=object)[HITS]),
        (TRUTH + 7, HITS + 7),
        (np.eye(5)[TRUTH + 2], np.eye(5)[HITS + 2]),
        (TRUTH + 0.5, HITS + 0.5),
    ],
)
def test_accuracy_takes_labels_scores_and_probabilities_on_either_side(truth: Any, prediction: Any) -> None:
    assert metrics.Accuracy().observe(truth, prediction) == pytest.approx(4 / 5)
    assert type(metrics.Accuracy().observe(truth, prediction)) is float


@pytest.mark.parametrize(
    ("truth", "prediction", "message"),
    [
        (TRUTH, HITS[:4], r"same n, but got truth \(5,\) and prediction \(4,\)"),
        (np.eye(3)[TRUTH], SCORES, "as many classes"),
        (np.zeros((5, 2, 2)), SCORES, r"but got truth \(5, 2, 2\)"),
        (np.array(["a", "b"])[TRUTH], HITS, "truth is text and prediction numbers"),
        (np.array(["a", "b"])[TRUTH], SCORES, "labels that are text"),
        (TRUTH + 1, SCORES, r"from 0 to 1, but got .*2"),
        (TRUTH, SCORES[:, 0] * 8 - 4, "put a sigmoid behind logits"),
        (TRUTH * 10, SCORES[:, 1], "is it a regression's"),
    ],
)
def test_accuracy_refuses_what_cannot_be_compared(truth: Any, prediction: Any, message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        metrics.Accuracy().observe(truth, prediction)


def test_accuracy_refuses_no_observations_and_missing_values() -> None:
    with pytest.raises(DataError, match="no observations"):
        metrics.Accuracy().observe(TRUTH[:0], HITS[:0])
    with pytest.raises(DataError, match="1 values of prediction are missing"):
        metrics.Accuracy().observe(TRUTH, np.array([0, 1, np.nan, 0, 1]))


def test_accuracy_refuses_shapes_when_the_graph_is_built() -> None:
    with pytest.raises(PipelineError, match=r"expected prediction as labels .*got \(n, 4, 4, 3\)"):
        metrics.Accuracy()([Input("label"), Input("image", (4, 4, 3))], "accuracy")
    with pytest.raises(PipelineError, match="as many classes"):
        metrics.Accuracy()([Input("one", 3), Input("other", 4)], "accuracy")
    with pytest.raises(PipelineError, match="cannot be called on 1 nodes"):
        metrics.Accuracy()(Input("label"), "accuracy")


@pytest.mark.parametrize(
    ("function", "kwargs"),
    [
        (judged.f1_score, {"average": "macro"}),
        (judged.accuracy_score, {}),
        (judged.matthews_corrcoef, {}),
        (judged.mean_squared_error, {}),
    ],
)
def test_a_metric_is_any_function_of_scikit_learn(function: Any, kwargs: dict[str, Any]) -> None:
    value = metrics.Metric(function, **kwargs).observe(TRUTH, HITS)
    assert value == pytest.approx(function(TRUTH, HITS, **kwargs))
    assert type(value) is float


def test_a_metric_that_gives_an_array_gives_it_as_it_is() -> None:
    found = metrics.Metric(judged.confusion_matrix).observe(TRUTH, HITS)
    np.testing.assert_array_equal(found, [[2, 0], [1, 2]])


def test_a_pipeline_evaluates_its_metrics_by_name() -> None:
    x, truth = Input("x"), Input("truth")
    twice = layers.ScalarMultiply(2)(x, "twice")
    error = metrics.Metric(judged.mean_squared_error)([truth, twice], "error")
    pipeline = Pipeline([x, truth], twice, [error])
    found = pipeline.evaluate({"x": np.arange(4.0), "truth": np.ones(4)})
    assert found == {"error": pytest.approx(np.mean((2 * np.arange(4.0) - 1) ** 2))}


def test_a_metric_keeps_its_arguments_when_it_is_cloned_and_changed() -> None:
    metric = metrics.Metric(judged.fbeta_score, beta=2)
    copied = clone(metric).set_params(beta=0.5)
    assert copied.get_params() == {"function": judged.fbeta_score, "beta": 0.5}
    assert metric.get_params() == {"function": judged.fbeta_score, "beta": 2}
    assert copied.observe(TRUTH, HITS) == pytest.approx(judged.fbeta_score(TRUTH, HITS, beta=0.5))


def test_a_wrong_argument_or_number_of_nodes_is_refused_when_the_graph_is_built() -> None:
    with pytest.raises(PipelineError, match="no argument 'averag'; did you mean average"):
        metrics.Metric(judged.f1_score, averag="macro")
    with pytest.raises(PipelineError, match="does not take 1 arrays"):
        metrics.Metric(judged.f1_score)(Input("x"), "f1")
    with pytest.raises(PipelineError, match="expected a function"):
        metrics.Metric("f1")  # type: ignore[arg-type]
    with pytest.raises(PipelineError, match="needs a name"):
        metrics.Metric(judged.f1_score)([Input("x"), Input("y")])
