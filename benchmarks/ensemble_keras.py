"""Five folds of a small CNN on scikit-learn's digits: Keras and skorch as they are used, beside ensembles.

Usage: python -m benchmarks.ensemble_keras [--quick]

Every way trains the same architecture on the same folds for as many epochs, in turns; the times are medians and the
accuracy is that of the out-of-fold predictions. An ensemble's time holds all that it does besides: curves of the
validation rows after each epoch, scores, and the comparison of a first step.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.model_selection import KFold, cross_val_predict
from torch import nn

from benchmarks.table import print_table
from mlpipeline.ensemble.ensemble import Ensemble
from mlpipeline.ensemble.keras_trainer import KerasTrainer
from mlpipeline.ensemble.torch_trainer import TorchTrainer

EPOCHS, BATCH, RATE = 10, 32, 1e-3
FOLDS = KFold(5, shuffle=True, random_state=0)
X, Y = load_digits(return_X_y=True)
IMAGES = (X / 16).astype(np.float32).reshape(-1, 8, 8, 1)


def keras_cnn() -> Any:
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(64, activation="relu"),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(RATE), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def torch_cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip


def keras_loop(epochs: int) -> NDArray[Any]:
    """Train fold after fold, as users of Keras write it."""
    predicted = np.empty(len(Y), dtype=int)
    for number, (train, valid) in enumerate(FOLDS.split(IMAGES)):
        keras.utils.set_random_seed(number)
        model = keras_cnn()
        model.fit(IMAGES[train], Y[train], epochs=epochs, batch_size=BATCH, verbose=0)
        predicted[valid] = model.predict(IMAGES[valid], verbose=0).argmax(axis=1)
    return predicted


def skorch_folds(epochs: int) -> NDArray[Any]:
    from skorch import NeuralNetClassifier

    torch.manual_seed(0)
    network = NeuralNetClassifier(
        torch_cnn, criterion=nn.CrossEntropyLoss, optimizer=torch.optim.Adam, lr=RATE, max_epochs=epochs,
        batch_size=BATCH, iterator_train__shuffle=True, train_split=None, verbose=0,
    )  # fmt: skip
    return np.asarray(cross_val_predict(network, IMAGES.transpose(0, 3, 1, 2), Y.astype(np.int64), cv=FOLDS))


def ensemble(trainer: Any, images: NDArray[np.float32], *, together: bool | None = None) -> NDArray[Any]:
    result = Ensemble(trainer, FOLDS, together=together).fit(images, Y)
    return np.asarray(result.oof.argmax(axis=1))


def ways(epochs: int) -> dict[str, Callable[[], NDArray[Any]]]:
    in_keras = KerasTrainer(keras_cnn, epochs=epochs, batch_size=BATCH)
    in_torch = TorchTrainer(
        torch_cnn, epochs=epochs, batch_size=BATCH, optimizer=lambda weights: torch.optim.Adam(weights, RATE)
    )
    channels_first = np.ascontiguousarray(IMAGES.transpose(0, 3, 1, 2))
    found = {
        "Keras, model.fit in a loop": lambda: keras_loop(epochs),
        "skorch in cross_val_predict": lambda: skorch_folds(epochs),
        "KerasTrainer, one after the other": lambda: ensemble(in_keras, IMAGES, together=False),
        "KerasTrainer, all at once": lambda: ensemble(in_keras, IMAGES),
        "TorchTrainer, as it chooses": lambda: ensemble(in_torch, channels_first),
    }
    if importlib.util.find_spec("skorch") is None:
        print("skorch is left out: it is not installed (pip install skorch)")
        del found["skorch in cross_val_predict"]
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="one round of three epochs")
    quick = parser.parse_args().quick
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    epochs, rounds = (3, 1) if quick else (EPOCHS, 5)
    found = ways(epochs)
    seconds: dict[str, list[float]] = {name: [] for name in found}
    accuracies: dict[str, list[float]] = {name: [] for name in found}
    for way in ways(1).values():
        way()  # what is loaded and prepared once is not measured
    for _ in range(rounds):
        for name, way in found.items():  # in turns, so that a change of the machine's pace meets all
            started = time.perf_counter()
            predicted = way()
            seconds[name].append(time.perf_counter() - started)
            accuracies[name].append(float((predicted == Y).mean()))
    medians = {name: statistics.median(each) for name, each in seconds.items()}
    ours = ("KerasTrainer, all at once", "TorchTrainer, as it chooses")
    rows = [
        [name, f"{medians[name]:.2f}", *(f"{medians[name] / medians[each]:.2f}" for each in ours),
         f"{statistics.median(accuracies[name]):.4f}"]
        for name in found
    ]  # fmt: skip
    header = ["way", "seconds", *(f"times {each.split(',')[0]}'s" for each in ours), "out-of-fold accuracy"]
    print_table(f"Five folds of a small CNN on digits, {epochs} epochs, batches of {BATCH}", header, rows)


if __name__ == "__main__":
    main()
