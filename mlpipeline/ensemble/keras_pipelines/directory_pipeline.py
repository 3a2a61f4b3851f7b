"""KerasDirectoryFlowPipeline: bags and folds of a Keras model on folders of images, read batch by batch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpipeline.ensemble.images import ImageFiles
from mlpipeline.ensemble.keras_loss import needs_one_hot
from mlpipeline.ensemble.keras_pipelines.flow_arguments import FlowArguments
from mlpipeline.ensemble.keras_pipelines.rows import check_apart
from mlpipeline.ensemble.observations import Observations
from mlpipeline.errors import EnsembleError


@dataclass(eq=False)
class KerasDirectoryFlowPipeline(FlowArguments):
    """Like `KerasFlowPipeline`, for images that stay in their files, and are read when a batch needs them.

        pipeline = KerasDirectoryFlowPipeline(
            small_network, full_train_dir="images/train", test_dir="images/test", image_size=(64, 64),
            predict_test=True, train_datagen={"horizontal_flip": True, "rescale": 1 / 255}, seed=1,
        )
        model, oof_train, oof_test = pipeline.kf_flow_run()
        names = pipeline.result.work.observations.ids   # of the files, in the order of oof_train
        test_names = pipeline.result.work.X_test.ids    # and of oof_test

    A folder of training images has a folder for each class. Files are divided by their numbers alone: none is ever
    moved, copied, written or removed. The model is given images float32[n, height, width, channels] from 0 to 255
    (a datagen can rescale them), and class numbers or one-hot rows, as its loss needs.

    Args:
        full_train_dir: the training images, which bags or folds divide.
        train_dir, valid_dir: instead of it, for `bag_flow_run` with `user_split`: images that train all bags, and
            others that judge them.
        test_dir: images to predict, with `predict_test`: in folders of classes, by which they are scored, or without.
        image_size: (height, width) that each image is given.
        classes: names of the folders of classes, in the order of the outputs; all folders, sorted, if None. A class's
            label, for `class_weight` too, is its number in this order.
        color_mode: "rgb", "grayscale" or "rgba".
        skip_unreadable: leave out images that cannot be decoded, with a warning that names them.
    Folders are in `src_dir`, or relative to it. All other arguments are those of `KerasPipeline` and
    `KerasFlowPipeline`.
    Raises: EnsembleError: an argument cannot be used.
    """

    full_train_dir: str | Path | None = field(default=None, kw_only=True)
    train_dir: str | Path | None = field(default=None, kw_only=True)
    valid_dir: str | Path | None = field(default=None, kw_only=True)
    test_dir: str | Path | None = field(default=None, kw_only=True)
    image_size: Sequence[int] = field(kw_only=True)
    classes: Sequence[str] | None = field(default=None, kw_only=True)
    color_mode: str = field(default="rgb", kw_only=True)
    skip_unreadable: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.predict_test and self.test_dir is None:
            raise EnsembleError("predict_test=True needs test_dir, the folder of the images to predict")
        full, both = ("full_train_dir",), ("train_dir", "valid_dir")
        for name in both if self.user_split else full:
            if getattr(self, name) is None:
                raise EnsembleError(f"user_split={self.user_split} needs {name}, a folder of images; give it")
        for name in full if self.user_split else both:
            if getattr(self, name) is not None:
                raise EnsembleError(f"{name} has no use with user_split={self.user_split}; leave it out")
        for name in ("full_train_dir", "train_dir", "valid_dir", "test_dir"):
            if getattr(self, name) is not None:
                self._path(name)

    def bag_flow_run(self) -> tuple[Any, NDArray[Any], NDArray[Any] | None]:
        """Train `n_bags` models, each on another random part of `full_train_dir`, or all on `train_dir`.

        Returns:
            the last model;
            the validation predictions, means over bags: float[n, outputs] in the order of the files, with NaN where
            an image judged no bag; with `user_split` those of `valid_dir` alone, whose names are the last
            `len(predictions)` of `result.work.observations.ids`;
            the test predictions, the mean over bags; None without `predict_test`.
        Raises: EnsembleError: folders, images, model and arguments do not fit together, or the run exists.
        """
        if not self.user_split:
            result = self._run_bags(*self._full_train(), None)
            return result.members[-1].model, result.oof, result.test
        one_hot = needs_one_hot(self._new_model())
        train, valid = self._images("train_dir", one_hot), self._images("valid_dir", one_hot)
        check_apart(train.X, valid.X)
        result = self._run_bags(train, self._test_images(train), valid)
        return result.members[-1].model, result.oof[len(train) :], result.test

    def kf_flow_run(self) -> tuple[Any, NDArray[Any], NDArray[Any] | None]:
        """Train `n_folds` models, each on all parts of `full_train_dir` but one, which it predicts.

        Returns:
            the last model;
            the out-of-fold predictions, float[n, outputs] in the order of the files;
            the test predictions, the mean over folds; None without `predict_test`.
        Raises: EnsembleError: folders, images, model and arguments do not fit together, or the run exists.
        """
        result = self._run_folds(*self._full_train())
        return result.members[-1].model, result.oof, result.test

    def full_train_run(self) -> tuple[Any, NDArray[Any] | None]:
        """Train one model on all images of `full_train_dir`, less those that `stopping_size` holds back.

        Returns: the model, and its predictions of the test images; None without `predict_test`.
        Raises: EnsembleError: folders, images, model and arguments do not fit together, or the run exists.
        """
        result = self._run_all(*self._full_train())
        return result.members[-1].model, result.test

    def _path(self, name: str) -> Path:
        """Return a folder's path. Raises: EnsembleError: it was not given, or is not in `src_dir`."""
        folder = getattr(self, name)
        if folder is None:
            raise EnsembleError(f"this run needs {name}, the folder of its images")
        root = Path(os.path.abspath(self._root))
        path = Path(os.path.normpath(root / folder))  # a link may lead elsewhere: nothing is written there
        if not path.is_relative_to(root):
            raise EnsembleError(
                f"{name} must be in src_dir, {root}, but is {path}; set src_dir to a folder that has it"
            )
        return path

    def _full_train(self) -> tuple[Observations, Observations | None]:
        """Return all training images, and the test images."""
        train = self._images("full_train_dir", needs_one_hot(self._new_model()))
        return train, self._test_images(train)

    def _images(self, name: str, one_hot: bool) -> Observations:
        """Return training or validation images with their classes, as the loss needs them."""
        files = self._read(self._path(name), self.classes)
        if files.labels is None:
            raise EnsembleError(f"{name} needs a folder for each class, but {files.folder} has images alone")
        y = np.eye(len(files.classes), dtype=np.float32)[files.labels] if one_hot else files.labels
        return Observations(files, y, files.ids)

    def _test_images(self, train: Observations) -> Observations | None:
        """Return the test images; with their classes where they lie in folders of the training classes."""
        if not self.predict_test:
            return None
        files, names = self._read(self._path("test_dir"), None), list(train.X.classes)
        if files.labels is None or not set(files.classes) <= set(names):
            return Observations(files)
        labels = np.array([names.index(name) for name in files.classes])[files.labels]
        return Observations(files, np.eye(len(names), dtype=np.float32)[labels] if train.y.ndim == 2 else labels)

    def _read(self, folder: Path, classes: Sequence[str] | None) -> ImageFiles:
        return ImageFiles.from_folder(folder, self.image_size, classes, self.color_mode, self.skip_unreadable)
