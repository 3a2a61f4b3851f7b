"""Numeric layers against NumPy and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.preprocessing import StandardScaler

from mlpipeline.dataflow.layers import (
    Add,
    Divide,
    Dot,
    ElementWiseMultiply,
    Normalize,
    ScalarMultiply,
    StaticDot,
    Subtract,
    Whiten,
)
from mlpipeline.dataflow.node import Input
from mlpipeline.dataflow.spec import Spec
from mlpipeline.errors import DataError, PipelineError

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(6, 4)), RNG.normal(size=(6, 4))
BYTES = np.array([[200, 100], [255, 1]], dtype=np.uint8)


@pytest.mark.parametrize(
    ("layer", "expected"),
    [(Add(), X + Y), (Subtract(), X - Y), (ElementWiseMultiply(), X * Y), (Divide(), X / Y)],
)
def test_arithmetic_is_that_of_numpy(layer, expected):
    np.testing.assert_array_equal(layer.transform(X, Y), expected)


def test_more_than_two_arrays_are_added_and_multiplied():
    np.testing.assert_array_equal(Add().transform(X, Y, X), X + Y + X)
    np.testing.assert_array_equal(ElementWiseMultiply().transform(X, Y, Y), X * Y * Y)


def test_small_integers_do_not_wrap():
    assert Add().transform(BYTES, BYTES).max() == 510
    assert Subtract().transform(np.uint8([1]), np.uint8([3])).tolist() == [-2]
    assert ElementWiseMultiply().transform(BYTES, BYTES).max() == 255 * 255
    assert ScalarMultiply(2).transform(BYTES).tolist() == [[400, 200], [510, 2]]
    assert StaticDot([[1], [1]]).transform(BYTES).tolist() == [[300], [256]]
    assert Dot().transform(BYTES, BYTES).tolist() == [50000, 65026]


@pytest.mark.parametrize(("given", "result"), [("f4", "f4"), ("f8", "f8"), ("f2", "f8"), ("i4", "f8"), ("?", "f8")])
def test_float32_stays_and_what_is_less_is_calculated_in_float64(given, result):
    values = np.ones((3, 2)).astype(given)
    for layer in (ScalarMultiply(0.5), ScalarMultiply(np.float64(0.5)), StaticDot(np.eye(2) / 2), Normalize()):
        assert layer.transform(values).dtype == result
        assert layer.infer(Spec.of(values)) == Spec((2,), np.dtype(result))
    assert Whiten().fit(values).transform(values).dtype == result


def test_float16_is_not_calculated_in_float16():
    assert Add().transform(np.float16([60000]), np.float16([60000])).tolist() == [120000.0]


def test_shapes_are_broadcast_within_observations_never_over_them():
    square, per_row = np.zeros((3, 3)), np.array([1.0, 2.0, 3.0])
    np.testing.assert_array_equal(Add().transform(square, per_row), [[1, 1, 1], [2, 2, 2], [3, 3, 3]])
    images, channels = RNG.normal(size=(5, 4, 5, 3)), RNG.normal(size=(5, 3))
    expected = np.stack([image * channel for image, channel in zip(images, channels, strict=True)])
    np.testing.assert_array_equal(ElementWiseMultiply().transform(images, channels), expected)
    assert ElementWiseMultiply().infer(Spec.of(images), Spec.of(channels)) == Spec.of(expected)


def test_shapes_that_do_not_fit_are_refused_when_the_graph_is_built():
    with pytest.raises(PipelineError, match=r"Add.*expected the same shape, but got \(n, 3\) and \(n, 4\)"):
        Add()([Input("a", 3), Input("b", 4)])
    with pytest.raises(PipelineError, match="expected two or more nodes"):
        Add()(Input("a", 3))
    with pytest.raises(PipelineError, match="expected numbers"):
        Add()([Input("a", 3), Input("b", 3, dtype="U5")])
    assert Add()([Input("a", (None, 3)), Input("b", (2, 1))]).spec.shape == (2, 3)


def test_arrays_of_different_observations_or_of_texts_are_refused():
    with pytest.raises(DataError, match="same observations, but got 6 and 5"):
        Add().transform(X, Y[:5])
    with pytest.raises(DataError, match="expected numbers"):
        Add().transform(np.array(["a"]), np.array(["b"]))


def test_division_by_zero_gives_what_is_imputed():
    dividend, divisor = np.array([[1.0, 0.0], [4.0, np.nan]]), np.array([[0.0, 0.0], [2.0, 0.0]])
    np.testing.assert_array_equal(Divide().transform(dividend, divisor), [[0, 0], [2, 0]])
    np.testing.assert_array_equal(Divide(impute=np.nan).transform(dividend, divisor)[1], [2.0, np.nan])
    assert Divide(impute=-1).transform(np.uint8([6, 1]), np.uint8([4, 0])).tolist() == [1.5, -1.0]
    assert Divide().transform(np.ones((2, 3)), np.array([0.0, 2.0])).tolist() == [[0, 0, 0], [0.5, 0.5, 0.5]]
    assert dividend[0, 0] == 1.0


def test_dates_are_subtracted():
    days = np.array(["2024-03-01", "2024-01-01"], dtype="M8[D]")
    assert Subtract().transform(days, days[::-1]).astype(int).tolist() == [60, -60]
    assert Subtract().infer(Spec.of(days), Spec.of(days)).dtype == np.dtype("m8[D]")


@pytest.mark.parametrize("shapes", [((4,), (4,)), ((3, 4), (4,)), ((3,), (3, 4)), ((2, 3), (3, 4))])
def test_dot_is_the_product_within_each_observation(shapes):
    first, second = (RNG.normal(size=(5, *shape)) for shape in shapes)
    expected = np.stack([a @ b for a, b in zip(first, second, strict=True)])
    np.testing.assert_allclose(Dot().transform(first, second), expected, rtol=1e-13)
    assert Dot().infer(Spec.of(first), Spec.of(second)) == Spec.of(expected)


def test_dot_refuses_what_has_no_product():
    with pytest.raises(PipelineError, match="expected 3 values to multiply with"):
        Dot()([Input("a", 3), Input("b", 4)])
    with pytest.raises(DataError, match="ElementWiseMultiply"):
        Dot().transform(X[:, 0], Y[:, 0])


def test_static_dot_is_a_product_with_a_matrix():
    matrix = RNG.normal(size=(4, 2))
    np.testing.assert_allclose(StaticDot(matrix).transform(X), X @ matrix)
    np.testing.assert_allclose(StaticDot(matrix[:, 0]).transform(X), X @ matrix[:, 0])
    with pytest.raises(PipelineError, match=r"\(n, ..., 4\), as W is long, but got \(n, 3\)"):
        StaticDot(matrix)(Input("a", 3))
    with pytest.raises(DataError, match=r"but got \(6,\)"):
        StaticDot(np.ones(6)).transform(X[:, 0])


def test_a_matrix_that_the_caller_changes_later_changes_no_layer():
    matrix = np.eye(4)
    layer = StaticDot(matrix)
    matrix[:] = 0
    np.testing.assert_array_equal(layer.transform(X), X)


def test_normalized_observations_sum_to_one():
    counts = np.array([[1, 3], [0, 0], [5, 5]])
    assert Normalize().transform(counts).tolist() == [[0.25, 0.75], [0.5, 0.5], [0.5, 0.5]]
    np.testing.assert_allclose(Normalize().transform(np.abs(X).reshape(6, 2, 2)).sum(axis=-1), 1.0)


def test_an_observation_that_cannot_be_normalized_is_named():
    with pytest.raises(DataError, match="observation 1 sums to 0"):
        Normalize().transform(np.array([[1.0, 2.0], [1.0, -1.0]]))
    with pytest.raises(PipelineError, match="several values"):
        Normalize()(Input("a"))


def test_whiten_is_the_standard_scaler():
    values = np.column_stack([X, np.full(6, 0.1)])
    values[2, 1] = np.nan
    np.testing.assert_allclose(Whiten().fit_transform(values), StandardScaler().fit_transform(values), atol=1e-12)


def test_a_constant_column_is_divided_by_one():
    assert Whiten().fit(np.full((7, 1), 0.1)).transform(np.array([[1.1]])).item() == pytest.approx(1.0)


@pytest.mark.parametrize("shape", [(), (3,), (2, 3, 2)])
def test_whitening_a_stream_equals_whitening_the_whole(shape):
    values = RNG.normal(1e9, 2.0, size=(101, *shape))
    whole, parts = Whiten().fit(values), Whiten()
    for batch in np.array_split(values, 7):
        parts.partial_fit(batch)
    np.testing.assert_allclose(parts.metadata["std"], whole.metadata["std"], rtol=1e-12)
    np.testing.assert_allclose(parts.transform(values), whole.transform(values), atol=1e-12)


@pytest.mark.parametrize("dtype", ["f4", "f8", "u1"])
def test_affine_layers_say_which_map_they_are(dtype):
    values = (np.abs(RNG.normal(size=(9, 4))) * 50).astype(dtype)
    for layer in (Whiten().fit(values), ScalarMultiply(0.3), StaticDot(RNG.normal(size=(4, 2)))):
        expected = layer.transform(values)
        affine, link = layer.affine_link(Spec((4,), np.dtype(float)))
        np.testing.assert_allclose(
            affine(values.astype(float)), expected, rtol=1e-5 if dtype == "f4" else 1e-12, atol=1e-6
        )
        assert link is None


def test_layers_that_are_no_affine_map_say_so():
    assert Whiten().affine(Spec((4,))) is None
    assert Whiten().fit(X).affine(Spec((X.shape[1] + 1,), np.dtype(float))) is None
    assert ScalarMultiply(2j).affine(Spec((4,), np.dtype(float))) is None
    assert StaticDot(np.eye(3)).affine(Spec((2, 3), np.dtype(float))) is None


@pytest.mark.parametrize("columns", [1, 2, 4])
def test_whitening_other_observations_than_those_of_the_fit_is_refused(columns):
    layer = Whiten().fit(RNG.normal(size=(5, 3)))
    with pytest.raises(DataError, match=rf"expected observations \(n, 3\), as fitted, but got \(5, {columns}\)"):
        layer.transform(RNG.normal(size=(5, columns)))


def test_integers_that_int64_cannot_hold_are_refused():
    large = np.array([1, 2**63], dtype=np.uint64)
    for layer, arrays in ((Add(), (large, large)), (ScalarMultiply(2), (large,))):
        with pytest.raises(DataError, match=r"up to 9223372036854775807, but got 9223372036854775808.*Cast\(float\)"):
            layer.transform(*arrays)
    assert ScalarMultiply(2).transform(large[:1]).tolist() == [2]


@pytest.mark.parametrize("layer", [Divide(impute=3), ScalarMultiply(4.0), StaticDot(np.eye(2)), Whiten().fit(X)])
def test_a_clone_has_the_parameters_and_no_state(layer):
    copied = clone(layer)
    assert repr(copied) == repr(layer)
    assert "_metadata" not in vars(copied)


def test_whiten_that_was_not_fitted_says_so():
    with pytest.raises(PipelineError, match="Whiten has learned nothing yet"):
        Whiten().transform(X)


def test_no_layer_changes_its_arrays():
    before = X.copy()
    for layer in (ScalarMultiply(2.0), Normalize(), Whiten().fit(X), StaticDot(np.eye(4))):
        layer.transform(np.abs(X) if isinstance(layer, Normalize) else X)
    Add().transform(X, X)
    np.testing.assert_array_equal(X, before)


def test_a_factor_that_is_no_number_is_refused():
    with pytest.raises(PipelineError, match="ElementWiseMultiply"):
        ScalarMultiply([1, 2])
