from __future__ import annotations

import numpy as np
import pytest

from mlpipeline.dataflow import Input, Pipeline, layers, metrics
from mlpipeline.dataflow.graph import ordered
from mlpipeline.errors import DataError, PipelineError


def test_a_missing_input_is_named() -> None:
    x, y = Input("x"), Input("y")
    total = layers.Add()([x, y], "total")
    with pytest.raises(PipelineError, match=r"needs the input 'y', which is not among its inputs \('x'\)"):
        Pipeline(x, total)


def test_an_unused_input_is_named() -> None:
    x, y = Input("x"), Input("y")
    with pytest.raises(PipelineError, match="input 'y' is not used"):
        Pipeline([x, y], layers.ScalarMultiply(2)(x, "twice"))


def test_two_nodes_of_one_name_are_refused() -> None:
    x = Input("x")
    one = layers.ScalarMultiply(2)(x, "same")
    two = layers.ScalarMultiply(3)(one, "same")
    with pytest.raises(PipelineError, match="two nodes have the name 'same'"):
        Pipeline(x, two)


def test_a_node_may_not_be_called_as_an_input() -> None:
    x = Input("x")
    with pytest.raises(PipelineError, match="two nodes have the name 'x': an input and one of ScalarMultiply"):
        Pipeline(x, layers.ScalarMultiply(2)(x, "x"))


def test_an_output_without_a_name_is_refused() -> None:
    x = Input("x")
    with pytest.raises(PipelineError, match="the output of ScalarMultiply has no name"):
        Pipeline(x, layers.ScalarMultiply(2)(x))


def test_a_circle_is_an_error_that_shows_it() -> None:
    x = Input("x")
    first = layers.ScalarMultiply(2)(x, "first")
    second = layers.ScalarMultiply(2)(first, "second")
    first.application.inputs = first.application.features = (second,)
    with pytest.raises(PipelineError, match=r"in a circle: .*'first'.*'second'"):
        Pipeline(x, second)


def test_a_deep_graph_needs_no_deep_stack() -> None:
    node = x = Input("x")
    for _ in range(3000):
        node = layers.ScalarMultiply(1)(node)
    last = layers.ScalarMultiply(1)(node, "last")
    assert Pipeline(x, last).transform({"x": np.array([7])})["last"].tolist() == [7]


def test_layers_come_after_those_that_they_stand_on() -> None:
    x = Input("x", (2,))
    white = layers.Whiten()(x)
    both = layers.Add()([white, layers.ScalarMultiply(2)(white)], "both")
    found = ordered([both])
    assert [type(each.layer).__name__ for each in found] == ["Whiten", "ScalarMultiply", "Add"]


def test_shapes_are_checked_where_the_graph_is_built() -> None:
    x = Input("x", (4,))
    with pytest.raises(PipelineError, match=r"StaticDot on node 'x'"):
        layers.StaticDot(np.ones((3, 2)))(x)


def test_a_layer_called_on_an_array_says_what_to_do() -> None:
    with pytest.raises(PipelineError, match=r"expected a node or a list of nodes, but got an array of shape \(3,\)"):
        layers.Whiten()(np.ones(3))


def test_a_layer_called_on_too_many_nodes_is_refused() -> None:
    with pytest.raises(PipelineError, match="Whiten cannot be called on 2 nodes"):
        layers.Whiten()([Input("x"), Input("y")])


def test_nodes_over_other_observations_are_not_combined() -> None:
    x, mask = Input("x"), Input("mask")
    kept = layers.Filter()([x, mask])
    with pytest.raises(PipelineError, match="expected nodes over the same observations"):
        layers.Add()([x, kept])


def test_nodes_filtered_by_the_same_mask_are_combined() -> None:
    x, y, mask = Input("x"), Input("y"), Input("mask")
    total = layers.Add()([layers.Filter()([x, mask]), layers.Filter()([y, mask])], "total")
    data = {"x": np.arange(4), "y": np.arange(4), "mask": np.array([True, False, False, True])}
    assert Pipeline([x, y, mask], total).transform(data)["total"].tolist() == [0, 6]


def test_a_metric_is_no_output() -> None:
    x, y = Input("x"), Input("y")
    accuracy = metrics.Accuracy()([x, y], "accuracy")
    with pytest.raises(PipelineError, match=r"pass it as metrics=\[...\]"):
        Pipeline([x, y], accuracy)


def test_a_metric_needs_a_name_and_gives_no_array() -> None:
    x, y = Input("x"), Input("y")
    with pytest.raises(PipelineError, match="Accuracy needs a name"):
        metrics.Accuracy()([x, y])
    with pytest.raises(PipelineError, match="whose value is no array of observations"):
        layers.ScalarMultiply(2)(metrics.Accuracy()([x, y], "accuracy"))


@pytest.mark.parametrize("shape", [(0,), (-1,), "3", (2.5,)])
def test_a_shape_that_is_none_is_refused(shape: object) -> None:
    with pytest.raises(PipelineError, match="expected a shape like"):
        Input("x", shape)


def test_an_eager_graph_has_values_and_its_pipeline_starts_unfitted() -> None:
    array = np.array([[1.0, 2.0], [3.0, 6.0]])
    x = Input("x", (2,))(array)
    white = layers.Whiten()(x, "white")
    assert white.value.tolist() == [[-1, -1], [1, 1]]
    with pytest.raises(PipelineError, match="'white' has not been fitted"):
        Pipeline(x, white).transform({"x": array})


def test_an_eager_input_checks_its_data() -> None:
    with pytest.raises(DataError, match=r"expected an array of shape \(n, 2\), but got \(3,\)"):
        Input("x", (2,))(np.ones(3))


def test_a_node_without_data_has_no_value() -> None:
    with pytest.raises(PipelineError, match="node 'x' has no value"):
        _ = Input("x").value
