"""Predictions of the test part, kept with the run so that reports can draw them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlpipeline.pytorch.loading import TensorLoader
from mlpipeline.pytorch.targets import ClassLabels
from mlpipeline.pytorch.training import Learner

KEEP_PREDICTIONS = "keep_predictions"


def predicted_and_true(
    learner: Learner, loader: TensorLoader, batches: Iterable[tuple[Tensor, Tensor]]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the predictions for batches of rows, and what is true of them: labels, or values in their own unit."""
    learner.network.eval()
    outputs, targets = [], []
    with torch.inference_mode():
        for inputs, wanted in batches:
            outputs.append(learner.outputs(learner.placement.inputs(inputs)).cpu())
            targets.append(wanted)
    decided = torch.cat(outputs)
    if learner.task is not None:
        decided = learner.task.probabilities(decided)
    return loader.decode(decided), _labels(loader, torch.cat(targets))


def _labels(loader: TensorLoader, targets: Tensor) -> NDArray[Any]:
    coding = loader.parts.targets
    if isinstance(coding, ClassLabels):
        return np.asarray(coding.classes[targets.long().reshape(-1).numpy()])
    return coding.decode(targets)
