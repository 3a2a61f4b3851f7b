"""Images against NumPy and torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mlpipeline.dataflow.layers import Downsample, RGBtoBinary, RGBtoGrey, Upsample
from mlpipeline.dataflow.node import Input
from mlpipeline.dataflow.spec import Spec
from mlpipeline.errors import DataError, PipelineError

FLOATS = np.random.default_rng(0).random((4, 6, 8, 3))
BYTES = (FLOATS * 255).astype(np.uint8)


@pytest.mark.parametrize("images", [FLOATS, BYTES, FLOATS.astype("f4")])
def test_grey_is_what_each_method_says(images):
    red, green, blue = np.moveaxis(images.astype(float), -1, 0)
    greys = {
        "luminosity": 0.2126 * red + 0.7152 * green + 0.0722 * blue,
        "lightness": (np.maximum(np.maximum(red, green), blue) + np.minimum(np.minimum(red, green), blue)) / 2,
        "average": (red + green + blue) / 3,
    }
    for method, expected in greys.items():
        result = RGBtoGrey(method).transform(images)
        np.testing.assert_allclose(result, expected, rtol=1e-5 if images.dtype == "f4" else 1e-12)
        assert RGBtoGrey(method).infer(Spec.of(images)) == Spec.of(result)


def test_the_dimension_of_colours_is_kept_on_request():
    grey = RGBtoGrey(keep_dim=True)
    assert grey.transform(FLOATS).shape == (4, 6, 8, 1)
    assert grey(Input("image", (48, 48, 3))).spec.shape == (48, 48, 1)


@pytest.mark.parametrize("images", [FLOATS, BYTES, BYTES.astype(int), BYTES.astype("u2") * 257, FLOATS.astype("f2")])
def test_binary_is_bright_from_half_of_the_range(images):
    half = {"u": 127.5, "i": 127.5, "f": 0.5}[images.dtype.kind] * (257 if images.dtype == "u2" else 1)
    bright = images.astype(float) @ [0.2126, 0.7152, 0.0722] >= half
    result = RGBtoBinary(keep_dim=False).transform(images)
    np.testing.assert_array_equal(result, bright)
    assert result.dtype == np.uint8
    assert RGBtoBinary().infer(Spec.of(images)) == Spec.of(RGBtoBinary().transform(images))


def test_white_and_black():
    ends = np.array([0, 255], dtype=np.uint8).repeat(3).reshape(2, 1, 1, 3)
    assert RGBtoBinary().transform(ends).ravel().tolist() == [0, 1]
    np.testing.assert_allclose(RGBtoGrey().transform(ends).ravel(), [0, 255], rtol=1e-15)
    assert RGBtoGrey("lightness").transform(ends).ravel().tolist() == [0, 255]
    assert RGBtoGrey("average").transform(ends).ravel().tolist() == [0, 255]


def test_numbers_beyond_their_range_are_no_image_to_make_binary():
    with pytest.raises(DataError, match="float64 from 0 to 1, but got values up to 2"):
        RGBtoBinary().transform(BYTES.astype(float))
    with pytest.raises(DataError, match="int64 from 0 to 255, but got values up to 6"):
        RGBtoBinary().transform(BYTES.astype(int) * 257)


def test_images_that_are_not_in_colour_are_refused():
    with pytest.raises(PipelineError, match=r"images in colour.*\(n, 48, 48, 1\)"):
        RGBtoGrey()(Input("image", (48, 48, 1)))
    with pytest.raises(DataError, match="images in colour"):
        RGBtoBinary().transform(FLOATS[..., :1])
    with pytest.raises(PipelineError, match="did you mean luminosity"):
        RGBtoGrey("luminosty")


def mean_of_areas(images, height, width):
    fine = images.repeat(height, axis=1).repeat(width, axis=2)
    rows, columns = images.shape[1:3]
    return fine.reshape(len(images), height, rows, width, columns, *images.shape[3:]).mean(axis=(2, 4))


@pytest.mark.parametrize("shape", [(3, 4), (6, 8), (5, 3), (1, 1), (6, 7)])
def test_smaller_images_are_the_mean_of_areas(shape):
    for images in (FLOATS, FLOATS[..., 0], BYTES):
        result = Downsample(shape).transform(images)
        np.testing.assert_allclose(result, mean_of_areas(images.astype(float), *shape), rtol=1e-12)
        assert result.dtype == np.float64
        assert Downsample(shape).infer(Spec.of(images)) == Spec.of(result)


@pytest.mark.parametrize("shape", [(12, 16), (6, 8), (7, 19), (60, 9)])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_larger_images_are_those_of_torch(shape, dtype):
    images = FLOATS.astype(dtype)
    channels_first = torch.from_numpy(images).permute(0, 3, 1, 2)
    expected = torch.nn.functional.interpolate(channels_first, shape, mode="bilinear").permute(0, 2, 3, 1).numpy()
    result = Upsample(shape).transform(images)
    np.testing.assert_allclose(result, expected, rtol=1e-5 if dtype == "f4" else 1e-12)
    assert result.dtype == dtype
    np.testing.assert_allclose(Upsample(shape).transform(images[..., 0]), expected[..., 0], rtol=1e-5)


def test_a_single_pixel_is_enlarged():
    assert Upsample((2, 3)).transform(np.full((1, 1, 1), 7)).tolist() == [[[7.0] * 3] * 2]


def test_down_is_not_up():
    with pytest.raises(PipelineError, match=r"would enlarge.*use Upsample"):
        Downsample((7, 3))(Input("image", (6, 8, 3)))
    with pytest.raises(DataError, match=r"would shrink.*use Downsample"):
        Upsample((12, 4)).transform(FLOATS)
    with pytest.raises(PipelineError, match=r"expected shape as \(height, width\)"):
        Upsample(4)
    with pytest.raises(DataError, match="expected images"):
        Downsample((1, 1)).transform(FLOATS[0, 0])


def test_images_are_left_as_they_were():
    before = FLOATS.copy()
    for layer in (RGBtoGrey("lightness"), RGBtoBinary(), Downsample((6, 8)), Downsample((2, 2)), Upsample((9, 9))):
        layer.transform(FLOATS)[:] = 0
    np.testing.assert_array_equal(FLOATS, before)
