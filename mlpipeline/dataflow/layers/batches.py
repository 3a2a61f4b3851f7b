"""What wrapped networks do with arrays: labels apart from features, and predictions batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from mlpipeline.dataflow.layer import Layer
from mlpipeline.dataflow.spec import Array
from mlpipeline.errors import DataError

PREDICTED_BYTES = 2**22  # of inputs at once: enough to be fast, and activations are many times larger


def features_and_labels(layer: Layer, arrays: Sequence[Array]) -> tuple[list[Array], list[Array]]:
    """Return what a layer is fitted on.

    Raises: DataError: there are no observations, or more of one array than of another.
    """
    count = len(arrays) - layer.label_count(len(arrays))
    lengths = {len(each) for each in arrays}
    if lengths == {0} or len(lengths) > 1:
        raise DataError(f"expected inputs and labels of the same, more than 0 observations, but got {lengths}")
    return list(arrays[:count]), list(arrays[count:])


def predict_in_batches(
    predict: Callable[[list[Array]], Sequence[Array]], features: Sequence[Array], batch_size: int
) -> tuple[Array, ...]:
    """Return the outputs for all observations.

    Args:
        predict: gives the outputs for the features of some observations.
        features: one array for each input.
        batch_size: of training; at least so many observations are predicted at once.
    """
    n = len(features[0])
    step = max(batch_size, PREDICTED_BYTES * n // (1 + sum(each.nbytes for each in features)))
    batches = [predict([each[start : start + step] for each in features]) for start in range(0, max(n, 1), step)]
    return tuple(parts[0] if len(parts) == 1 else np.concatenate(parts) for parts in zip(*batches, strict=True))
