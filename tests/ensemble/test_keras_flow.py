"""KerasFlowPipeline: images that are changed at random keep their scale, their order and their probabilities."""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import numpy as np
import pytest

from mlpipeline.ensemble import KerasFlowPipeline
from mlpipeline.errors import EnsembleError
from tests.ensemble.small_networks import TEST, assert_close, digits, mean_said, one_thread, pipeline, said


@pytest.fixture(autouse=True, scope="module")
def in_one_thread():
    with one_thread():
        yield


def flow(shape=(8, 8, 1), **arguments):
    return pipeline(KerasFlowPipeline, {"shape": shape}, **arguments)


def images():
    x, y, x_test, y_test = digits()
    return x.reshape(-1, 8, 8, 1), y, x_test.reshape(-1, 8, 8, 1), y_test


def test_images_are_scaled_alike_in_training_and_in_every_prediction():
    x, y, x_test, _ = images()
    plain = flow().kf_flow_run(x, y, x_test)
    scaled = flow(train_datagen={"rescale": 1 / 255})
    _, oof, test = scaled.kf_flow_run(x * 255, y, x_test * 255)
    assert_close(oof, plain[1])
    assert_close(test, plain[2])
    with pytest.raises(EnsembleError, match="scales images otherwise"):
        flow(train_datagen={"rescale": 1 / 255}, test_datagen={"horizontal_flip": True})


def test_predictions_of_changed_copies_keep_the_order_and_sum_to_one():
    x, y, x_test, _ = images()
    both = np.concatenate([x_test, x_test[:, :, ::-1]], axis=2)  # equal to its mirror image
    wide = np.concatenate([x, x[:, :, ::-1]], axis=2)
    flipped = {"horizontal_flip": True}
    runner = flow((8, 16, 1), train_datagen=flipped, test_datagen=flipped, number_test_augmentations=3)
    _, _, test = runner.bag_flow_run(wide, y, X_test=both)
    assert_close(test, mean_said(runner, both))
    assert_close(test.sum(axis=1), 1)


def test_each_copy_of_a_test_image_is_changed_and_validation_images_are_not():
    x, y, x_test, _ = images()
    shifted = {"width_shift_range": 0.3}
    once = flow(train_datagen=shifted, test_datagen=shifted)
    often = flow(train_datagen=shifted, test_datagen=shifted, number_test_augmentations=4)
    _, oof, test = once.kf_flow_run(x, y, x_test)
    _, oof_again, test_often = often.kf_flow_run(x, y, x_test)
    np.testing.assert_array_equal(oof, oof_again)
    for split, model in zip(once.result.splits, once.result.models, strict=True):
        assert_close(oof[split.valid], said(model, x[split.valid]))
    assert not np.allclose(test, test_often, atol=1e-4)
    assert not np.allclose(test, mean_said(once, x_test), atol=1e-4)
    assert_close(test_often.sum(axis=1), 1)


def test_validation_images_are_changed_where_that_is_asked_for():
    x, y, *_ = images()
    runner = flow(valid_datagen={"width_shift_range": 0.3}, user_split=True)
    _, valid, _ = runner.bag_flow_run(x, y, x[:TEST], y[:TEST])
    assert not np.allclose(valid, mean_said(runner, x[:TEST]), atol=1e-4)
    assert_close(valid.sum(axis=1), 1)


def test_averaging_equal_predictions_is_refused():
    with pytest.raises(EnsembleError, match="random test_datagen"):
        flow(train_datagen={"horizontal_flip": True}, number_test_augmentations=3)
