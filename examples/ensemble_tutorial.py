"""The tutorial of ensembles: a small Keras network on handwritten digits, in bags and in folds, and a model above it.

Bagging with two bags that 20 % of the rows judge; then five stratified folds with out-of-fold predictions of the
training and of the test rows; then a second-level model that learns from those of two different models. The digits
come with scikit-learn.

    pip install "mlpipeline[keras]"
    python examples/ensemble_tutorial.py [FOLDER]
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier

from mlpipeline.ensemble import Ensemble, KerasPipeline


def small_cnn(params: dict[str, Any]) -> keras.Model:
    """Return a compiled network from images to the probabilities of ten digits."""
    model = keras.Sequential(
        [
            keras.Input(params["image_shape"]),
            keras.layers.Conv2D(params["filters"], 3, padding="same", activation="relu"),
            keras.layers.MaxPooling2D(2),
            keras.layers.Conv2D(2 * params["filters"], 3, padding="same", activation="relu"),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.25),
            keras.layers.Dense(params["classes"], activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(0.003), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def main(folder: Path, epochs: int = 12) -> float:
    """Train bags, folds and a second level; return the accuracy of the last on the test rows."""
    digits = load_digits()
    images = (digits.images[..., np.newaxis] / 16).astype(np.float32)
    x_train, x_test, y_train, y_test = train_test_split(
        images, digits.target, test_size=0.3, random_state=0, stratify=digits.target
    )
    parameters: dict[str, Any] = {
        "model_name": small_cnn,
        "model_params": {"image_shape": (8, 8, 1), "filters": 16, "classes": 10},
        "predict_test": True,
        "number_epochs": epochs,
        "batch_size": 64,
        "seed": 1337,
        "src_dir": folder,
        "save_model": True,
        "save_history": True,
        "output_statistics": False,
    }

    bagging = KerasPipeline(n_bags=2, split_size=0.2, run_save_name="cnn_bagging", **parameters)
    bagging.bag_run(x_train, y_train, X_test=x_test, y_test=y_test)
    print(f"two bags: accuracy {bagging.test_scores['accuracy']:.4f} on {len(x_test)} test images")

    folding = KerasPipeline(n_folds=5, stratify=True, run_save_name="cnn_folds", **parameters)
    _, oof_train, oof_test = folding.kfold_run(x_train, y_train, x_test, y_test)
    print(oof_train.shape, oof_test.shape)
    print(f"five folds: accuracy {folding.result.oof_scores['accuracy']:.4f} out of fold, on test images ", end="")
    print(f"{folding.test_scores['accuracy']:.4f}")

    # another kind of model on the same folds: it errs on other images
    rows, test_rows = x_train.reshape(-1, 64), x_test.reshape(-1, 64)
    neighbours = Ensemble(KNeighborsClassifier(5), folding.result.splits).fit(rows, y_train, test_rows)
    first_level = np.hstack([oof_train, neighbours.oof])
    second_level = LogisticRegression(C=1.0, max_iter=1000).fit(first_level, y_train)
    accuracy = float(second_level.score(np.hstack([oof_test, neighbours.test]), y_test))
    print(f"second level on both: accuracy {accuracy:.4f} on test images")
    return accuracy


if __name__ == "__main__":
    if len(sys.argv) > 1:
        Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as temporary:
            main(Path(temporary))
