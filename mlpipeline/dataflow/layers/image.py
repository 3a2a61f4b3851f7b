"""Image layers, on whole batches: (n, height, width, 3) in colour or (n, height, width) in grey."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mlpipeline.dataflow.layer import StatelessLayer
from mlpipeline.dataflow.layers.checking import as_real, expect_real, real_result
from mlpipeline.dataflow.layers.resampling import area_weights, bilinear_weights, resample
from mlpipeline.dataflow.spec import Array, Shape, Spec, shape_text
from mlpipeline.errors import DataError, PipelineError, did_you_mean

LUMINOSITY = (0.2126, 0.7152, 0.0722)  # ITU-R Recommendation BT.709-6 (2015), item 3.2
WEIGHTS = {dtype: np.array(LUMINOSITY, dtype=dtype) for dtype in map(np.dtype, ("f4", "f8"))}
METHODS = ("luminosity", "lightness", "average")


class RGBtoGrey(StatelessLayer):
    """Images in colour as images in grey, in the range that they had.

    Args:
        method: luminosity, how bright colours look to the eye; lightness, the middle of the largest and
            the smallest of red, green and blue; or average, their mean.
        keep_dim: give (n, height, width, 1) instead of (n, height, width).
    """

    checks_itself = True

    def __init__(self, method: str = "luminosity", keep_dim: bool = False) -> None:
        if method not in METHODS:
            raise PipelineError(
                f"RGBtoGrey: there is no method {method!r}{did_you_mean(str(method), METHODS)}; "
                f"expected one of {', '.join(METHODS)}"
            )
        self.method = method
        self.keep_dim = keep_dim

    def transform(self, x: Array) -> Array:
        _check_colours(x)
        grey = luminosity(x) if self.method == "luminosity" else _GREYS[self.method](x)
        return grey[..., None] if self.keep_dim else grey

    def infer(self, x: Spec) -> Spec:
        return _grey_spec(x, self.keep_dim, real_result(x))


class RGBtoBinary(StatelessLayer):
    """Images in colour as 1 where they are bright and 0 where they are dark (uint8).

    Bright is a luminosity of half the range or more. The range is 0 to 65535 for uint16, 0 to 255 for
    other integers, and 0 to 1 for floats and truth values.

    Args:
        keep_dim: give (n, height, width, 1) instead of (n, height, width).
    """

    checks_itself = True

    def __init__(self, keep_dim: bool = True) -> None:
        self.keep_dim = keep_dim

    def transform(self, x: Array) -> Array:
        _check_colours(x)
        grey = luminosity(x)
        most = full_brightness(x.dtype)
        if x.dtype.kind in "iuf" and grey.size and grey.max() > most * 1.001:
            raise DataError(
                f"expected {x.dtype} from 0 to {most}, but got values up to {x.max()}; put the layer Cast('uint8') "
                "before it for images of 0 to 255, Cast('uint16') for images of 0 to 65535"
            )
        bright = (grey >= most / 2).view(np.uint8)
        return bright[..., None] if self.keep_dim else bright

    def infer(self, x: Spec) -> Spec:
        return _grey_spec(x, self.keep_dim, np.dtype(np.uint8))


class _Resized(StatelessLayer):
    """Images in another size.

    Args:
        shape: (height, width) of the result.
    """

    checks_itself = True
    _weights: Callable[[int, int], tuple[Array, Array]]  # old and new length -> positions and their shares
    _is_wrong: Callable[[int, int], bool]  # whether an old length is nothing to make the new one of
    _told: str

    def __init__(self, shape: Sequence[int]) -> None:
        given = tuple(shape) if isinstance(shape, Sequence) and not isinstance(shape, str) else ()
        if len(given) != 2 or not all(isinstance(each, int | np.integer) and each > 0 for each in given):
            raise PipelineError(f"{type(self).__name__}: expected shape as (height, width), but got {shape!r}")
        self.shape: Sequence[int] = tuple(int(each) for each in given)

    def transform(self, x: Array) -> Array:
        reason = self._refusal(x.shape[1:])
        if reason:
            raise DataError(reason)
        images = as_real(x)
        for axis, length in enumerate(self.shape, start=1):
            if images.shape[axis] != length:
                images = resample(images, axis, *type(self)._weights(images.shape[axis], length))
        return images.copy() if images is x else images

    def infer(self, x: Spec) -> Spec:
        expect_real(x)
        if x.shape is None:
            return Spec(None, real_result(x))
        reason = self._refusal(x.shape)
        if reason:
            raise PipelineError(reason)
        return Spec((*self.shape, *x.shape[2:]), real_result(x))

    def _refusal(self, shape: Shape) -> str | None:
        """Return why images of this shape cannot be resized, or None."""
        if len(shape) not in (2, 3):
            expected = "(n, height, width) or (n, height, width, channels)"
            return f"expected images, {expected}, but got {shape_text(shape)}"
        for old, new in zip(shape, self.shape, strict=False):
            if old is not None and type(self)._is_wrong(old, new):
                return (
                    f"{type(self).__name__} to {tuple(self.shape)} would {self._told}, for they are {shape_text(shape)}"
                )
        return None


class Downsample(_Resized):
    """Smaller images, each pixel the mean of the area that it covers.

    Args:
        shape: (height, width) of the result.
    """

    _weights = staticmethod(area_weights)
    _is_wrong = staticmethod(operator.lt)
    _told = "enlarge images; use Upsample"


class Upsample(_Resized):
    """Larger images, each pixel interpolated between the nearest four (bilinear, pixels as areas).

    Args:
        shape: (height, width) of the result.
    """

    _weights = staticmethod(bilinear_weights)
    _is_wrong = staticmethod(operator.gt)
    _told = "shrink images; use Downsample"


def luminosity(images: Array) -> Array:
    """Return the luminosity of array[n, height, width, 3]: one matrix product."""
    weights = WEIGHTS.get(images.dtype)
    grey: Array = images @ weights if weights is not None else as_real(images) @ WEIGHTS[np.dtype(np.float64)]
    return grey


def full_brightness(dtype: np.dtype[Any]) -> int:
    """Return the largest value that images of a dtype have."""
    return 65535 if dtype == np.uint16 else 255 if dtype.kind in "iu" else 1


def _lightness(images: Array) -> Array:
    red, green, blue = (images[..., channel] for channel in range(3))
    largest = as_real(np.maximum(np.maximum(red, green), blue))
    smallest = as_real(np.minimum(np.minimum(red, green), blue))
    return (largest + smallest) / 2


def _average(images: Array) -> Array:
    values = as_real(images)
    total: Array = values @ np.ones(3, dtype=values.dtype)
    total /= 3
    return total


_GREYS = {"lightness": _lightness, "average": _average}


def _check_colours(x: Array) -> None:
    if x.ndim != 4 or x.shape[3] != 3:
        raise DataError(f"expected images in colour, (n, height, width, 3), but got {x.shape}")


def _grey_spec(x: Spec, keep_dim: bool, dtype: np.dtype[Any] | None) -> Spec:
    expect_real(x)
    if x.shape is None:
        return Spec((None, None, 1) if keep_dim else (None, None), dtype)
    if len(x.shape) != 3 or x.shape[2] not in (None, 3):
        raise PipelineError(f"expected images in colour, (n, height, width, 3), but got {shape_text(x.shape)}")
    return Spec((*x.shape[:2], 1) if keep_dim else x.shape[:2], dtype)
