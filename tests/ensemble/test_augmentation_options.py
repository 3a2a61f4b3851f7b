"""The options of ImageDataGenerator: how far images are moved, what is done to their values, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from mlpipeline.ensemble.augmentation import read_augmentation, read_trio
from mlpipeline.ensemble.augmentation.geometry import matrices, warp
from mlpipeline.errors import EnsembleError
from tests.ensemble.photos import FIRST, LAST, applied, generator, photos

# geometry


def scipy_warp(image, turn, right, down, shear, zoom_x, zoom_y, mode, cval):
    """Compute what ImageDataGenerator documents, by SciPy: rotation, shift, shear and zoom about the middle."""
    cos, sin = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
    slant = np.deg2rad(shear)
    linear = np.array([[cos, -sin], [sin, cos]])
    offset = linear @ [right, down]
    linear = linear @ [[1, -np.sin(slant)], [0, np.cos(slant)]] @ np.diag([zoom_x, zoom_y])
    linear, offset = linear[::-1, ::-1], offset[::-1]  # SciPy counts rows first
    middle = (np.array(image.shape[:2]) - 1) / 2
    offset = middle + offset - linear @ middle
    planes = [
        ndimage.affine_transform(plane, linear, offset, order=1, mode=mode, cval=cval)
        for plane in image.transpose(2, 0, 1)
    ]
    return np.stack(planes, -1)


@pytest.mark.parametrize(
    ("fill_mode", "scipy_mode"),
    [("nearest", "nearest"), ("reflect", "reflect"), ("constant", "grid-constant"), ("wrap", "grid-wrap")],
)
def test_images_are_moved_as_scipy_moves_them(fill_mode, scipy_mode):
    image = photos(1)[0]
    for numbers in [(25, 0, 0, 0, 1, 1), (0, 3.5, -2, 0, 1, 1), (0, 0, 0, 20, 1, 1), (-40, 2, 5, 10, 1.3, 0.8)]:
        turn, right, down, shear, *zooms = (torch.tensor([float(number)]) for number in numbers)
        places = matrices(torch.deg2rad(turn), right, down, torch.deg2rad(shear), *zooms)
        moved = warp(torch.tensor(image.transpose(2, 0, 1)[None]), places, fill_mode, 7.0)[0].permute(1, 2, 0)
        np.testing.assert_allclose(moved, scipy_warp(image, *numbers, scipy_mode, 7.0), atol=0.05)


def turns_and_shifts(options, count=400, height=10, width=20):
    geometry = read_augmentation(options, FIRST).geometry
    return geometry.draw(torch.zeros(count, 1, height, width), generator()).numpy()


def test_rotations_are_of_any_angle_up_to_the_range_in_both_directions():
    found = turns_and_shifts({"rotation_range": 30})
    degrees = np.rad2deg(np.arctan2(found[:, 1, 0], found[:, 0, 0]))
    assert -30 <= degrees.min() < -28 < 28 < degrees.max() <= 30


def test_a_share_moves_by_up_to_that_share_of_the_size_of_its_own_axis():
    found = turns_and_shifts({"width_shift_range": 0.25, "height_shift_range": 0.1})
    assert 4.8 < np.abs(found[:, 0, 2]).max() <= 5  # of a width of 20
    assert 0.95 < np.abs(found[:, 1, 2]).max() <= 1  # of a height of 10


@pytest.mark.parametrize(
    ("shift", "expected"), [(3, {-2, -1, 0, 1, 2}), ([1, 4], {-4, -1, 1, 4}), (np.array([0.1, 0.2]), {-4, -2, 2, 4})]
)
def test_whole_numbers_and_lists_of_shifts_are_drawn_from(shift, expected):
    found = turns_and_shifts({"width_shift_range": shift})[:, 0, 2]
    assert set(found.round(4).tolist()) == expected


def test_a_width_shift_moves_columns_and_a_height_shift_rows():
    image = photos(1)
    right = applied({"width_shift_range": [3]}, image)[0]
    down = applied({"height_shift_range": [3]}, image)[0]
    sideways = [image[0, :, 3:], right[:, :-3]], [image[0, :, :-3], right[:, 3:]]
    upright = [image[0, 3:], down[:-3]], [image[0, :-3], down[3:]]
    for ways in (sideways, upright):
        assert min(np.abs(old - new).max() for old, new in ways) < 0.01


def test_zooms_of_both_axes_are_drawn_apart_and_above_one_shows_more():
    found = turns_and_shifts({"zoom_range": 0.5})
    assert 0.5 <= found[:, 0, 0].min() < 0.55 < 1.45 < found[:, 0, 0].max() <= 1.5
    assert abs(np.corrcoef(found[:, 0, 0], found[:, 1, 1])[0, 1]) < 0.2
    square = np.pad(np.full((1, 4, 4, 1), 200, np.float32), [(0, 0), (8, 8), (8, 8), (0, 0)])
    assert applied({"zoom_range": (2, 2)}, square).sum() == pytest.approx(square.sum() / 4, rel=0.3)


@pytest.mark.parametrize(("option", "axis"), [("horizontal_flip", 2), ("vertical_flip", 1)])
def test_a_flip_is_exact_and_meets_about_half_of_the_images(option, axis):
    images = photos(200, 4, 5, 1)
    flipped = applied({option: True}, images)
    is_mirrored = (flipped == np.flip(images, axis)).all((1, 2, 3))
    assert ((flipped == images).all((1, 2, 3)) | is_mirrored).all()
    assert 70 < is_mirrored.sum() < 130


# values


def test_every_image_is_scaled_in_image_data_generators_order():
    images, function = photos(), lambda image: image[..., ::-1] + 1.0
    options = {"preprocessing_function": function, "rescale": 0.5, "samplewise_center": True}
    expected = 0.5 * (images[..., ::-1] + 1.0)
    expected = expected - expected.mean((1, 2, 3), keepdims=True)
    np.testing.assert_allclose(applied(options, images), expected, atol=1e-3)
    expected /= expected.std((1, 2, 3), keepdims=True)
    options["samplewise_std_normalization"] = True
    np.testing.assert_allclose(applied(options, images), expected, atol=1e-5)


def test_images_are_centred_by_training_images_as_they_are_after_rescaling():
    training, images = photos(300, seed=1), photos()
    options = {"rescale": 1 / 255, "featurewise_center": True, "featurewise_std_normalization": True}
    scaled = training.astype(np.float64) / 255
    expected = (images / 255 - scaled.mean((0, 1, 2))) / scaled.std((0, 1, 2))
    np.testing.assert_allclose(applied(options, images, fitted_on=training), expected, atol=1e-4)


def test_statistics_of_bytes_are_those_of_floats():
    options, images = {"samplewise_center": True, "featurewise_std_normalization": True}, photos()
    expected = applied(options, images)
    np.testing.assert_array_equal(applied(options, images, fitted_on=images.astype(np.uint8)), expected)


def test_a_deviation_is_one_from_the_mean():
    images = photos()
    np.testing.assert_array_equal(
        applied({"featurewise_std_normalization": True}, images),
        applied({"featurewise_std_normalization": True, "featurewise_center": True}, images),
    )


@pytest.mark.parametrize("white", [255, 1])
def test_brightness_multiplies_and_stops_at_white(white):
    images = photos() * np.float32(white / 255)
    np.testing.assert_allclose(
        applied({"brightness_range": (1.5, 1.5)}, images), np.minimum(images * 1.5, white), rtol=1e-6
    )


def test_brightness_of_centred_images_is_refused():
    with pytest.raises(EnsembleError, match=r"brightness_range needs images from 0 .* go from -"):
        read_augmentation({"brightness_range": (0.5, 1)}, LAST).fit(photos() - 100)


def test_a_channel_shift_adds_one_number_to_an_image_within_its_own_range():
    images = photos()
    shifted = applied({"channel_shift_range": 40.0}, images)
    for before, after in zip(images, shifted, strict=True):
        added = np.unique((after - before).round(3)[(after > before.min()) & (after < before.max())])
        assert len(added) == 1
        assert 0 < abs(added[0]) <= 40
        assert before.min() <= after.min() <= after.max() <= before.max()


# bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rotatoin_range": 3}, "did you mean rotation_range"),
        ({"rotation_range": -3}, "rotation_range must be a number from 0, but got -3"),
        ({"rotation_range": True}, "rotation_range must be a number"),
        ({"rotation_range": float("nan")}, "rotation_range must be a number"),
        ({"zoom_range": 1.5}, "zoom_range must be a share"),
        ({"zoom_range": [1, 2, 3]}, r"zoom_range must be \(lowest, highest\)"),
        ({"brightness_range": (2, 1)}, "brightness_range must be"),
        ({"width_shift_range": "a"}, "width_shift_range must be a share"),
        ({"horizontal_flip": 1}, "horizontal_flip must be True or False"),
        ({"fill_mode": "mirror"}, "fill_mode must be one of nearest"),
        ({"preprocessing_function": 3}, "preprocessing_function must be a function"),
        ({"zca_whitening": True}, "PCA"),
        ({"validation_split": 0.2}, "the plan of the ensemble divides rows"),
        ({"data_format": "channels_last"}, "the trainer knows"),
    ],
)
def test_options_without_meaning_are_refused(options, message):
    with pytest.raises(EnsembleError, match=f"train_augmentation: .*{message}"):
        read_trio(options, None, None, LAST)


def test_defaults_of_image_data_generator_do_nothing():
    defaults = {
        "featurewise_center": False, "zca_whitening": False, "zca_epsilon": 1e-06, "rotation_range": 0,
        "width_shift_range": 0.0, "brightness_range": None, "zoom_range": 0.0, "fill_mode": "nearest", "cval": 0.0,
        "rescale": None, "preprocessing_function": None, "data_format": None, "validation_split": 0.0,
        "interpolation_order": 1, "dtype": None,
    }  # fmt: skip
    images = photos()
    assert not read_augmentation(defaults, LAST).is_random
    np.testing.assert_array_equal(applied(defaults, images), images)


def test_a_function_that_changes_the_shape_of_an_image_is_refused():
    with pytest.raises(EnsembleError, match=r"shape \(12, 17, 3\), as it got, but returned \(12, 17\)"):
        applied({"preprocessing_function": lambda image: image.mean(-1)}, photos())


def test_a_function_that_changes_its_image_leaves_the_images_as_they_are():
    def darken(image):
        image *= 0.5
        return image

    images = torch.tensor(photos())
    before = images.clone()
    darkened = read_augmentation({"preprocessing_function": darken}, LAST)(images, {}, generator())
    assert torch.equal(images, before)
    assert torch.equal(darkened, before * 0.5)
