"""Keras models that train in no time, digits to train them on, and what they say when they are asked one by one."""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np
import torch
from sklearn.datasets import load_digits

from mlpipeline.ensemble import KerasPipeline

SPARSE, ONE_HOT, BINARY = "sparse_categorical_crossentropy", "categorical_crossentropy", "binary_crossentropy"
N, TEST = 120, 30  # rows of digits


@contextmanager
def one_thread() -> Iterator[None]:
    """Tiny models gain nothing by a second thread, and wait for it where other work is done."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def small_network(params):
    """Return a compiled network; params: shape of a row, outputs, loss, dropout, rate."""
    outputs = params.get("outputs", 10)
    activation = {"mse": "linear", BINARY: "sigmoid"}.get(params.get("loss", SPARSE), "softmax")
    model = keras.Sequential(
        [
            keras.Input(params.get("shape", (64,))),
            keras.layers.Flatten(),
            keras.layers.Dense(16, "relu"),
            keras.layers.Dropout(params.get("dropout", 0)),
            keras.layers.Dense(outputs, activation),
        ]
    )
    model.compile(keras.optimizers.Adam(params.get("rate", 0.01)), params.get("loss", SPARSE))
    return model


@cache
def digits():
    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype(np.float32)
    x.setflags(write=False)
    return x[:N], y[:N], x[N : N + TEST], y[N : N + TEST]


def pipeline(kind: Any = KerasPipeline, params: Any = None, **arguments: Any) -> Any:
    quiet = {"verbose": False, "output_statistics": False, "together": False, "seed": 1, "n_folds": 2}
    return kind(small_network, params or {}, **{"predict_test": True, "batch_size": 40, **quiet, **arguments})


def said(model, x):
    return model.predict(x, verbose=0, batch_size=N)


def mean_said(runner, x):
    return np.mean([said(model, x) for model in runner.result.models], axis=0)


def assert_close(first, second):
    np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-6)


def listing(folder: Path):
    return {path.name: path.stat().st_mtime_ns for path in folder.rglob("*") if not path.name.startswith(".")}
