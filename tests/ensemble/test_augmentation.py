"""Augmentation of every kind: what is drawn and from where, and that prediction sees what training saw."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from mlpipeline.ensemble.augmentation import Identity, read_augmentation, read_trio
from mlpipeline.errors import EnsembleError
from tests.ensemble.photos import FIRST, LAST, applied, generator, photos


def keras_layers(*layers):
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    return keras.Sequential([getattr(keras.layers, name)(*arguments) for name, *arguments in layers])


# what all kinds have in common

KINDS = {
    "options": lambda: {
        "rotation_range": 20, "zoom_range": 0.2, "horizontal_flip": True, "brightness_range": (0.5, 1.5),
        "rescale": 1 / 255,
    },
    "torchvision": lambda: v2.Compose(
        [v2.RandomRotation(20), v2.ColorJitter(0.3), v2.ToDtype(torch.float32, scale=True)]
    ),
    "keras": lambda: keras_layers(("RandomFlip",), ("RandomRotation", 0.1), ("Rescaling", 1 / 255)),
}  # fmt: skip


@pytest.fixture(params=KINDS)
def spec(request):
    return KINDS[request.param]()


def test_what_is_drawn_follows_from_the_generator_alone(spec):
    images = photos()
    first = applied(spec, images)
    torch.manual_seed(99)
    np.testing.assert_array_equal(applied(spec, images), first)
    assert np.abs(applied(spec, images, seed=1) - first).max() > 0.01


def test_each_image_draws_for_itself(spec):
    same = np.repeat(photos(1), 8, axis=0)
    changed = applied(spec, same)
    assert len({image.tobytes() for image in changed}) > 4


def test_images_and_global_random_state_are_left_as_they_are(spec):
    images = torch.tensor(photos())
    before, numpys, torchs = images.clone(), np.random.get_state()[1].copy(), torch.get_rng_state()
    augmentation = read_augmentation(spec, LAST)
    augmentation(images, augmentation.fit(before.numpy()), generator())
    assert torch.equal(images, before)
    assert torch.equal(torch.get_rng_state(), torchs)
    np.testing.assert_array_equal(np.random.get_state()[1], numpys)


def test_both_layouts_give_the_same_images(spec):
    images = photos()
    moved = applied(spec, np.ascontiguousarray(images.transpose(0, 3, 1, 2)), FIRST)
    np.testing.assert_allclose(moved.transpose(0, 2, 3, 1), applied(spec, images), atol=1e-5)


def test_images_stay_in_their_order(spec):
    plain = np.float32([3, 12, 48, 192])[:, None, None, None] * np.ones((1, 9, 9, 3), np.float32)
    middles = applied(spec, plain)[:, 4, 4].mean(-1)
    assert (np.diff(middles) > 0).all()


def test_the_fixed_part_scales_and_draws_nothing(spec):
    images, augmentation = photos(), read_augmentation(spec, LAST)
    fixed, state = augmentation.fixed(), generator().get_state()
    result = fixed(torch.tensor(images), augmentation.fit(images), generator())
    np.testing.assert_allclose(result, images / 255, atol=1e-6)
    assert augmentation.is_random
    assert not fixed.is_random
    assert torch.equal(generator().get_state(), state)


@pytest.mark.parametrize("shape", [(8, 5), (8, 12, 17), (8, 3, 12, 17)])
def test_rows_that_are_no_images_in_this_layout_are_refused(spec, shape):
    augmentation = read_augmentation(spec, LAST)
    with pytest.raises(EnsembleError, match=r"needs images \[n, height, width, channels\]"):
        augmentation(torch.zeros(shape), {"white": np.array(255.0), "bytes": np.array([True])}, generator())


# training and prediction


def test_validation_and_test_images_are_scaled_as_training_images_are(spec):
    images, trio = photos(), read_trio(spec, None, None, LAST)
    statistics = trio.fit(images)
    for augmentation in (trio.valid, trio.test):
        result = augmentation(torch.tensor(images), statistics, generator())
        np.testing.assert_allclose(result, images / 255, atol=1e-6)


def test_a_test_augmentation_without_the_rescaling_of_training_is_refused():
    with pytest.raises(EnsembleError, match=r"test_augmentation scales .* nothing there, rescale 0.5 in training"):
        read_trio({"rescale": 0.5}, None, {"horizontal_flip": True}, LAST)
    with pytest.raises(EnsembleError, match="valid_augmentation scales"):
        read_trio(KINDS["torchvision"](), v2.RandomHorizontalFlip(), None, LAST)
    with pytest.raises(EnsembleError, match="test_augmentation scales"):
        read_trio(KINDS["keras"](), None, keras_layers(("RandomFlip",), ("Rescaling", 1 / 127)), LAST)


def test_a_test_augmentation_that_scales_alike_is_used():
    trio = read_trio({"rescale": 0.5}, None, {"horizontal_flip": True, "rescale": 0.5}, LAST)
    assert [each.is_random for each in trio] == [False, False, True]
    normalized = [v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.5], [0.2])]
    assert read_trio(v2.Compose(normalized), None, v2.Compose([v2.RandomCrop(8), *normalized]), LAST).test.is_random


def test_statistics_of_all_three_are_fitted_together():
    trio = read_trio(None, None, v2.RandomHorizontalFlip(1.0), LAST)
    images = photos()
    assert trio.needs_statistics
    flipped = trio.test(torch.tensor(images), trio.fit(images), generator())
    np.testing.assert_array_equal(flipped, images[:, :, ::-1])


# torchvision


def test_images_of_bytes_are_bytes_to_torchvision_and_come_back_in_the_range_it_gives_them():
    images = photos()
    np.testing.assert_array_equal(applied(v2.RandomHorizontalFlip(0.0), images), images)
    np.testing.assert_allclose(applied(v2.ToDtype(torch.float32, scale=True), images), images / 255, atol=1e-7)
    np.testing.assert_array_equal(applied(v2.RandomInvert(1.0), images / 255), 1 - images / 255)


def test_torchvision_images_of_unclear_range_are_refused():
    with pytest.raises(EnsembleError, match=r"whole numbers from 0 to 255 or of numbers from 0 to 1, .* -1 to 1"):
        applied(v2.RandomHorizontalFlip(), photos() / 127.5 - 1)


def test_in_prediction_random_crops_of_torchvision_become_middles_of_the_same_size():
    images = photos(2, 16, 16)
    crop = read_augmentation(v2.Compose([v2.RandomCrop(10), v2.Lambda(lambda image: image + 1)]), LAST)
    fixed = crop.fixed()(torch.tensor(images), crop.fit(images), generator())
    np.testing.assert_array_equal(fixed, images[:, 3:13, 3:13].astype(np.uint8) + np.uint8(1))
    resized = read_augmentation(v2.RandomResizedCrop(8), LAST).fixed()
    assert resized(torch.tensor(images), crop.fit(images), generator()).shape == (2, 8, 8, 3)


class Faded(v2.Transform):
    """A transform of one's own, which draws."""

    def make_params(self, flat_inputs):
        return {"factor": torch.rand(())}

    def transform(self, inpt, params):
        return (inpt * params["factor"]).to(inpt.dtype)


