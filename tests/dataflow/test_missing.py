"""Imputation against scikit-learn and by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn.impute import SimpleImputer

from mlpipeline.dataflow.layers import Impute, ImputeMean, ImputeMedian, ImputeMode
from mlpipeline.dataflow.node import Input
from mlpipeline.dataflow.spec import Spec
from mlpipeline.errors import DataError, PipelineError

NAN = float("nan")


def with_gaps(shape=(60, 4)):
    rng = np.random.default_rng(0)
    values = rng.integers(0, 5, shape).astype(float)
    values[rng.random(shape) < 0.3] = NAN
    return values


def test_values_are_replaced_all_at_once():
    assert Impute({1: 2, 2: 3, 3: 1}).transform(np.array([1, 2, 3, 4])).tolist() == [2, 3, 1, 4]


@pytest.mark.parametrize(
    ("values", "replacements", "expected"),
    [
        (np.array([1.0, NAN]), {np.nan: 0}, [1.0, 0.0]),
        (np.array([1, -999]), {-999: 0.5}, [1.0, 0.5]),
        (np.array([1, 2], dtype=np.uint8), {2: 300}, [1, 300]),
        (np.array(["a", "?"]), {"?": "unknown"}, ["a", "unknown"]),
        (np.array(["a", None, NAN], dtype=object), {None: "none", NAN: "nan"}, ["a", "none", "nan"]),
        (np.array([1, "a", True], dtype=object), {1: "one"}, ["one", "a", True]),
        (np.array([pd.NA, pd.NaT, 2], dtype=object), {NAN: 0}, [0, 0, 2]),
        (np.array([pd.NA, None, "a", NAN], dtype=object), {pd.NA: 0}, [0, None, "a", 0]),
        (np.array([1.0, NAN]), {pd.NA: 0}, [1.0, 0.0]),
    ],
)
def test_replacements_fit_the_kind_of_array(values, replacements, expected):
    before = values.copy()
    result = Impute(replacements).transform(values)
    assert result.tolist() == expected
    assert Impute(replacements).infer(Spec.of(values)).dtype == result.dtype
    assert repr(values) == repr(before)


def test_dates_that_are_missing_are_replaced():
    days = np.array(["2024-01-01", "NaT"], dtype="M8[D]")
    assert Impute({NAN: np.datetime64("2000-01-01")}).transform(days).astype(str).tolist() == [
        "2024-01-01",
        "2000-01-01",
    ]


def test_float32_stays_float32():
    assert Impute({NAN: 0.1}).transform(np.array([NAN], dtype="f4")).dtype == np.float32
    assert ImputeMean().fit_transform(with_gaps().astype("f4")).dtype == np.float32


def test_a_dictionary_that_is_changed_later_changes_no_layer():
    replacements = {1: 2}
    layer = Impute(replacements)
    replacements[1] = 3
    assert layer.transform(np.array([1])).tolist() == [2]


def test_replacements_without_effect_are_refused():
    with pytest.raises(PipelineError, match="can never be in an array of float64"):
        Impute({"?": 0})(Input("x", dtype=float))
    with pytest.raises(DataError, match=r"cannot stand in an array of float64; put the layer Cast\(object\)"):
        Impute({NAN: "missing"}).transform(np.array([NAN]))
    with pytest.raises(PipelineError, match="expected a dictionary"):
        Impute({})


@pytest.mark.parametrize(
    ("layer", "strategy"), [(ImputeMean, "mean"), (ImputeMedian, "median"), (ImputeMode, "most_frequent")]
)
def test_imputation_is_that_of_scikit_learn(layer, strategy):
    values = with_gaps()
    before = values.copy()
    expected = SimpleImputer(strategy=strategy).fit_transform(values)
    np.testing.assert_allclose(layer().fit_transform(values), expected, rtol=1e-13)
    np.testing.assert_array_equal(values, before)


@pytest.mark.parametrize("layer", [ImputeMean, ImputeMode])
@pytest.mark.parametrize("shape", [(50,), (50, 3), (50, 2, 3)])
def test_imputation_of_a_stream_equals_that_of_the_whole(layer, shape):
    values, parts = with_gaps(shape), layer()
    for batch in np.split(values, [1, 20, 20, 33]):
        parts.partial_fit(batch)
    np.testing.assert_allclose(parts.transform(values), layer().fit_transform(values), rtol=1e-12)


def test_the_median_refuses_streams():
    with pytest.raises(PipelineError, match="ImputeMedian cannot be fitted batch by batch"):
        ImputeMedian().partial_fit(np.ones(3))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array(["b", "a", None, "a", "b", NAN], dtype=object), ["b", "a", "a", "a", "b", "a"]),
        (np.array([3, None, 3, 1], dtype=object), [3, 3, 3, 1]),
        (np.array([2.0, 1.0, NAN]), [2.0, 1.0, 1.0]),
    ],
)
def test_the_mode_is_the_most_frequent_value_and_of_several_the_smallest(values, expected):
    assert ImputeMode().fit_transform(values).tolist() == expected


def test_the_mode_of_dates():
    days = np.array(["2024-01-02", "2024-01-02", "2024-01-01", "NaT"], dtype="M8[D]")
    assert ImputeMode().fit_transform(days)[3] == days[0]


@pytest.mark.parametrize("layer", [ImputeMean, ImputeMedian, ImputeMode])
def test_a_position_where_nothing_is_known_is_named(layer):
    with pytest.raises(DataError, match=r"every value at position \(1,\) of the observations is missing"):
        layer().fit(np.array([[1.0, NAN], [2.0, NAN]]))


def test_a_stream_in_which_nothing_is_known_is_refused_when_it_is_used():
    layer = ImputeMean().partial_fit(np.array([[NAN]]))
    with pytest.raises(DataError, match="missing"):
        layer.transform(np.array([[NAN]]))
    assert layer.partial_fit(np.array([[4.0]])).transform(np.array([[NAN]])).tolist() == [[4.0]]


def test_observations_of_another_shape_than_fitted_are_refused():
    for layer in (ImputeMean(), ImputeMedian(), ImputeMode()):
        with pytest.raises(DataError, match="as fitted"):
            layer.fit(np.ones((3, 2))).transform(np.ones((3, 1)))
