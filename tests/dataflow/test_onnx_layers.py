from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mlpipeline.dataflow import Input, Pipeline, layers
from mlpipeline.dataflow.spec import Array
from tests.dataflow.onnx_files import assert_same_outputs

RNG = np.random.default_rng(0)
N = 12
REAL = RNG.normal(2, 3, (N, 4))
NARROW = REAL.astype(np.float32)
WHOLE = RNG.integers(-3, 4, (N, 4))
SMALL = RNG.integers(0, 200, (N, 4)).astype(np.uint8)
BOOLS = REAL > 2
COLUMN = RNG.normal(size=N)
MATRICES = RNG.normal(size=(N, 3, 4))
GAPS = np.where(RNG.random((N, 4)) < 0.3, np.nan, WHOLE)
GAPS[0] = WHOLE[0]
COLOURS = np.resize(np.array(["red", "green", "blue ü", ""]), N)
TABLE_OF_TEXTS = np.resize(COLOURS, (N, 2))
IMAGES = RNG.integers(0, 256, (N, 6, 4, 3)).astype(np.uint8)
FLOAT_IMAGES = RNG.random((N, 6, 4, 3))
GREY = RNG.random((N, 6, 4))

CASES = {
    "Add": (layers.Add(), REAL, WHOLE, SMALL),
    "Add of other shapes": (layers.Add(), COLUMN, MATRICES, REAL),
    "Add of truth values": (layers.Add(), BOOLS, BOOLS),
    "Add of float16": (layers.Add(), REAL.astype(np.float16), REAL.astype(np.float16)),
    "Subtract": (layers.Subtract(), SMALL, WHOLE),
    "Subtract in float32": (layers.Subtract(), NARROW, NARROW[:, ::-1]),
    "ElementWiseMultiply": (layers.ElementWiseMultiply(), REAL, NARROW, COLUMN),
    "Divide": (layers.Divide(impute=7), REAL, WHOLE),
    "Divide integers": (layers.Divide(), SMALL, WHOLE),
    "Divide without zeros": (layers.Divide(), REAL, REAL),
    "ScalarMultiply": (layers.ScalarMultiply(2.5), REAL),
    "ScalarMultiply an integer": (layers.ScalarMultiply(3), SMALL),
    "ScalarMultiply to float": (layers.ScalarMultiply(np.float32(0.5)), WHOLE),
    "StaticDot": (layers.StaticDot(RNG.normal(size=(4, 3))), REAL),
    "StaticDot with a vector": (layers.StaticDot(np.arange(4)), MATRICES),
    "StaticDot of integers": (layers.StaticDot(np.arange(8).reshape(4, 2)), WHOLE),
    "StaticDot in float32": (layers.StaticDot(np.eye(4)), NARROW),
    "Dot of vectors": (layers.Dot(), REAL, WHOLE),
    "Dot of matrix and vector": (layers.Dot(), MATRICES, REAL),
    "Dot of three": (layers.Dot(), RNG.normal(size=(N, 3)), MATRICES, REAL),
    "Dot of matrices": (layers.Dot(), MATRICES, MATRICES.transpose(0, 2, 1)),
    "Normalize": (layers.Normalize(), np.vstack([SMALL[:-1], np.zeros((1, 4), np.uint8)])),
    "Whiten": (layers.Whiten(), REAL),
    "Whiten one value": (layers.Whiten(), COLUMN),
    "Whiten integers": (layers.Whiten(), SMALL),
    "Whiten float16": (layers.Whiten(), REAL.astype(np.float16)),
    "Whiten NaN": (layers.Whiten(), GAPS),
    "Cast to int": (layers.Cast(int), REAL),
    "Cast to uint8": (layers.Cast(np.uint8), WHOLE * WHOLE),
    "Cast to int32": (layers.Cast(np.int32), REAL),
    "Cast to float32": (layers.Cast(np.float32), REAL),
    "Cast to float16": (layers.Cast(np.float16), WHOLE),
    "Cast to bool": (layers.Cast(bool), WHOLE),
    "Cast to text": (layers.Cast(str), WHOLE),
    "Cast texts to text": (layers.Cast(str), COLOURS),
    "AddDim": (layers.AddDim(), REAL),
    "AddDim before": (layers.AddDim(1), COLOURS),
    "Reshape": (layers.Reshape(2, -1), SMALL),
    "Flatten": (layers.Flatten(), MATRICES),
    "Flatten one value": (layers.Flatten(), COLUMN),
    "Concatenate": (layers.Concatenate(), REAL, COLUMN, WHOLE),
    "Concatenate small ones": (layers.Concatenate(), SMALL, SMALL.astype(np.int8)),
    "Concatenate texts": (layers.Concatenate(), TABLE_OF_TEXTS, COLOURS),
    "Concatenate along an axis": (layers.Concatenate(axis=1), MATRICES, MATRICES[:, :1]),
    "Slice": (layers.Slice(slice(1, None), 2), MATRICES),
    "Slice by lists": (layers.Slice([2, 0, 0], [True, False, True, True]), MATRICES),
    "Slice the last axis": (layers.Slice(Ellipsis, slice(None, None, -2)), IMAGES),
    "Slice texts": (layers.Slice(-1), TABLE_OF_TEXTS),
    "OneHotRange": (layers.OneHotRange(), WHOLE),
    "OneHotRange of a part": (layers.OneHotRange(0, 2), WHOLE[:, 0]),
    "OneHotRange of small ones": (layers.OneHotRange(strict=True), SMALL),
    "OneHotLabels of texts": (layers.OneHotLabels(), COLOURS),
    "OneHotLabels of objects": (layers.OneHotLabels(strict=True), TABLE_OF_TEXTS.astype(object)),
    "OneHotLabels of integers": (layers.OneHotLabels(strict=True), SMALL),
    "OneHotLabels of floats": (layers.OneHotLabels(), GAPS),
    "OneHotLabels of truth values": (layers.OneHotLabels(), BOOLS),
    "Impute": (layers.Impute({np.nan: -1, 3: 0.5, 0.5: 9}), GAPS),
    "Impute integers": (layers.Impute({3: -3, 2.5: 1, -3: 300}), WHOLE.astype(np.int8)),
    "Impute by floats": (layers.Impute({3: 0.5}), WHOLE),
    "Impute in float32": (layers.Impute({float(NARROW[1, 1]): 7, 0.1: 1}), np.where(NARROW > 4, 0.1, NARROW)),
    "Impute texts": (layers.Impute({"red": "a longer text", "": "red"}), COLOURS),
    "ImputeMean": (layers.ImputeMean(), GAPS),
    "ImputeMean in float32": (layers.ImputeMean(), GAPS.astype(np.float32)),
    "ImputeMedian": (layers.ImputeMedian(), GAPS),
    "ImputeMode": (layers.ImputeMode(), GAPS),
    "ImputeMode of integers": (layers.ImputeMode(), WHOLE),
    "ImputeMode of texts": (layers.ImputeMode(), COLOURS),
    "RGBtoGrey": (layers.RGBtoGrey(), IMAGES),
    "RGBtoGrey of floats": (layers.RGBtoGrey(keep_dim=True), FLOAT_IMAGES.astype(np.float32)),
    "RGBtoGrey by lightness": (layers.RGBtoGrey("lightness"), IMAGES),
    "RGBtoGrey by average": (layers.RGBtoGrey("average", keep_dim=True), FLOAT_IMAGES),
    "RGBtoBinary": (layers.RGBtoBinary(), IMAGES),
    "RGBtoBinary of floats": (layers.RGBtoBinary(keep_dim=False), FLOAT_IMAGES),
    "Downsample": (layers.Downsample((4, 3)), IMAGES),
    "Downsample in grey": (layers.Downsample((3, 4)), GREY),
    "Upsample": (layers.Upsample((7, 9)), FLOAT_IMAGES),
}
UFUNCS = [
    *(np.abs, np.negative, np.square, np.sign, np.exp, np.sqrt, np.log, np.log2, np.log10, np.log1p, np.expm1),
    *(np.sin, np.cos, np.tan, np.tanh, np.floor, np.ceil, np.rint, np.reciprocal, np.isnan, np.isinf, np.isfinite),
    np.logical_not,
]
BINARY = [
    *(np.add, np.subtract, np.multiply, np.divide, np.power, np.maximum, np.minimum, np.greater, np.less),
    *(np.greater_equal, np.less_equal, np.equal, np.logical_and, np.logical_or),
]


