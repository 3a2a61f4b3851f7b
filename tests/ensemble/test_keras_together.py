"""Keras models of all members at once, compared with the same trained one after the other by Keras."""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import logging
from dataclasses import replace

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits

from mlpipeline.ensemble import Ensemble, Folds
from mlpipeline.ensemble.keras_steps import Steps
from mlpipeline.ensemble.keras_team import build_team
from mlpipeline.ensemble.keras_together import may_fill_up
from mlpipeline.ensemble.keras_trainer import KerasTrainer
from mlpipeline.ensemble.observations import Part
from mlpipeline.ensemble.targets import read_targets
from mlpipeline.ensemble.trainer import Assignment

layers, optimizers = keras.layers, keras.optimizers
DIGITS, LABELS = load_digits(n_class=3, return_X_y=True)
IMAGES = (DIGITS / 16).astype(np.float32).reshape(-1, 8, 8, 1)
LOSSES = {10: "sparse_categorical_crossentropy", 3: "categorical_crossentropy", 1: "binary_crossentropy"}


def trainer(hidden, optimizer, outputs=3, loss="sparse_categorical_crossentropy", **arguments):
    def build():
        activation = "sigmoid" if outputs == 1 else "softmax"
        model = keras.Sequential(
            [keras.Input((8, 8, 1)), *hidden(), layers.Flatten(), layers.Dense(outputs, activation)]
        )
        model.compile(optimizer(), loss, metrics=["accuracy"])
        return model

    return KerasTrainer(build, **{"epochs": 2, "batch_size": 20, **arguments})


def assignments(counts, y=LABELS, stopping=False, weighted=False):
    """Return members with so many training rows."""
    y, targets = read_targets(y, None)
    rng, told = np.random.default_rng(0), []
    for number, count in enumerate(counts):
        rows = rng.permutation(len(y))
        train, valid, held = (Part(IMAGES, part, y[part]) for part in np.split(rows[: count + 45], [count, count + 30]))
        train = replace(train, weights=rng.uniform(0, 2, count) if weighted else None)
        told.append(Assignment(number, f"fold{number}", 5 + number, train, targets, valid, held if stopping else None))
    return told


def convolutions():
    return [
        layers.Conv2D(4, 3, activation="relu", padding="same", kernel_regularizer="l2"),
        layers.MaxPooling2D(),
        layers.Dropout(0.3),
        layers.Conv2D(4, 3),
    ]


def dense():
    return [layers.Flatten(), layers.Dense(6, "relu"), layers.Dropout(0.5), layers.Dense(5, "tanh")]


def normalized():
    return [layers.Conv2D(2, 3, strides=2), layers.BatchNormalization(), layers.ReLU()]


@pytest.mark.parametrize(
    ("own", "work"),
    [
        (trainer(convolutions, optimizers.Adam), assignments((50, 50, 51), stopping=True, weighted=True)),
        (
            trainer(dense, lambda: optimizers.SGD(0.05, momentum=0.9, nesterov=True), outputs=1, loss=LOSSES[1]),
            assignments((41, 40), LABELS > 0),  # the last batch of the second is missing
        ),
        (
            trainer(normalized, lambda: optimizers.RMSprop(1e-3), loss=LOSSES[3], shuffle=False),
            assignments((50, 53, 53), np.eye(3)[LABELS]),  # whose short batches must not be filled up
        ),
    ],
    ids=["convolutions", "dense", "normalized"],
)
def test_members_at_once_are_what_they_are_one_after_the_other(own, work):
    together, alone = own.fit_together(work), [own.fit(each) for each in work]
    assert together is not None
    for first, second in zip(together, alone, strict=True):
        assert (first.best_epoch, first.history.keys()) == (second.best_epoch, second.history.keys())
        for name, values in second.history.items():
            np.testing.assert_allclose(first.history[name], values, atol=1e-5, err_msg=name)
        np.testing.assert_allclose(own.predict(first, IMAGES), own.predict(second, IMAGES), atol=1e-5)
        for one, other in zip(first.model.optimizer.variables, second.model.optimizer.variables, strict=True):
            np.testing.assert_allclose(*(keras.ops.convert_to_numpy(each) for each in (one, other)), atol=1e-5)


@pytest.mark.parametrize(("hidden", "fills_up"), [(dense, True), (normalized, False)])
def test_short_batches_are_filled_up_where_that_changes_nothing(hidden, fills_up):
    team = build_team(trainer(hidden, optimizers.SGD), assignments((30, 33)))
    assert may_fill_up(team, Steps(team.models[0])) is fills_up
    rows = team.sides[""].gather([np.arange(0), np.arange(3)], 0, [0, 1], 4)
    np.testing.assert_allclose(rows.weights, [[0, 0, 0, 0], [4 / 3, 4 / 3, 4 / 3, 0]])


def test_members_that_stop_early_keep_their_best_weights_while_others_go_on():
    own = trainer(dense, lambda: optimizers.Adam(0.03), epochs=12, patience=1)
    work = assignments((50, 50), stopping=True)
    together, alone = own.fit_together(work), [own.fit(each) for each in work]
    lengths = [len(each.history["loss"]) for each in alone]
    assert lengths[0] != lengths[1]
    assert [len(each.history["loss"]) for each in together] == lengths
    for first, second in zip(together, alone, strict=True):
        assert first.best_epoch == second.best_epoch == np.argmin(second.history["stop_loss"]) + 1
        assert int(first.model.optimizer.iterations) == int(second.model.optimizer.iterations)
        np.testing.assert_allclose(own.predict(first, IMAGES), own.predict(second, IMAGES), atol=1e-5)


def ensemble_messages(own, caplog, plan=2):
    caplog.set_level(logging.INFO)
    result = Ensemble(own, Folds(plan)).fit(IMAGES[:45], LABELS[:45])
    assert not np.isnan(result.oof).any()
    return [record for record in caplog.records if "one after the other" in record.message]


@pytest.mark.parametrize(
    ("hidden", "message", "level"),
    [
        (lambda: [layers.GaussianNoise(0.1)], "a step cannot be batched", "WARNING"),
        (lambda: [layers.Flatten(), layers.Dense(7000)], "which is too many to gain by it", "INFO"),
    ],
)
def test_what_cannot_be_trained_at_once_is_trained_one_after_the_other_and_told(hidden, message, level, caplog):
    (record,) = ensemble_messages(trainer(hidden, optimizers.SGD, epochs=1), caplog)
    assert message in record.message
    assert record.levelname == level


def test_callbacks_are_never_left_out(caplog):
    class Told(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            logging.getLogger("told").info("told")

    own = trainer(list, optimizers.SGD, epochs=1, callbacks=[Told()])
    (record,) = ensemble_messages(own, caplog)
    assert "callbacks are called for one model at a time" in record.message
    assert sum(each.message == "told" for each in caplog.records) == 2


def test_a_step_that_differs_from_keras_is_never_taken(caplog):
    class Odd(optimizers.SGD):
        """Does on all variables at once what it does not do on one."""

        def _backend_update_step(self, grads, trainable_variables, learning_rate):
            for variable, gradient in zip(trainable_variables, grads, strict=True):
                variable.assign(variable - 0.1 * gradient)

    (record,) = ensemble_messages(trainer(list, lambda: Odd(0.5), epochs=1), caplog)
    assert "a step differs from Keras's own" in record.message
