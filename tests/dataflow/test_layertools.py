"""Many nodes, many layers, single observations, chance."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.base import clone

from mlpipeline.dataflow import layertools
from mlpipeline.dataflow.layers import AddDim, Flatten, Lambda, ScalarMultiply, Whiten
from mlpipeline.dataflow.node import Input
from mlpipeline.errors import DataError, PipelineError

X = np.arange(1.0, 2001.0).reshape(1000, 2)


def test_a_layer_is_mapped_over_nodes():
    nodes = [Input("a", 2)(X), Input("b", 2)(10 * X)]
    white = layertools.map(Whiten(), nodes, ["white a", "white b"])
    assert [node.name for node in white] == ["white a", "white b"]
    np.testing.assert_allclose(white[0].value, white[1].value)


def test_map_refuses_names_that_are_too_few():
    with pytest.raises(PipelineError, match="a name for each of 2 nodes"):
        layertools.map(Flatten(), [Input("a"), Input("b")], ["one"])
    with pytest.raises(PipelineError, match="a list of nodes"):
        layertools.map(Flatten(), Input("a"))


def test_layers_are_applied_one_after_the_other():
    node = layertools.apply([ScalarMultiply(2.0), AddDim()], Input("x", 2)(X), "result")
    assert node.name == "result"
    np.testing.assert_array_equal(node.value, 2 * X[..., None])
    with pytest.raises(PipelineError, match="a list of layers"):
        layertools.apply([], Input("x"))


def spread(row, other=0.0, scale=1):
    return scale * (row.max() - row.min()) + other


def test_a_function_of_one_observation_becomes_a_layer():
    layer = layertools.vectorize(spread, scale=3)
    np.testing.assert_array_equal(layer.transform(X), np.full(1000, 3.0))
    np.testing.assert_array_equal(layer.transform(X, X[:, 0]), 3 + X[:, 0])
    assert clone(layer).get_params() == {"function": spread, "scale": 3}


def test_observations_whose_results_differ_in_shape_are_refused():
    with pytest.raises(DataError, match=r"results of one shape, but the function gave \(1,\) and \(2,\)"):
        layertools.vectorize(lambda n: np.zeros(n)).transform(np.array([1, 2]))


def negated(values):
    return -values


@pytest.mark.parametrize("layer", [negated, ScalarMultiply(-1.0), Lambda(negated)])
def test_some_observations_are_changed_and_the_others_stay(layer):
    result = layertools.maybe(layer, p=0.3, seed=1).transform(X)
    changed = (result == -X).all(axis=1)
    assert ((result == X).all(axis=1) ^ changed).all()
    assert 250 < changed.sum() < 350
    assert X.min() > 0


def test_the_same_data_and_seed_give_the_same_in_every_thread_and_another_seed_another():
    layer = layertools.maybe(negated, p=0.5, seed=7)
    expected = layer.transform(X)
    with ThreadPoolExecutor(4) as pool:
        for result in pool.map(layer.transform, [X] * 16):
            np.testing.assert_array_equal(result, expected)
    assert (layertools.maybe(negated, p=0.5, seed=8).transform(X) != expected).any()


def test_batches_of_a_stream_are_changed_as_the_whole_is():
    layer = layertools.maybe(negated, p=0.5)
    transform = layer.streamed()
    parts = np.concatenate([transform(batch) for batch in np.split(X, [0, 1, 400, 777])])
    np.testing.assert_array_equal(parts, layer.transform(X))


@pytest.mark.parametrize(("p", "changed"), [(0, 0), (1, 1000)])
def test_never_and_always(p, changed):
    result = layertools.maybe(lambda x: x - 0.5 * x.max(axis=0), p=p).transform(X.astype(int))
    assert (result != X).all(axis=1).sum() == changed
    assert result.dtype == float


def test_what_cannot_be_applied_to_some_observations_is_refused():
    with pytest.raises(PipelineError, match="without state"):
        layertools.maybe(Whiten())
    with pytest.raises(PipelineError, match="p from 0 to 1"):
        layertools.maybe(negated, p=2)
    with pytest.raises(PipelineError, match="keeps the shape"):
        layertools.maybe(AddDim())(Input("x", 2))
    with pytest.raises(DataError, match="expected a result of shape"):
        layertools.maybe(lambda x: x[:, 0], p=1).transform(X)


def test_an_empty_batch_stays_empty():
    assert layertools.maybe(negated).transform(X[:0]).shape == (0, 2)
