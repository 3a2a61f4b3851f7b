"""The tutorial of data pipelines: greyscale, one-hot labels, a small Keras network; stored, saved and loaded.

Which of two photographs is a piece of 48 x 48 pixels from? The photographs come with scikit-learn;
the left of each is for training, the right for testing.

    pip install "mlpipeline[keras,plot,sql]"
    python examples/dataflow_tutorial.py [FOLDER]
"""

from __future__ import annotations

import os
import sqlite3
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
from sklearn.datasets import load_sample_images

import mlpipeline.dataflow as megatron

SIZE = 48


def pieces(start: float, stop: float, step: int = 16) -> dict[str, np.ndarray]:
    """Return pieces from between two shares of each photograph's width, and which photograph they are from."""
    images, labels = [], []
    for label, photograph in enumerate(load_sample_images().images):
        height, width, _ = photograph.shape
        for left in range(int(start * width), int(stop * width) - SIZE, step):
            for top in range(0, height - SIZE, step):
                images.append(photograph[top : top + SIZE, left : left + SIZE] / 255)
                labels.append(label)
    return {"image": np.stack(images), "label": np.array(labels)}


def small_network() -> keras.Model:
    """Return a compiled network from grey pieces to two classes."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((SIZE, SIZE, 1)),
            keras.layers.AveragePooling2D(2),
            keras.layers.Conv2D(8, 3, activation="relu"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Conv2D(16, 3, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile("adam", "categorical_crossentropy")
    return model


def main(folder: Path, epochs: int = 8) -> float:
    """Build, fit, store, look up, evaluate, save and load; return the accuracy."""
    train, test = pieces(0, 0.6), pieces(0.6, 1)

    images = megatron.nodes.Input("image", (SIZE, SIZE, 3))
    labels = megatron.nodes.Input("label")
    grey_images = megatron.layers.RGBtoGrey(method="luminosity", keep_dim=True)(images, "grey_images")
    ohe_labels = megatron.layers.OneHotRange(max_val=1)(labels, "ohe_labels")
    preds = megatron.layers.Keras(small_network())([grey_images, ohe_labels], "predictor")
    accuracy = megatron.metrics.Accuracy()([ohe_labels, preds], "model_acc")

    storage_db = sqlite3.connect(folder / "getting_started.db")
    pipeline = megatron.Pipeline(
        [images, labels], preds, metrics=accuracy, name="getting_started", version=0.1, storage=storage_db
    )
    pipeline.fit(train, epochs=epochs)
    outputs = pipeline.transform(test)
    one_output = pipeline.storage.read(rows=["0"])
    print(outputs["predictor"].shape, one_output["predictor"].shape)
    metrics = pipeline.evaluate(test)
    print(f"accuracy on {len(test['label'])} pieces: {metrics['model_acc']:.2f}")

    path = pipeline.save(folder / "pipelines")
    again = megatron.load_pipeline(path, storage_db=storage_db)
    np.testing.assert_allclose(again.transform({"image": test["image"]})["predictor"], outputs["predictor"], rtol=1e-5)
    print(f"saved as {path.name}, and loaded with equal predictions")
    print(again.summary())
    print(f"drawn in {again.plot(folder / 'getting_started.svg').name}")
    return float(metrics["model_acc"])


if __name__ == "__main__":
    if len(sys.argv) > 1:
        Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary))
