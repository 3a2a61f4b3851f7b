"""The memory that training on a folder of images takes, whatever their number: they are read batch by batch.

Usage: python -m benchmarks.ensemble_images [--images 20000]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.table import print_table

SIDE = 64  # pixels
EPOCHS, HELD_OUT = 1, 0.2


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--train", metavar="FOLDER", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.train:
        print(json.dumps(train(Path(arguments.train))))
        return
    few = max(10, arguments.images // 10)
    with tempfile.TemporaryDirectory() as folder:
        for name, count in (("few", few), ("many", arguments.images)):
            write_digits(Path(folder, name), count)
        report(few, arguments.images, measured(Path(folder, "few")), measured(Path(folder, "many")))


def report(few: int, many: int, of_few: dict[str, float], of_many: dict[str, float]) -> None:
    pixels = many * SIDE * SIDE * 3 * 4
    print_table(
        f"One epoch of a small CNN in Keras on {many} files, half PNG, half JPEG, of {SIDE} x {SIDE} pixels in colour",
        ["what", "measured", "target"],
        [
            ["peak resident memory", f"{of_many['peak'] / 1e6:.0f} MB", "less than 1000 MB"],
            [f"the same with {few} files", f"{of_few['peak'] / 1e6:.0f} MB", ""],
            ["before training: the libraries", f"{of_many['before'] / 1e6:.0f} MB", ""],
            ["the images as an array of float32 would take", f"{pixels / 1e6:.0f} MB", ""],
            ["find and check the files", f"{many / of_many['find']:.0f} images/s", ""],
            ["read and decode alone", f"{of_many['read']:.0f} images/s", ""],
            ["train and judge", f"{many * EPOCHS / of_many['train']:.0f} images/s", ""],
            ["accuracy on held-out images", f"{of_many['accuracy']:.3f}", ""],
        ],
    )


def measured(folder: Path) -> dict[str, Any]:
    """Return what `train` measures, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.ensemble_images", "--train", str(folder)]
    environment = {**os.environ, "KERAS_BACKEND": "torch", "OMP_NUM_THREADS": "1"}  # as a worker of an ensemble has
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def train(folder: Path) -> dict[str, float]:
    """Return seconds, bytes and the accuracy of a bag that is trained on images of a folder."""
    import keras

    from mlpipeline.ensemble import ImageFiles
    from mlpipeline.ensemble.keras_pipelines import KerasDirectoryFlowPipeline

    keras.config.disable_interactive_logging()
    found, files = timed(lambda: ImageFiles.from_folder(folder, (SIDE, SIDE)))
    some = np.random.default_rng(0).integers(0, len(files), 2000)
    reading, _ = timed(lambda: all(files.read(rows).size for rows in np.array_split(some, 60)))
    pipeline = KerasDirectoryFlowPipeline(
        small_cnn,
        n_bags=1,
        split_size=HELD_OUT,
        seed=0,
        number_epochs=EPOCHS,
        src_dir=folder,
        full_train_dir=folder,
        image_size=(SIDE, SIDE),
        train_datagen={"rescale": 1 / 255, "width_shift_range": 0.1},
        verbose=False,
        output_statistics=False,
    )
    before = peak()
    seconds, _ = timed(pipeline.bag_flow_run)
    assert pipeline.result is not None
    accuracy = pipeline.result.members[0].scores["accuracy"]
    rate = len(some) / reading
    return {"peak": peak(), "before": before, "find": found, "read": rate, "train": seconds, "accuracy": accuracy}


def small_cnn() -> Any:
    import keras

    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            layers.Conv2D(8, 5, 2, activation="relu"),
            layers.Conv2D(16, 3, 2, activation="relu"),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def write_digits(folder: Path, count: int) -> None:
    """Write handwritten digits, each with a brightness and noise of its own, in a folder for each digit."""
    from PIL import Image  # here, so that the process that trains loads what training needs alone
    from sklearn.datasets import load_digits

    digits, labels = load_digits(return_X_y=True)
    generator = np.random.default_rng(0)
    for digit in range(10):
        (folder / str(digit)).mkdir(parents=True)
    for number in range(count):
        chosen = number % len(digits)
        grey = digits[chosen].reshape(8, 8) * generator.uniform(10, 15)
        pixels = np.stack([grey, 255 - grey, grey / 2], -1) + generator.integers(0, 15, (8, 8, 3))
        image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
        image.save(folder / str(labels[chosen]) / f"{number:06}.{'png' if number % 2 else 'jpg'}")


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the seconds that some work took, and its result."""
    began = time.perf_counter()
    result = work()
    return time.perf_counter() - began, result


def peak() -> int:
    """Return the highest resident memory of this process until now, in bytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    main()
