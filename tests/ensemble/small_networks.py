"""Keras models that train in no time."""

from __future__ import annotations

import os

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras

SPARSE, ONE_HOT, BINARY = "sparse_categorical_crossentropy", "categorical_crossentropy", "binary_crossentropy"


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
