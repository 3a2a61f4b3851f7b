"""KerasTrainer, compared with what its models say and with Keras's own training."""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import random
from dataclasses import replace
from functools import cache

import keras
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.datasets import load_iris

from mlpipeline.ensemble import Ensemble, Folds
from mlpipeline.ensemble.keras_trainer import KerasTrainer
from mlpipeline.ensemble.observations import Part
from mlpipeline.ensemble.order import epoch_order
from mlpipeline.ensemble.targets import read_targets
from mlpipeline.ensemble.trainer import Assignment
from mlpipeline.errors import EnsembleError

SPARSE, ONE_HOT, BINARY = "sparse_categorical_crossentropy", "categorical_crossentropy", "binary_crossentropy"
X, LABELS = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[LABELS]
callbacks, layers = keras.callbacks, keras.layers


def network(params):
    """Return a compiled network; params: outputs, loss, dropout, rate, metrics."""
    outputs, loss = params.get("outputs", 3), params.get("loss", SPARSE)
    activation = {BINARY: "sigmoid", "mse": "linear"}.get(loss, "softmax") if isinstance(loss, str) else "linear"
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(8, "relu"),
            layers.Dropout(params.get("dropout", 0)),
            layers.Dense(outputs, activation),
        ]
    )
    model.compile(keras.optimizers.Adam(params.get("rate", 0.01)), loss, metrics=params.get("metrics"))
    return model


def trainer(params=None, **arguments):
    return KerasTrainer(network, params or {}, **{"epochs": 2, "batch_size": 25, **arguments})


def assignment(y=LABELS, x=X, seed=1, stopping=False, valid=True, weights=None):
    """Return one of 100 training rows, 25 validation rows and, if asked for, 25 rows held back."""
    y, targets = read_targets(y, None)
    order = np.random.default_rng(0).permutation(150)
    parts = [Part(x, rows, y[rows]) for rows in (order[:100], order[100:125], order[125:])]
    train = replace(parts[0], weights=weights)
    return Assignment(0, "fold0", seed, train, targets, parts[1] if valid else None, parts[2] if stopping else None)


def predictions(fitted, **arguments):
    return trainer().predict(fitted, X, **arguments)


def worsening(**arguments):
    """Return a trainer of four epochs, whose rate ruins the model in the third."""
    rate = callbacks.LearningRateScheduler(lambda epoch: 0.02 if epoch < 2 else 9.0)
    own = [rate, *arguments.pop("callbacks", ())]
    return trainer({"metrics": ("accuracy",)}, **{"epochs": 4, "callbacks": own, **arguments})


@cache
def stopped():
    """Return a member that was best in its second epoch of four."""
    work = assignment(stopping=True)
    return work, worsening().fit(work)


@pytest.mark.parametrize(
    ("y", "params", "columns"),
    [
        (LABELS, {}, 3),
        (NAMES, {}, 3),
        (np.eye(3)[LABELS], {"loss": ONE_HOT}, 3),
        (LABELS == 2, {"loss": BINARY, "outputs": 1}, 1),
        (X[:, 0], {"loss": "mse", "outputs": 1}, 1),
    ],
)
def test_out_of_fold_predictions_have_a_column_for_each_output(y, params, columns):
    quick = trainer({"rate": 0.1, **params}, epochs=6, batch_size=50)
    result = Ensemble(quick, Folds(2), together=False).fit(X, y, X[:7])
    assert result.oof.shape == (150, columns)
    assert result.test.shape == (7, columns)
    score = result.oof_scores.get("accuracy", 1 - result.oof_scores.get("rmse", 0) / 10)
    assert score > 0.6
    if columns == 3:
        np.testing.assert_allclose(result.oof.sum(axis=1), 1, atol=1e-6)


