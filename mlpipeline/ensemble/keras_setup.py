"""Keras itself: imported when it is first needed, on torch, with random state that a member has for itself."""

from __future__ import annotations

import importlib
import os
import random
import sys
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from mlpipeline.errors import EnsembleError

# what Keras draws default seeds from, and how it numbers the names of layers and metrics: "auc", then "auc_1"
_GLOBAL_STATE = ("global_random_seed", "global_seed_generator", "object_name_uids")


def keras_module() -> Any:
    """Return Keras, on torch where nothing else was chosen before.

    Raises: EnsembleError: it is not installed, or was imported with another backend.
    """
    if "keras" not in sys.modules:
        os.environ.setdefault("KERAS_BACKEND", "torch")
    try:
        keras = importlib.import_module("keras")
    except ImportError:
        raise EnsembleError('Keras is not installed: pip install "mlpipeline[keras]"') from None
    if keras.backend.backend() != "torch":
        raise EnsembleError(
            f"Keras must run on torch here, but runs on {keras.backend.backend()}; set the environment variable "
            "KERAS_BACKEND=torch before Keras is first imported"
        )
    return keras


@contextmanager
def own_random_state(seed: int) -> Iterator[None]:
    """Seed all that Keras, a model or a callback may draw from; at the end everything is as it was before.

    Names are numbered afresh too: the metric "auc" of each member is called "auc" in its history.
    """
    keras = keras_module()
    import torch

    state = importlib.import_module("keras.src.backend.common.global_state")
    before = {name: state.get_global_attribute(name) for name in _GLOBAL_STATE}
    random_state, numpy_state = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng():
            state.set_global_attribute("object_name_uids", defaultdict(int))
            keras.utils.set_random_seed(seed)
            yield
    finally:
        random.setstate(random_state)
        np.random.set_state(numpy_state)
        for name, value in before.items():
            state.set_global_attribute(name, value)
