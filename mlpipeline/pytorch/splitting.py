"""Divide rows into a training and a test part, from a seed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpipeline.errors import DataError

Indices = NDArray[np.intp]


def split_rows(
    row_count: int, test_fraction: float, seed: int, classes: NDArray[Any] | None = None
) -> tuple[Indices, Indices]:
    """Choose the rows of both parts.

    Without `classes` these are the rows that scikit-learn's `train_test_split` chooses with
    `random_state=seed`, so that results compare with what is published for it.

    Args:
        row_count: rows in all.
        test_fraction: between 0 and 1; the number of test rows is rounded up.
        seed: 0 to 2**32 - 1.
        classes: [row_count] labels; each class is divided in the same proportion.

    Returns: row numbers of the training part and of the test part, disjoint, together all.
    Raises: DataError: the fraction leaves a part empty.
    """
    test_count = math.ceil(test_fraction * row_count) if 0 < test_fraction < 1 else 0
    if not 0 < test_count < row_count:
        raise DataError(
            f"test_fraction must lie between 0 and 1 and leave rows for both parts, "
            f"but got {test_fraction!r} of {row_count} rows"
        )
    random = np.random.RandomState(seed)
    if classes is None:
        order = random.permutation(row_count)
        return order[test_count:], order[:test_count]
    is_test = _stratified(classes, test_count, random)
    order = random.permutation(row_count)
    return order[~is_test[order]], order[is_test[order]]


def _stratified(classes: NDArray[Any], test_count: int, random: np.random.RandomState) -> NDArray[np.bool_]:
    """Mark the test rows, each class in proportion; what rounding leaves goes to the largest remainders."""
    labels, codes, sizes = np.unique(classes, return_inverse=True, return_counts=True)
    wanted = sizes * test_count / len(classes)
    counts = np.floor(wanted).astype(int)
    missing = test_count - counts.sum()
    counts[np.argsort(counts - wanted, kind="stable")[:missing]] += 1
    is_test = np.zeros(len(classes), dtype=bool)
    for code in range(len(labels)):
        is_test[random.permutation(np.flatnonzero(codes == code))[: counts[code]]] = True
    return is_test
