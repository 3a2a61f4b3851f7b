"""TensorLoader: what the data loaders of this package share, and what a user's own may extend."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from mlpipeline.errors import ScriptError
from mlpipeline.model import DataLoader
from mlpipeline.pytorch.batches import Rows
from mlpipeline.pytorch.targets import ClassLabels, Targets
from mlpipeline.pytorch.tasks import BINARY, Task
from mlpipeline.versions import ExecutionModeKeys


@dataclass(frozen=True)
class Parts:
    """A data set once it is loaded.

    Args:
        train, test: the two parts.
        task: what is predicted.
        targets: the coding of the targets.
        encode: raw rows, as a user has them -> inputs as `train` stores them.
    """

    train: Rows
    test: Rows
    task: Task
    targets: Targets
    encode: Callable[[Any], Tensor]


class TensorLoader(DataLoader):
    """A data set held as whole tensors. A subclass writes `load`, which is called once, at first use.

    Until then an object of this class holds its arguments only, so that it may stand in a
    version without loading anything where versions are merely listed.
    """

    def load(self) -> Parts:
        """Read the data, divide it, fit what is fitted on the training part."""
        raise ScriptError(f"{type(self).__name__} has no load(self); write it, returning Parts")

    @cached_property
    def parts(self) -> Parts:
        """The loaded data."""
        return self.load()

    @property
    def task(self) -> Task:
        """What is predicted."""
        return self.parts.task

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one row as the network gets it."""
        first = self.parts.train.head(1)
        prepared = first.prepare(first.inputs) if first.prepare else first.inputs
        return tuple(prepared.shape[1:])

    @property
    def feature_count(self) -> int:
        """How many numbers one row has."""
        return math.prod(self.input_shape)

    @property
    def output_count(self) -> int:
        """How many outputs the network needs: 1, the number of classes, or of values."""
        targets = self.parts.targets
        if isinstance(targets, ClassLabels):
            return 1 if self.task is BINARY else len(targets.classes)
        return len(targets.mean)

    @property
    def classes(self) -> list[Any]:
        """The labels in the order of the class indices; empty for a regression."""
        targets = self.parts.targets
        return targets.classes.tolist() if isinstance(targets, ClassLabels) else []

    def encode(self, rows: Any) -> Tensor:
        """Return raw rows as the network gets them, [n, ...]: encoded and scaled as the training part was.

        Raises: DataError: the rows do not have the columns or the shape of the training data.
        """
        prepare, inputs = self.parts.train.prepare, self.parts.encode(rows)
        return prepare(inputs) if prepare else inputs

    def decode(self, outputs: Tensor) -> NDArray[Any]:
        """Return labels for float[n, classes] probabilities, or values in their own unit for a regression."""
        return np.asarray(self.parts.targets.decode(outputs))

    def get_train_input(self, mode: str = ExecutionModeKeys.TRAIN, **kwargs: Any) -> Rows:
        """Return the training part; the same rows whether they are trained or evaluated on."""
        return self.parts.train

    def get_test_input(self, **kwargs: Any) -> Rows:
        """Return the test part."""
        return self.parts.test

    def get_train_sample_count(self) -> int:
        """Return the number of training rows."""
        return len(self.parts.train)

    def get_test_sample_count(self) -> int:
        """Return the number of test rows."""
        return len(self.parts.test)

    def get_dataloader_summary(self, **kwargs: Any) -> str:
        """Return the task, the size of both parts and the classes, then what was added."""
        lines = [
            f"{type(self).__name__}: {self.task.name}, rows of shape {list(self.input_shape)}",
            f"{len(self.parts.train)} training rows, {len(self.parts.test)} test rows",
        ]
        if self.classes:
            lines.append(f"classes: {', '.join(str(label) for label in self.classes)}")
        return "\n".join([*lines, self.summary or ""]).rstrip("\n")
