"""The order in which a member sees its training rows: a function of its seed and of the epoch alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def epoch_order(row_count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the permutation of a member's rows in an epoch.

    Every trainer uses it, one member at a time or all at once, so that both see the same batches.

    Args:
        row_count: training rows. seed: of the member. epoch: from 0.
    """
    return np.random.default_rng([seed, epoch]).permutation(row_count)
