"""What torch keeps for a whole process, changed for a while: random states and the number of threads."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from mlpipeline.pytorch.random_states import RandomStates


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed all generators inside; afterwards those of Python, NumPy and torch are as they were before."""
    states = RandomStates()
    numbers, tensors = states.capture()
    try:
        random.seed(seed)
        np.random.seed(seed % 2**32)
        torch.default_generator.manual_seed(seed)
        if torch.cuda.is_available():
            torch.cuda.manual_seed_all(seed)
        yield
    finally:
        states.restore(numbers, tensors)


@contextmanager
def one_thread(is_wanted: bool) -> Iterator[None]:
    """Compute on one thread inside, where it is wanted."""
    before = torch.get_num_threads()
    if is_wanted:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
