"""Mean and variance from batches."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpipeline.dataflow.layers.moments import Moments, learn_moments
from mlpipeline.errors import DataError


def streamed(values, cuts):
    state = {}
    for batch in np.split(values, cuts):
        state = learn_moments(state, batch)
    return state


@settings(max_examples=60, deadline=None)
@given(
    rows=st.integers(2, 60), cuts=st.lists(st.integers(0, 60), max_size=5), far=st.sampled_from([0.0, 1e3, -1e9, 1e12])
)
def test_stream_equals_whole_however_far_from_zero_the_values_are(rows, cuts, far):
    values = np.random.default_rng(rows).normal(far, 1.0, (rows, 3))
    whole, parts = learn_moments({}, values), streamed(values, sorted(min(cut, rows) for cut in cuts))
    np.testing.assert_allclose(parts["std"], whole["std"], rtol=1e-12)
    np.testing.assert_allclose(parts["mean"], whole["mean"], rtol=1e-12)


def test_variance_far_from_zero_is_that_of_exact_arithmetic():
    from statistics import pvariance

    values = np.random.default_rng(0).integers(0, 9, 500) + 1e15
    exact = pvariance(map(int, values))
    assert streamed(values, [100, 101, 350])["std"] ** 2 == pytest.approx(exact, rel=1e-13)


def test_a_constant_has_a_variance_of_exactly_zero_in_a_stream_too():
    assert streamed(np.full((1000, 1), 0.1), [3, 70, 500])["std"] == 0.0


def test_nan_counts_as_no_value():
    values = np.random.default_rng(1).normal(5, 2, (40, 4))
    values[::3, 1] = np.nan
    values[:20, 2] = np.nan
    for state in (learn_moments({}, values), streamed(values, [10, 15, 30])):
        np.testing.assert_allclose(state["mean"], np.nanmean(values, axis=0), rtol=1e-13)
        np.testing.assert_allclose(state["std"], np.nanstd(values, axis=0), rtol=1e-13)
        assert state["count"].tolist() == [40, 26, 20, 40]


def test_a_position_without_a_value_has_no_mean():
    moments = Moments.of(np.array([[1.0, np.nan], [3.0, np.nan]]))
    assert moments.mean[0] == 2.0
    assert np.isnan(moments.mean[1])
    assert moments.count.tolist() == [2, 0]


def test_moments_of_different_origins_are_merged():
    values = np.random.default_rng(2).normal(1e6, 3, 200)
    merged = Moments.of(values[:50]).merge(Moments.of(values[50:]))
    np.testing.assert_allclose(merged.std, values.std(), rtol=1e-9)
    assert merged.count == 200


def test_an_empty_batch_changes_nothing():
    values = np.arange(6.0).reshape(3, 2)
    state = learn_moments(learn_moments({}, values[:0]), values)
    np.testing.assert_array_equal(state["mean"], [2.0, 3.0])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array(["a"]), "expected numbers"),
        (np.array([1.0, np.inf]), "infinite"),
        (np.ones((2, 3)), "as in the batches before"),
    ],
)
def test_what_has_no_moments_is_refused(values, message):
    with pytest.raises(DataError, match=message):
        learn_moments(learn_moments({}, np.ones(2)), values)


def test_small_integers_are_summed_in_float64():
    values = np.full((300, 1), 255, dtype=np.uint8)
    values[0] = 0
    np.testing.assert_allclose(learn_moments({}, values)["mean"], values.astype(float).mean(axis=0))