def pipeline_of(layer: layers.Layer, arrays: tuple[Array, ...]) -> tuple[Pipeline, dict[str, Array]]:
    data = {f"x {i}": array for i, array in enumerate(arrays)}
    inputs = [Input(name, array.shape[1:], array.dtype) for name, array in data.items()]
    return Pipeline(inputs, layer(inputs, "result")).fit(data), data


@pytest.mark.parametrize("case", CASES)
def test_a_file_gives_what_the_layer_gives(case: str, tmp_path: Path) -> None:
    layer, *arrays = CASES[case]
    pipeline, data = pipeline_of(layer, tuple(arrays))
    narrow = any(array.dtype == np.float32 for array in arrays)
    assert_same_outputs(pipeline, data, tmp_path, **({"rtol": 1e-6} if narrow else {}))


@pytest.mark.parametrize("function", UFUNCS, ids=lambda each: each.__name__)
def test_numpys_functions_are_operators(function: np.ufunc, tmp_path: Path) -> None:
    values = np.array([[1e-12, 0.5, 1], [3e-5, 2.5, 30], [0.2, 5, 700.0], [1e-300, 0.5, np.inf], [1, 2, np.nan]])
    values = values[:3] if function in (np.sin, np.cos, np.tan) else values
    pipeline, data = pipeline_of(layers.Lambda(function), (values,))
    with np.errstate(all="ignore"):
        assert_same_outputs(pipeline, data, tmp_path, atol=0)


@pytest.mark.parametrize("function", BINARY, ids=lambda each: each.__name__)
def test_numpys_functions_of_two_arrays_are_operators(function: np.ufunc, tmp_path: Path) -> None:
    for arrays in [
        (np.abs(GAPS) + 1, REAL),
        (SMALL % 3 + 1, np.abs(WHOLE) + 1),
        (NARROW * 0 + 2, WHOLE.astype(np.int16) * 2 + 1),
    ]:
        pipeline, data = pipeline_of(layers.Lambda(function), arrays)
        assert_same_outputs(pipeline, data, tmp_path)


@pytest.mark.parametrize("layer", [layers.ScalarMultiply(0.1), layers.Whiten(), layers.Lambda(np.log10)])
@pytest.mark.parametrize("before", [False, True])
def test_a_factor_beside_a_matrix_product_keeps_its_digits(layer: layers.Layer, before: bool, tmp_path: Path) -> None:
    x = Input("x", (1,))
    dot = layers.StaticDot(np.array([[1 / 3]]))
    chain = layer(dot(x), "y") if before else dot(layer(x), "y")
    data = {"x": np.abs(REAL[:, :1]) + 1}
    assert_same_outputs(Pipeline(x, chain).fit(data), data, tmp_path)