@pytest.mark.parametrize(
    ("y", "params", "message"),
    [
        (LABELS, {"loss": ONE_HOT}, "use sparse_categorical_crossentropy or one-hot labels"),
        (np.eye(3)[LABELS], {}, "y holds one-hot rows; use categorical_crossentropy or labels"),
        (LABELS, {"outputs": 2}, "there are 3 classes, but the model has 2 outputs"),
        (LABELS, {"loss": BINARY, "outputs": 1}, "cannot learn labels of 3 classes; use sparse_cat"),
        (LABELS == 2, {"loss": BINARY, "outputs": 2}, "cannot learn labels of 2 classes; use one output"),
        (np.eye(3)[LABELS], {"loss": ONE_HOT, "outputs": 4}, "of 3 classes, but the model has 4 outputs"),
        (X[:, 0], {}, 'holds values of a regression; if they are labels, say task="classes"'),
        (X[:, :2], {"loss": "mse"}, "y has 2 values a row, but the model has 3 outputs"),
    ],
)
def test_a_loss_that_does_not_fit_y_is_refused_before_training(y, params, message):
    with pytest.raises(EnsembleError, match=message):
        trainer(params).fit(assignment(y))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: None, "must return a compiled keras.Model, but returned None"),
        (lambda: keras.Sequential([layers.Dense(3)]), "not compiled; call model.compile"),
        (cache(lambda: network({})), "returned the same model twice"),
    ],
)
def test_a_build_that_gives_no_new_compiled_model_is_refused(build, message):
    with pytest.raises(EnsembleError, match=message):
        Ensemble(KerasTrainer(build, epochs=1), Folds(2), together=False).fit(X, LABELS)


def test_a_missing_parameter_is_named():
    with pytest.raises(EnsembleError, match=r"asks for 'units', which is no parameter; given are outputs, rate; add"):
        KerasTrainer(lambda params: params["units"], {"outputs": 3, "rate": 0.1}).fit(assignment())


def test_model_is_the_one_that_keras_trains_on_the_same_batches_with_the_same_weights_of_rows():
    weights = np.linspace(0, 2, 100)
    work = assignment(weights=weights)
    fitted = trainer().fit(work)
    keras.utils.set_random_seed(1)
    model = network({})
    for epoch in range(2):
        rows = epoch_order(100, 1, epoch)
        for batch in np.split(rows, 4):
            x, y = X[work.train.rows][batch].astype("f4"), LABELS[work.train.rows][batch]
            model.train_on_batch(x, y, weights[batch])
    np.testing.assert_allclose(predictions(fitted), model.predict(X, verbose=0), atol=1e-6)


def test_same_seed_gives_the_same_predictions_bit_for_bit_and_another_others():
    first, again, other = (
        predictions(trainer({"dropout": 0.5}).fit(assignment(seed=seed, valid=valid)))
        for seed, valid in ((1, True), (1, False), (2, True))  # what is evaluated changes nothing
    )
    assert (first == again).all()
    assert abs(first - other).max() > 1e-3


@pytest.mark.parametrize("varied", ["weights", "order", "dropout"])
def test_seed_alone_decides_weights_order_and_dropout(varied, monkeypatch):
    """Only what is varied may differ between two seeds, when all else is held."""
    module = "mlpipeline.ensemble.keras_trainer"
    if varied != "weights":
        fixed = network({"dropout": 0.5}).get_weights()
        monkeypatch.setattr(f"{module}._checked_model", lambda model: (model.set_weights(fixed), model)[1])
    if varied != "dropout":
        monkeypatch.setattr("mlpipeline.ensemble.keras_batches.batch_seed", lambda *place: 0)
    params = {"dropout": 0.5 if varied == "dropout" else 0}
    first, second = (
        predictions(trainer(params, shuffle=varied == "order").fit(assignment(seed=seed))) for seed in (1, 2)
    )
    assert abs(first - second).max() > 1e-4


def test_random_state_and_numbering_of_names_outside_are_as_before():
    def draw():
        return [random.random(), np.random.rand(), float(torch.rand(1)), float(keras.random.uniform((1,))[0])]

    keras.utils.set_random_seed(7)
    expected = [*draw(), *draw()]
    keras.utils.set_random_seed(7)
    first = draw()
    fitted = trainer({"dropout": 0.5}).fit(assignment())
    predictions(fitted, seed=3)
    trainer({"dropout": 0.5}).fit_together([assignment(), assignment(seed=2)])
    assert first + draw() == expected
    assert fitted.model.layers[0].name == "dense"


def test_weights_statistics_and_predictions_are_those_of_the_best_epoch_of_the_rows_held_back():
    work, fitted = stopped()
    best = int(np.argmin(fitted.history["stop_loss"]))
    assert fitted.best_epoch == best + 1 == 2
    for prefix, part in (("stop", work.stopping), ("val", work.valid)):
        loss, accuracy = fitted.model.evaluate(part.X.astype("f4"), part.y, verbose=0)
        assert loss == pytest.approx(fitted.history[f"{prefix}_loss"][best], rel=1e-5)
        assert accuracy == pytest.approx(fitted.history[f"{prefix}_accuracy"][best])
    shown = trainer().predict(fitted, X[work.valid.rows]).argmax(axis=1)
    assert (shown == work.valid.y).mean() == pytest.approx(fitted.history["val_accuracy"][best])


