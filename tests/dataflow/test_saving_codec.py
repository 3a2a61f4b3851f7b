"""Values as JSON and parts, and back."""

import functools
import json
import math
from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mlpipeline.dataflow.layers import Whiten
from mlpipeline.dataflow.saving.codec import Decoder, Encoder
from mlpipeline.dataflow.saving.trust import Trust
from mlpipeline.errors import PipelineError
from tests.dataflow.saved_files import through_a_file

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.complex_numbers()
    | st.text(st.characters(exclude_categories=()))
    | st.binary()
)
KEYS = SCALARS | st.tuples(SCALARS, SCALARS)
DTYPES = (
    hnp.scalar_dtypes()
    | hnp.datetime64_dtypes()
    | hnp.timedelta64_dtypes()
    | hnp.unicode_string_dtypes()
    | hnp.byte_string_dtypes()
    | hnp.array_dtypes()
)
ARRAYS = hnp.arrays(DTYPES, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3))
OBJECTS = hnp.arrays(object, hnp.array_shapes(min_dims=0, max_dims=2), elements=st.none() | st.text() | st.floats())
VALUES = st.recursive(
    SCALARS | ARRAYS | OBJECTS | st.slices(9) | st.just(...) | DTYPES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(KEYS, inner, max_size=3)
        | st.sets(SCALARS, max_size=3)
        | st.frozensets(SCALARS, max_size=3)
    ),
    max_leaves=6,
)


def same(one, other):
    """Return whether two values are equal, and of equal types and dtypes; NaN equals NaN."""
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray) and one.dtype == object:
        return one.shape == other.shape and same(one.ravel().tolist(), other.ravel().tolist())
    if isinstance(one, np.ndarray | np.generic):
        return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict):
        return same(list(one.items()), list(other.items()))
    if isinstance(one, set | frozenset):
        return sorted(map(repr, one)) == sorted(map(repr, other))
    return repr(one) == repr(other)


@settings(max_examples=80, deadline=None)
@example("\ud83d\ude00")  # two halves, which JSON would join
@given(VALUES)
def test_values_come_back_equal_with_their_types(tmp_path_factory, value):
    path = tmp_path_factory.getbasetemp() / "value.pkl"
    assert same(through_a_file(value, path), value)


@given(hnp.from_dtype(np.dtype("f4")) | hnp.from_dtype(np.dtype("M8[s]")) | hnp.from_dtype(np.dtype("U3")))
def test_numpy_scalars_keep_their_dtype(value):
    told = json.loads(json.dumps(Encoder().encode(value, "the value")))
    assert same(Decoder({}, Trust()).decode(told), value)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6.0).reshape(2, 3).T,
        np.zeros((2, 2), [("數", "i4"), ("b", "U2")]),
        np.arange(12)[::2],
        np.zeros((0, 3)),
        np.ma.getdata(np.arange(3)),
        np.array(5),
    ],
)
def test_arrays_keep_their_values_and_memory_order(tmp_path, array):
    back = through_a_file(array, tmp_path / "value.pkl")
    assert same(back, np.array(array))
    assert back.flags.f_contiguous == array.flags.f_contiguous or not array.flags.forc
    assert back.flags.writeable


def test_a_random_generator_goes_on_where_it_was(tmp_path):
    for bits in (np.random.PCG64, np.random.MT19937, np.random.Philox, np.random.SFC64):
        generator = np.random.Generator(bits(3))
        generator.normal(size=3)
        back = through_a_file(generator, tmp_path / f"{bits.__name__}.pkl")
        assert (back.normal(size=5) == generator.normal(size=5)).all()


@pytest.mark.parametrize(
    "thing", [np.log1p, np.mean, np.linalg.norm, math.sqrt, str.lower, len, float, np.float32, np.int8, json.dumps]
)
def test_functions_and_types_are_found_again(tmp_path, thing):
    assert through_a_file(thing, tmp_path / "value.pkl", trusted=["json"]) is thing


def test_partials_keep_their_arguments(tmp_path):
    back = through_a_file(functools.partial(np.clip, a_min=0, a_max=np.float32(2)), tmp_path / "value.pkl")
    assert back(np.array([-1.0, 3.0])).tolist() == [0.0, 2.0]


def test_a_dictionary_may_have_nan_and_none_as_keys(tmp_path):
    back = through_a_file({np.nan: 0, None: 1, 2: "x", (1, "a"): 3}, tmp_path / "value.pkl")
    assert same(back, {np.nan: 0, None: 1, 2: "x", (1, "a"): 3})
    assert math.isnan(next(iter(back)))


def nested():
    def inner(x):
        return x

    return inner


@pytest.mark.parametrize("function", [lambda x: x, nested()])
def test_a_function_that_cannot_be_found_again_is_refused(function):
    with pytest.raises(PipelineError, match=r"node 'a', parameter f: .* cannot be found again.*at module level"):
        Encoder().encode(function, "node 'a', parameter f")


@pytest.mark.parametrize("value", [object(), iter([]), np.ma.array([1]), [].append, OrderedDict(), Whiten().fit])
def test_what_cannot_be_saved_is_refused_with_its_place(value):
    with pytest.raises(PipelineError, match=r"node 'a'\[1\]: "):
        Encoder().encode([0, value], "node 'a'")


def test_a_list_within_itself_is_refused():
    value = []
    value.append(value)
    with pytest.raises(PipelineError, match="within itself"):
        Encoder().encode(value, "parameter x")
