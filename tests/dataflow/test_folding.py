from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.preprocessing import MinMaxScaler

from mlpipeline.dataflow import Input, Pipeline, layers
from mlpipeline.dataflow.plan import make_plan
from mlpipeline.errors import DataError


def unfolded(pipeline: Pipeline, values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Run each layer on its own."""
    graph = pipeline.graph
    result = make_plan(graph.outputs, pipeline._prepared.layers).run({node: values[node.name] for node in graph.inputs})
    return {node.name: result[node] for node in graph.outputs}


def steps(pipeline: Pipeline) -> int:
    return len(pipeline._prepared.plan)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
@pytest.mark.parametrize("far", [0, 1000])
def test_a_chain_of_affine_layers_is_one_step_with_the_same_result(dtype: type, far: int) -> None:
    rng = np.random.default_rng(0)
    data = (rng.normal(3, 20, (50, 6)) + far).astype(dtype)
    x = Input("x", (6,))
    white = layers.Whiten()(x)
    product = layers.StaticDot(rng.normal(size=(6, 4)).astype(np.float32 if dtype is np.float32 else float))(white)
    last = layers.Sklearn(PCA(2))(layers.Whiten()(layers.ScalarMultiply(0.5)(product)), "last")
    pipeline = Pipeline(x, last).fit({"x": data})
    assert steps(pipeline) == 1
    expected = unfolded(pipeline, {"x": data})["last"]
    result = pipeline.transform({"x": data})["last"]
    tolerance = 1e-4 if dtype is np.float32 else 1e-12
    np.testing.assert_allclose(result, expected, rtol=tolerance, atol=tolerance * abs(expected).max())
    assert result.dtype == expected.dtype


def test_a_chain_goes_through_a_concatenation_and_ends_in_probabilities() -> None:
    rng = np.random.default_rng(0)
    x, kind, label = Input("x", (5,)), Input("kind"), Input("label")
    joined = layers.Concatenate()([layers.Whiten()(x), layers.OneHotRange(0, 3)(kind)])
    scaled = layers.Sklearn(MinMaxScaler())(joined)
    probability = layers.Sklearn(LogisticRegression())([layers.Sklearn(PCA(4))(scaled), label], "probability")
    data = {"x": rng.normal(5, 3, (80, 5)), "kind": rng.integers(0, 4, 80), "label": rng.integers(0, 3, 80)}
    pipeline = Pipeline([x, kind, label], probability).fit(data)
    assert steps(pipeline) == 2  # one-hot, and all the rest
    np.testing.assert_allclose(
        pipeline.transform(data)["probability"], unfolded(pipeline, data)["probability"], rtol=1e-12, atol=1e-14
    )


def test_a_node_that_is_asked_for_is_computed() -> None:
    x = Input("x", (3,))
    white = layers.Whiten()(x, "white")
    twice = layers.ScalarMultiply(2.0)(white, "twice")
    data = {"x": np.random.default_rng(0).normal(size=(9, 3))}
    pipeline = Pipeline(x, [white, twice]).fit(data)
    outputs = pipeline.transform(data)
    np.testing.assert_array_equal(outputs["twice"], outputs["white"] * 2)


def test_a_node_that_two_layers_need_is_computed_once() -> None:
    x = Input("x", (3,))
    white = layers.ScalarMultiply(3.0)(layers.Whiten()(x))
    two = [layers.ScalarMultiply(2.0)(white, "a"), layers.Whiten()(white, "b")]
    data = {"x": np.random.default_rng(0).normal(size=(9, 3))}
    pipeline = Pipeline(x, two).fit(data)
    assert steps(pipeline) == 3
    for name, expected in unfolded(pipeline, data).items():
        np.testing.assert_allclose(pipeline.transform(data)[name], expected, rtol=1e-12, atol=1e-14)


def test_wide_products_after_narrow_ones_are_not_multiplied_out() -> None:
    rng = np.random.default_rng(0)
    x = Input("x", (100,))
    narrow = layers.StaticDot(rng.normal(size=(100, 2)))(x)
    wide = layers.StaticDot(rng.normal(size=(2, 100)))(narrow, "wide")
    data = {"x": rng.normal(size=(9, 100))}
    pipeline = Pipeline(x, wide).fit(data)
    assert steps(pipeline) == 2
    np.testing.assert_allclose(pipeline.transform(data)["wide"], unfolded(pipeline, data)["wide"], rtol=1e-12)


def test_integers_stay_integers() -> None:
    x = Input("x", (2,))
    pipeline = Pipeline(x, layers.ScalarMultiply(3)(layers.ScalarMultiply(2)(x), "six"))
    outputs = pipeline.fit({"x": np.array([[1, 2**53 + 1]])}).transform({"x": np.array([[1, 2**53 + 1]])})
    assert outputs["six"].tolist() == [[6, 6 * (2**53 + 1)]]


def test_observations_of_one_value_are_folded_too() -> None:
    x = Input("x")
    data = {"x": np.arange(5.0)}
    pipeline = Pipeline(x, layers.ScalarMultiply(2.0)(layers.Whiten()(x), "out")).fit(data)
    assert steps(pipeline) == 1
    np.testing.assert_allclose(pipeline.transform(data)["out"], unfolded(pipeline, data)["out"], rtol=1e-12)


def test_a_folded_chain_refuses_missing_values_as_its_layers_do() -> None:
    data = np.random.default_rng(0).normal(size=(20, 3))
    x, label = Input("x", (3,)), Input("label")
    value = layers.Sklearn(LinearRegression())([layers.Whiten()(x), label], "value")
    reduced = layers.ScalarMultiply(2.0)(layers.Sklearn(PCA(2))(layers.Whiten()(x)), "reduced")
    for output in (value, reduced):
        pipeline = Pipeline([x, label] if output is value else x, output)
        pipeline.fit({"x": data, "label": data[:, 0]} if output is value else {"x": data})
        broken = data.copy()
        broken[4, 1] = np.nan
        with pytest.raises(DataError, match="1 of 20 rows"):
            pipeline.transform({"x": broken})


def test_a_folded_scaler_refuses_infinity_and_passes_nan() -> None:
    x = Input("x", (2,))
    data = np.arange(8.0).reshape(4, 2)
    pipeline = Pipeline(x, layers.ScalarMultiply(2.0)(layers.Sklearn(MinMaxScaler())(x), "out")).fit({"x": data})
    data[1, 1] = np.nan
    assert np.isnan(pipeline.transform({"x": data})["out"]).sum() == 1
    data[1, 1] = np.inf
    with pytest.raises(DataError, match="1 of 4 rows hold infinity"):
        pipeline.transform({"x": data})


def test_values_far_from_zero_keep_their_digits() -> None:
    data = 1e12 + np.random.default_rng(0).normal(size=(50, 3))
    x = Input("x", (3,))
    pipeline = Pipeline(x, layers.Whiten()(layers.ScalarMultiply(3.0)(x), "out")).fit({"x": data})
    assert steps(pipeline) == 1
    expected = unfolded(pipeline, {"x": data})["out"]
    np.testing.assert_allclose(pipeline.transform({"x": data})["out"], expected, atol=2e-3)


@pytest.mark.parametrize(("fitted", "given"), [(np.float32, np.float64), (np.float64, np.float32), (np.int64, float)])
def test_data_of_another_dtype_than_the_fits_are_not_folded(fitted: type, given: type) -> None:
    x = Input("x", (3,))
    data = np.random.default_rng(0).normal(5, 2, size=(50, 3))
    pipeline = Pipeline(x, layers.ScalarMultiply(2.0)(layers.Whiten()(x), "out")).fit({"x": data.astype(fitted)})
    result = pipeline.transform({"x": data.astype(given)})["out"]
    expected = unfolded(pipeline, {"x": data.astype(given)})["out"]
    np.testing.assert_array_equal(result, expected)
    assert result.dtype == expected.dtype


def test_observations_of_another_shape_than_the_fits_are_refused() -> None:
    x = Input("x", (None,))
    pipeline = Pipeline(x, layers.ScalarMultiply(2.0)(layers.Whiten()(x), "out")).fit({"x": np.eye(3)})
    with pytest.raises(DataError, match=r"'out': the fit has seen observations of shape \(3,\), but got \(1,\)"):
        pipeline.transform({"x": np.ones((2, 1))})


def test_maps_too_large_for_float32_are_folded_in_float64() -> None:
    x = Input("x", (3,))
    data = np.full((2, 3), 1e-30, np.float32)
    pipeline = Pipeline(x, layers.ScalarMultiply(1e30)(layers.ScalarMultiply(1e30)(x), "out")).fit({"x": data})
    assert steps(pipeline) == 1
    result = pipeline.transform({"x": data})["out"]
    np.testing.assert_allclose(result, 1e30, rtol=1e-6)
    assert result.dtype == np.float32