def test_without_rows_held_back_the_last_epoch_counts_whatever_the_validation_rows_say():
    fitted = worsening().fit(assignment())
    assert fitted.best_epoch == 4
    assert set(fitted.history) == {"loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"}
    assert np.argmin(fitted.history["val_loss"]) == 1


def test_early_stopping_of_the_user_tells_which_epoch_it_restored():
    stop = callbacks.EarlyStopping(monitor="val_accuracy", mode="min", patience=1, restore_best_weights=True)
    work = assignment(stopping=True)
    fitted = worsening(callbacks=[stop]).fit(work)
    epoch = int(np.argmin(fitted.history["stop_accuracy"]))
    assert fitted.best_epoch == epoch + 1 != 2  # the user's choice, not ours
    _, accuracy = fitted.model.evaluate(work.stopping.X.astype("f4"), work.stopping.y, verbose=0)
    assert accuracy == pytest.approx(fitted.history["stop_accuracy"][epoch])


def test_patience_stops_and_needs_rows_to_stop_by():
    fitted = worsening(patience=1).fit(assignment(stopping=True))
    assert (len(fitted.history["loss"]), fitted.best_epoch) == (3, 2)
    with pytest.raises(EnsembleError, match=r"patience=2 needs rows .* set stopping_size=0.1"):
        trainer(patience=2).fit(assignment())


@pytest.mark.parametrize(
    "callback",
    [
        callbacks.EarlyStopping(),
        callbacks.ReduceLROnPlateau(monitor="val_loss"),
        callbacks.ModelCheckpoint("best.keras", save_best_only=True),
    ],
)
def test_callbacks_that_choose_by_validation_rows_are_refused(callback):
    with pytest.raises(EnsembleError, match=r"of fold0 monitors val_loss.*stopping_size=0\.1.*monitor loss"):
        trainer(callbacks=[callback]).fit(assignment())


