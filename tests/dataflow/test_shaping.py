"""Shaping layers against NumPy and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.preprocessing import OneHotEncoder

from mlpipeline.dataflow.layers import (
    AddDim,
    Cast,
    Concatenate,
    Filter,
    Flatten,
    OneHotLabels,
    OneHotRange,
    Reshape,
    Slice,
    SplitDict,
    TimeSeries,
)
from mlpipeline.dataflow.node import Input
from mlpipeline.dataflow.spec import Spec
from mlpipeline.errors import DataError, PipelineError

X = np.random.default_rng(0).normal(size=(5, 4, 6))


def in_batches(layer, values, cuts):
    transform = layer.streamed()
    return np.concatenate([transform(batch) for batch in np.split(values, cuts)])


# Cast


@pytest.mark.parametrize("dtype", [float, "int32", np.float32, bool, "U3", object])
def test_cast_is_astype(dtype):
    values = np.array([[1, 0], [3, 2]])
    result = Cast(dtype).transform(values)
    np.testing.assert_array_equal(result, values.astype(dtype))
    assert Cast(dtype).infer(Spec.of(values)) == Spec.of(result)


@pytest.mark.parametrize(
    ("values", "dtype", "message"),
    [
        (np.array([1.0, np.nan]), int, "observation 1 has NaN or infinity.*Impute"),
        (np.array([np.inf]), "uint8", "observation 0 has NaN"),
        (np.array([300]), np.uint8, "uint8 holds 0 to 255, but the values go from 300"),
        (np.array([-1]), np.uint64, "holds 0 to"),
        (np.array([1e19]), int, "holds"),
        (np.array([2.0**63]), int, "holds"),
        (np.array(["x"]), float, "cannot be cast to float64"),
        (np.array([None, 1], dtype=object), int, "Impute"),
        (np.array(["2024-01-01", "NaT"], "M8[D]"), int, "observation 1 has NaT.*Impute"),
        (np.array(["2024-01-01", "NaT"], "M8[D]"), float, "observation 1 has NaT"),
        (np.array(["ab", "abc"]), "U2", "observation 1 has a text of more than 2 characters"),
        (np.array([[7, 8], [9, 100]]), "U2", "observation 1 has a text of more than 2"),
        (np.array([7.25]), "S3", r"more than 3 characters; Cast\(bytes\)"),
        (np.array([1.0, 1e39]), "float32", "observation 1 has a number too large for float32"),
        (np.array([70000]), "float16", "observation 0 has a number too large for float16"),
        (np.array([1.0, 1e39], dtype=object), "float32", "observation 1 has a number too large"),
    ],
)
def test_cast_refuses_what_the_dtype_cannot_hold(values, dtype, message):
    with pytest.raises(DataError, match=message):
        Cast(dtype).transform(values)


def test_cast_cuts_fractions_off():
    assert Cast("uint8").transform(np.array([-0.9, 255.9])).tolist() == [0, 255]


def test_cast_keeps_infinity_and_texts_that_fit():
    assert Cast("float16").transform(np.array([np.inf, np.nan, 3.0]))[0] == np.inf
    assert Cast("float32").transform(np.array(["-inf", "2"], dtype=object)).tolist() == [-np.inf, 2]
    assert Cast("U2").transform(np.array([7, 42])).tolist() == ["7", "42"]


def test_cast_of_no_dtype_is_refused():
    with pytest.raises(PipelineError, match="expected a dtype"):
        Cast("floot")


# axes


@pytest.mark.parametrize("axis", [1, 2, 3, -1, -2])
def test_a_dimension_is_added_where_numpy_adds_it(axis):
    result = AddDim(axis).transform(X)
    np.testing.assert_array_equal(result, np.expand_dims(X, axis))
    assert AddDim(axis).infer(Spec.of(X)) == Spec.of(result)


@pytest.mark.parametrize("layer", [AddDim, Concatenate, lambda axis: TimeSeries(2, time_axis=axis)])
def test_the_axis_of_observations_is_refused(layer):
    with pytest.raises(PipelineError, match="is the observations"):
        layer(0)
    with pytest.raises(PipelineError, match=r"axis=-[23] is the observations"):
        layer(-2)([Input("x", 3), Input("y", 3)]) if layer is Concatenate else layer(-3)(Input("x", 3))


@pytest.mark.parametrize("layer", [Reshape(6, 4), Reshape((2, -1)), Reshape(-1), Reshape(shape=[2, 2, 6]), Flatten()])
def test_reshaped_observations_keep_their_values_in_order(layer):
    result = layer.transform(X)
    assert len(result) == 5
    np.testing.assert_array_equal(result.ravel(), X.ravel())
    assert layer.infer(Spec.of(X)) == Spec.of(result)
    assert layer.transform(X[:0]).shape == (0, *result.shape[1:])


def test_a_shape_that_does_not_fit_is_refused():
    with pytest.raises(PipelineError, match=r"\(n, 4, 6\) hold 24 values and cannot become \(5, -1\)"):
        Reshape(5, -1)(Input("x", (4, 6)))
    with pytest.raises(DataError, match="cannot become"):
        Reshape(7).transform(X)
    with pytest.raises(PipelineError, match="expected lengths"):
        Reshape(-1, -1)


def test_one_value_an_observation_is_flattened_to_a_column():
    assert Flatten().transform(np.arange(3)).shape == (3, 1)
    assert Flatten()(Input("x")).spec.shape == (1,)


# Concatenate


def test_single_values_are_columns_beside_others():
    a, b = np.arange(3.0), np.ones((3, 2))
    np.testing.assert_array_equal(Concatenate().transform(a, b), np.column_stack([a, b]))
    np.testing.assert_array_equal(Concatenate().transform(a, a), np.column_stack([a, a]))
    assert Concatenate()([Input("a"), Input("b", 2), Input("c", (None,))]).spec.shape == (None,)
    assert Concatenate()([Input("a"), Input("b", 2)]).spec.shape == (3,)


@pytest.mark.parametrize("axis", [1, 2, -1, -2])
def test_concatenation_is_that_of_numpy(axis):
    result = Concatenate(axis).transform(X, X)
    np.testing.assert_array_equal(result, np.concatenate([X, X], axis))
    assert Concatenate(axis).infer(Spec.of(X), Spec.of(X)) == Spec.of(result)


def test_what_cannot_be_joined_is_refused():
    with pytest.raises(PipelineError, match=r"differ along axis 2 only, but got \(n, 2, 3\) and \(n, 3, 3\)"):
        Concatenate()([Input("a", (2, 3)), Input("b", (3, 3))])
    with pytest.raises(PipelineError, match="as many axes"):
        Concatenate()([Input("a", (2, 3)), Input("b", (3,))])
    with pytest.raises(DataError, match="differ along axis"):
        Concatenate().transform(X, X[:, :1])
    with pytest.raises(DataError, match="texts only or numbers only"):
        Concatenate().transform(np.array(["a"]), np.array([1.0]))


def test_joined_columns_keep_their_names():
    assert Concatenate().feature_names(["a"], ["b", "c"]) == ["a", "b", "c"]


# Slice


@pytest.mark.parametrize(
    ("slices", "expected"),
    [
        ((0,), X[:, 0]),
        ((slice(1, 3), slice(None, None, 2)), X[:, 1:3, ::2]),
        ((Ellipsis, -1), X[..., -1]),
        (([2, 0],), X[:, [2, 0]]),
        (([2, 0], [1, 1, 5]), X[:, [2, 0]][:, :, [1, 1, 5]]),
        ((1, [0, 3]), X[:, 1][:, [0, 3]]),
        (([True, False, True, False], 2), X[:, [0, 2], 2]),
        ((), X),
    ],
)
def test_a_slice_indexes_each_axis_for_itself(slices, expected):
    layer = Slice(*slices)
    np.testing.assert_array_equal(layer.transform(X), expected)
    assert layer.infer(Spec.of(X)) == Spec.of(expected)
    np.testing.assert_array_equal(clone(layer).transform(X), expected)
    np.testing.assert_array_equal(Slice(0).set_params(**layer.get_params()).transform(X), expected)


def test_positions_that_are_not_there_are_refused():
    with pytest.raises(PipelineError, match="no position 4 in an axis of length 4"):
        Slice(4)(Input("x", (4, 6)))
    with pytest.raises(PipelineError, match="index for each of 1 axes at most"):
        Slice(0, 0)(Input("x", 4))
    with pytest.raises(DataError, match="out of bounds"):
        Slice(9).transform(X)
    with pytest.raises(DataError, match="expected 4 truth values, but got 3"):
        Slice([True, False, True]).transform(X)
    with pytest.raises(PipelineError, match="expected integers, slices"):
        Slice("a")


# Filter


def test_a_filter_keeps_the_observations_of_the_mask():
    mask = np.array([True, False, False, True, False])
    np.testing.assert_array_equal(Filter().transform(X, mask), X[mask])
    node = Input("x", (4, 6))
    assert Filter()([node, Input("mask", dtype=bool)]).observations != node.observations


@pytest.mark.parametrize("mask", [np.array([0, 1, 1, 0, 1]), np.ones(4, dtype=bool), np.ones((5, 1), dtype=bool)])
def test_a_mask_that_is_none_is_refused(mask):
    with pytest.raises(DataError, match="expected a mask of truth values"):
        Filter().transform(X, mask)


# SplitDict


def test_dictionaries_become_an_output_for_each_field():
    rows = np.array([{"a": 1, "b": "x", "c": 0}, {"a": 2, "b": "y"}], dtype=object)
    a, b = SplitDict(["a", "b"]).transform(rows)
    assert (a.tolist(), b.tolist()) == ([1, 2], ["x", "y"])
    assert SplitDict(["a"]).transform(rows).tolist() == [1, 2]
    assert [node.name for node in SplitDict(["a", "b"])(Input("rows"), ["one", "two"])] == ["one", "two"]


@pytest.mark.parametrize("values", [(1, "x"), (True, 2), ("x", float("nan")), ([1], ["x"]), (b"x", "x"), (1, None)])
def test_a_field_of_mixed_kinds_keeps_its_values(values):
    result = SplitDict(["a"]).transform(np.array([{"a": value} for value in values]))
    assert result.dtype == object
    assert [(type(value), repr(value)) for value in result] == [(type(value), repr(value)) for value in values]


@pytest.mark.parametrize("values", [(1, 2.5), ("x", "long"), (np.eye(2), np.ones((2, 2), int)), ([1, 2], [3, 4])])
def test_a_field_of_one_kind_is_the_array_of_numpy(values):
    result = SplitDict(["a"]).transform(np.array([{"a": value} for value in values]))
    np.testing.assert_array_equal(result, np.array(values))
    assert result.dtype == np.array(values).dtype


def test_a_field_that_is_missing_is_named_with_its_row():
    rows = np.array([{"a": 1, "b": 2}, {"a": 2}], dtype=object)
    with pytest.raises(DataError, match="row 1 has no field 'b'; its fields are 'a'"):
        SplitDict(["a", "b"]).transform(rows)
    with pytest.raises(DataError, match="row 1: expected a dictionary, but got int"):
        SplitDict(["a"]).transform(np.array([{"a": 1}, 3], dtype=object))


def test_the_outputs_follow_the_fields_when_they_are_set():
    assert SplitDict(["a"]).set_params(fields=["a", "b"]).n_outputs == 2


# TimeSeries


def test_a_window_holds_the_observations_up_to_its_own():
    result = TimeSeries(3).transform(np.arange(1, 5))
    assert result.tolist() == [[0, 0, 1], [0, 1, 2], [1, 2, 3], [2, 3, 4]]
    assert TimeSeries(3, reverse=True).transform(np.arange(1, 5)).tolist() == [row[::-1] for row in result.tolist()]


@pytest.mark.parametrize("time_axis", [1, 2, 3, -1, -2])
def test_windows_of_observations_of_any_shape(time_axis):
    layer = TimeSeries(4, time_axis=time_axis)
    padded = np.concatenate([np.zeros((3, 4, 6)), X])
    expected = np.stack([np.moveaxis(padded[i : i + 4], 0, time_axis - (time_axis > 0)) for i in range(5)])
    result = layer.transform(X)
    np.testing.assert_array_equal(result, expected)
    assert layer.infer(Spec.of(X)) == Spec.of(result)
    assert layer.transform(X[:0]).shape == (0, *result.shape[1:])
    assert result.flags.writeable


@pytest.mark.parametrize("cuts", [[2], [1, 2, 3, 4], [0, 3, 3]])
@pytest.mark.parametrize("window_size", [1, 2, 4, 9])
def test_windows_of_a_stream_equal_those_of_the_whole(window_size, cuts):
    layer = TimeSeries(window_size, reverse=True)
    np.testing.assert_array_equal(in_batches(layer, X, cuts), layer.transform(X))


def test_two_streams_of_one_layer_do_not_mix():
    layer = TimeSeries(2)
    first, second = layer.streamed(), layer.streamed()
    first(np.array([1.0]))
    assert second(np.array([2.0])).tolist() == [[0.0, 2.0]]
    assert first(np.array([3.0])).tolist() == [[1.0, 3.0]]


# OneHotRange


def test_integers_become_one_hot_vectors():
    codes = np.array([[0, 2], [1, 1]], dtype=np.int8)
    result = OneHotRange(max_val=2).fit_transform(codes)
    np.testing.assert_array_equal(result, np.eye(3)[codes])
    np.testing.assert_array_equal(OneHotRange(0, 2).transform(codes), result)
    assert OneHotRange(0, 2).infer(Spec.of(codes)) == Spec.of(result)


def test_the_range_of_a_stream_is_that_of_the_whole():
    layer = OneHotRange()
    for batch in ([3, 4], [], [-1], [2]):
        layer.partial_fit(np.array(batch, dtype=int))
    assert layer.transform(np.array([-1, 4])).tolist() == [[1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1]]


def test_values_out_of_range_are_zeros_or_refused():
    assert OneHotRange(0, 1).transform(np.array([2, -1, 1])).tolist() == [[0, 0], [0, 0], [0, 1]]
    with pytest.raises(DataError, match=r"7\)? in row 1 is outside of 0 to 1"):
        OneHotRange(0, 1, strict=True).transform(np.array([0, 7]))


def test_a_range_that_cannot_be_is_refused():
    with pytest.raises(PipelineError, match="min_val up to max_val"):
        OneHotRange(3, 1)
    with pytest.raises(PipelineError, match="Cast"):
        OneHotRange()(Input("x", dtype=float))
    with pytest.raises(DataError, match="from 5 to 1"):
        OneHotRange(min_val=5).fit(np.array([1])).transform(np.array([1]))
    with pytest.raises(DataError, match=r"would make 1,000,000,000,001 columns.*OneHotLabels"):
        OneHotRange().fit(np.array([0, 10**12])).transform(np.array([1]))
    with pytest.raises(PipelineError, match="would make 1,000,001 columns"):
        OneHotRange(0, 1_000_000)


def test_one_hot_columns_are_named():
    assert OneHotRange().fit(np.array([1, 2])).feature_names(["age"]) == ["age_1", "age_2"]
    assert OneHotLabels().fit(np.array(["b", "a"])).feature_names(["kind"]) == ["kind_a", "kind_b"]


# OneHotLabels


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["pear", "apple", "pear", "fig"]),
        np.array(["pear", "apple", "pear", "fig"], dtype=object),
        np.array([30, -2, 30, 7]),
        np.array([30, -2, 30, 7], dtype=object),
        np.array([True, False, True, True]),
    ],
)
def test_labels_become_what_scikit_learn_makes_of_them(labels):
    expected = OneHotEncoder(sparse_output=False).fit_transform(labels[:, None])
    np.testing.assert_array_equal(OneHotLabels().fit_transform(labels), expected)
    parts = OneHotLabels().partial_fit(labels[:1]).partial_fit(labels[:0]).partial_fit(labels[1:])
    np.testing.assert_array_equal(parts.transform(labels), expected)


def test_labels_that_were_not_seen_are_zeros_or_refused():
    layer = OneHotLabels().fit(np.array(["a", "c"]))
    assert layer.transform(np.array(["b", "c", "zz", ""])).tolist() == [[0, 0], [0, 1], [0, 0], [0, 0]]
    assert layer.transform(np.array([1, 2])).tolist() == [[0, 0], [0, 0]]
    strict = OneHotLabels(strict=True).fit(np.array(["a", "c"]))
    with pytest.raises(DataError, match=r"'b'\)? in row 1 is none of the 2 labels"):
        strict.transform(np.array(["a", "b"]))


@pytest.mark.parametrize("dtype", [int, float, object])
def test_truth_values_are_the_labels_1_and_0(dtype):
    numbers, truths = np.array([0, 1, 1, 2]).astype(dtype), np.array([False, True])
    assert OneHotLabels().fit(numbers).transform(truths).tolist() == [[1, 0, 0], [0, 1, 0]]
    assert OneHotLabels().fit(truths).transform(numbers).tolist() == [[1, 0], [0, 1], [0, 1], [0, 0]]
    assert OneHotLabels().fit(truths).partial_fit(numbers).metadata["counts"].tolist() == [2, 3, 1]


def test_missing_values_are_no_label():
    values = np.array(["a", None, "b", np.nan], dtype=object)
    assert OneHotLabels().fit_transform(values).tolist() == [[1, 0], [0, 0], [0, 1], [0, 0]]
    assert OneHotLabels().fit_transform(np.array([2.0, np.nan])).tolist() == [[1], [0]]


def test_labels_of_several_kinds_are_refused():
    with pytest.raises(DataError, match="labels of one kind"):
        OneHotLabels().fit(np.array(["a", 1], dtype=object))
    with pytest.raises(DataError, match="as in the batches before"):
        OneHotLabels().fit(np.array(["a"])).partial_fit(np.array([1]))