def test_a_transform_of_ones_own_that_draws_parameters_has_no_part_in_prediction():
    images, own = photos(), read_augmentation(v2.Compose([Faded()]), LAST)
    assert own.is_random
    np.testing.assert_array_equal(own.fixed()(torch.tensor(images), own.fit(images), generator()), images)


@pytest.mark.parametrize(
    ("transform", "message"),
    [
        (lambda: v2.Normalize([0.5], [0.5]), r"fails for an image \(3, 12, 17\) of torch.uint8.*float"),
        (lambda: v2.RandomResize(8, 30), "different sizes"),
        (lambda: v2.FiveCrop(4), "must return one image"),
        (lambda: v2.MixUp(num_classes=3), "fails for an image"),
    ],
)
def test_transforms_that_give_no_batch_of_images_are_refused(transform, message):
    with pytest.raises(EnsembleError, match=message):
        applied(transform(), photos())


# Keras


def test_a_normalization_layer_is_fitted_on_training_images_where_it_stands():
    training, images = photos(50, seed=1), photos()
    layers = keras_layers(("Rescaling", 2.0, -1.0), ("Normalization",))
    exact = training.astype(np.float64)
    expected = (images - exact.mean((0, 1, 2))) / exact.std((0, 1, 2))
    training.flags.writeable = False
    np.testing.assert_allclose(applied(layers, images, fitted_on=training), expected, atol=1e-4)


def test_a_normalization_layer_that_was_adapted_is_used_as_it_is():
    images, layers = photos(), keras_layers(("Normalization",))
    layers.layers[0].adapt(photos(50, seed=1))
    expected = np.asarray(layers(images).detach())
    assert not read_augmentation(layers, LAST).needs_statistics
    np.testing.assert_allclose(applied(layers, images), expected, atol=1e-5)


def test_the_seeds_of_keras_layers_are_put_back():
    layers = KINDS["keras"]()
    before = [np.asarray(variable).tolist() for variable in layers.variables]
    applied(layers, photos())
    assert [np.asarray(variable).tolist() for variable in layers.variables] == before


def test_a_layer_of_ones_own_that_draws_from_torch_follows_from_the_generator():
    keras_layers()  # which chooses what Keras runs on
    import keras

    class Noise(keras.Layer):
        def call(self, inputs, training=False):
            return inputs + torch.rand(1).item() if training else inputs

    images, noisy = photos(), applied(Noise(), photos())
    torch.manual_seed(99)
    state = torch.get_rng_state()
    np.testing.assert_array_equal(applied(Noise(), images), noisy)
    assert torch.equal(torch.get_rng_state(), state)
    assert np.abs(applied(Noise(), images, seed=1) - noisy).max() > 0


def test_layers_that_mix_labels_are_refused():
    with pytest.raises(EnsembleError, match="MixUp mixes labels"):
        read_augmentation(keras_layers(("MixUp",)), LAST)


# bad input


def test_what_is_no_augmentation_is_refused():
    with pytest.raises(EnsembleError, match="must be a dict of ImageDataGenerator's options"):
        read_augmentation(lambda image: image, LAST)
    with pytest.raises(EnsembleError, match="layout must be"):
        read_augmentation(None, "nhwc")


def test_an_augmentation_of_ones_own_is_used_as_it_is():
    own = Identity()
    assert read_augmentation(own, FIRST) is own


def test_reading_no_augmentation_loads_no_library_that_trains():
    code = (
        "import sys; from mlpipeline.ensemble.augmentation import read_augmentation, read_trio\n"
        "read_trio(None, None, None, 'channels_last'); print(*{'torch', 'keras', 'torchvision'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