class Counted(callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.epochs = 0

    def on_epoch_end(self, epoch, logs=None):
        self.epochs += 1
        assert self.epochs == epoch + 1


def test_callbacks_are_not_shared_and_every_fold_has_files_of_its_own(tmp_path):
    own = [
        Counted(),
        callbacks.ModelCheckpoint(tmp_path / "best.keras"),
        callbacks.ModelCheckpoint(str(tmp_path / "{epoch}.weights.h5"), save_weights_only=True),
        callbacks.CSVLogger(tmp_path / "log.csv"),
        callbacks.BackupAndRestore(str(tmp_path / "backup"), delete_checkpoint=False),
    ]
    result = Ensemble(trainer(callbacks=own), Folds(2), together=None).fit(X, LABELS)
    assert own[0].epochs == 0
    folds = [f"{stem}_fold{number}{suffix}" for number in (0, 1) for stem, suffix in (
        ("best", ".keras"), ("1", ".weights.h5"), ("2", ".weights.h5"), ("log", ".csv"), ("backup", ""))]  # fmt: skip
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(folds)
    for number, member in enumerate(result.members):
        saved = keras.saving.load_model(tmp_path / f"best_fold{number}.keras")
        np.testing.assert_allclose(saved.predict(X, verbose=0), predictions(member.fitted), atol=1e-6)
        assert len(pd.read_csv(tmp_path / f"log_fold{number}.csv")) == 2


def test_a_function_of_the_name_gives_each_member_its_callbacks(tmp_path):
    named = []

    def own(name):
        named.append(name)
        return [callbacks.ModelCheckpoint(tmp_path / f"of_{name}.keras")]

    Ensemble(trainer(callbacks=own, epochs=1), Folds(2)).fit(X, LABELS)
    assert named == ["fold0", "fold1"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["of_fold0.keras", "of_fold1.keras"]


def test_weights_that_are_those_of_no_epoch_are_not_said_to_be(caplog):
    class Restart(callbacks.Callback):
        def on_train_end(self, logs=None):
            self.model.set_weights([weights * 0 for weights in self.model.get_weights()])

    fitted = trainer(callbacks=[Restart()], epochs=1).fit(assignment())
    assert fitted.best_epoch is None
    assert "fold0 ends with weights of no epoch" in caplog.text


def test_logits_become_probabilities():
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    fitted = trainer({"loss": loss}).fit(assignment())
    logits = fitted.model.predict(X, verbose=0)
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(predictions(fitted), expected, atol=1e-6)


def test_arrays_by_name_and_frames_train_as_arrays_do():
    def two_inputs():
        first, second = keras.Input((3,), name="first"), keras.Input((1,), name="second")
        out = layers.Dense(3, "softmax")(layers.Concatenate()([first, second]))
        model = keras.Model({"first": first, "second": second}, out)
        model.compile("sgd", SPARSE)
        return model

    def one_input():
        model = keras.Sequential([keras.Input((4,)), layers.Dense(3, "softmax")])
        model.compile("sgd", SPARSE)
        return model

    named = {"first": X[:, :3], "second": X[:, 3:]}
    results = [
        (own := KerasTrainer(build, epochs=2)).predict(own.fit(assignment(x=x)), x)
        for build, x in ((one_input, X), (one_input, pd.DataFrame(X)), (two_inputs, named))
    ]
    np.testing.assert_array_equal(results[1], results[0])
    np.testing.assert_allclose(results[2], results[0], atol=1e-6)


def test_saved_model_predicts_the_same_and_goes_on_learning_as_a_copy(tmp_path):
    _, fitted = stopped()
    own, path = trainer(epochs=1), tmp_path / "run_fold0.keras"
    own.save(fitted, path)
    loaded = replace(fitted, model=own.load(path))
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    assert (predictions(loaded) == predictions(fitted)).all()
    before = predictions(loaded)
    further = own.fit(replace(assignment(), initial=loaded))
    assert int(further.model.optimizer.iterations) == int(loaded.model.optimizer.iterations) + 4
    assert (predictions(loaded) == before).all()
    assert abs(predictions(further) - before).max() > 1e-3


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 no archive", "half"])
def test_files_that_are_no_models_are_told(tmp_path, content):
    path = tmp_path / "run_fold0.keras"
    if content == "half":
        trainer().save(stopped()[1], path)
        content = path.read_bytes()[: path.stat().st_size // 2]
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(EnsembleError, match=r"run_fold0\.keras (does not exist|cannot be loaded)"):
        trainer().load(path)


def test_a_model_with_an_unknown_class_says_what_to_do(tmp_path):
    class Doubled(layers.Layer):
        def call(self, x):
            return x * 2

    model = keras.Sequential([keras.Input((4,)), Doubled(), layers.Dense(3, "softmax")])
    model.compile("sgd", SPARSE)
    model.save(tmp_path / "own.keras")
    with pytest.raises(EnsembleError, match="register_keras_serializable"):
        trainer().load(tmp_path / "own.keras")


def test_a_trial_takes_one_step_and_leaves_callbacks_alone(tmp_path):
    own = trainer(callbacks=[callbacks.CSVLogger(tmp_path / "log.csv"), callbacks.EarlyStopping()], epochs=50)
    fitted = own.fit(replace(assignment(), is_trial=True))
    assert int(fitted.model.optimizer.iterations) == 1
    assert not list(tmp_path.iterdir())


def images(params):
    model = keras.Sequential([keras.Input((2, 2, 1)), layers.Flatten(), layers.Dense(3, "softmax")])
    model.compile("sgd", SPARSE)
    return model


def test_augmented_copies_are_averaged_in_order_and_reproducible_and_scaled_as_in_training():
    pixels = X.reshape(-1, 2, 2, 1) * 25
    own = KerasTrainer(images, {}, epochs=1, test_passes=3,
                       train_augmentation={"rescale": 1 / 255, "horizontal_flip": True},
                       test_augmentation={"rescale": 1 / 255, "horizontal_flip": True})  # fmt: skip
    fitted = own.fit(assignment(x=pixels))
    plain = own.predict(fitted, pixels)
    np.testing.assert_allclose(plain, fitted.model.predict(pixels / 255, verbose=0), atol=1e-6)
    first, again, other = (own.predict(fitted, pixels, seed=seed, is_test=True) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()
    np.testing.assert_allclose(first.sum(axis=1), 1, atol=1e-6)
    flipped = fitted.model.predict(pixels[:, :, ::-1] / 255, verbose=0)
    share = (first - plain)[:, 0] / np.where(flipped == plain, np.nan, flipped - plain)[:, 0]  # of flipped copies
    assert np.nanmax(abs(share * 3 - np.round(share * 3))) < 1e-2


def test_epochs_are_shown_to_who_asks(capsys):
    seen = []
    trainer(verbose=True).fit(replace(assignment(), report=lambda *told: seen.append(told)))
    assert [told[:2] for told in seen] == [(1, 2), (2, 2)]
    assert "fold0  epoch 2/2  loss" in capsys.readouterr().out
