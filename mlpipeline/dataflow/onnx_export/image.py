"""Image layers as ONNX operators."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mlpipeline.dataflow.layers.image import LUMINOSITY, Downsample, RGBtoBinary, RGBtoGrey, Upsample, full_brightness
from mlpipeline.dataflow.layers.resampling import area_weights, bilinear_weights
from mlpipeline.dataflow.onnx_export.builder import Tensor
from mlpipeline.dataflow.onnx_export.call import BOOL, Call

WEIGHTS = {Downsample: area_weights, Upsample: bilinear_weights}


def _grey(call: Call) -> Tensor:
    grey = {"luminosity": _luminosity, "lightness": _lightness, "average": _average}[call.layer.method](call)
    return call.reshape(grey, call.result_shape)


def _luminosity(call: Call) -> Tensor:
    values = call.real()
    return call.product(values, np.array(LUMINOSITY), call.shape[:2])


def _lightness(call: Call) -> Tensor:
    values = call.real()
    largest, smallest = (call.op(kind, values, np.array([-1]), keepdims=0) for kind in ("ReduceMax", "ReduceMin"))
    return call.op("Div", call.op("Add", largest, smallest), np.asarray(2, values.dtype))


def _average(call: Call) -> Tensor:
    values = call.real()
    return call.op("Div", call.product(values, np.ones(3), call.shape[:2]), np.asarray(3, values.dtype))


def _binary(call: Call) -> Tensor:
    grey = _luminosity(call)
    if call.x.dtype.kind == "f":
        bad = call.op("Greater", grey, np.asarray(1.001, grey.dtype), dtype=BOOL)
        grey = call.refuse(grey, bad, "expected floats from 0 to 1")
    half = full_brightness(call.x.dtype) / 2
    bright = call.op("GreaterOrEqual", grey, np.asarray(half, grey.dtype), dtype=BOOL)
    return call.reshape(call.cast(bright, call.result_dtype), call.result_shape)


def _resized(call: Call) -> Tensor:
    images = call.real()
    for axis, (old, new) in enumerate(zip(call.shape, call.layer.shape, strict=False), start=1):
        if old != new:
            images = _resampled(call, images, axis, new)
    return images


def _resampled(call: Call, images: Tensor, axis: int, length: int) -> Tensor:
    """Return images whose pixels along an axis are weighted sums of a few, added in the order in which NumPy does."""
    positions, weights = WEIGHTS[type(call.layer)](call.shape[axis - 1], length)
    along = [1] * (len(call.shape) + 1)
    along[axis] = length
    parts = [
        call.op("Mul", call.op("Gather", images, position, axis=axis), share.astype(images.dtype).reshape(along))
        for position, share in zip(positions, weights, strict=True)
    ]
    total = parts[0]
    for part in parts[1:]:
        total = call.op("Add", total, part)
    return total


CONVERTERS: dict[type, Callable[[Call], Tensor]] = {
    Downsample: _resized,
    RGBtoBinary: _binary,
    RGBtoGrey: _grey,
    Upsample: _resized,
}
