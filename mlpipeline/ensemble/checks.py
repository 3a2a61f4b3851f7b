"""Checks of what an ensemble is given, before anything is computed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpipeline.ensemble.observations import Observations, as_inputs, count_rows
from mlpipeline.ensemble.targets import Targets, as_targets
from mlpipeline.errors import EnsembleError

_SEEDS = 2**32  # as many as NumPy's and scikit-learn's generators take


def checked_observations(observations: Observations) -> Observations:
    """Return observations as arrays of equal length.

    Raises: EnsembleError: they differ in length, or weights are no weights.
    """
    X, y = as_inputs(observations.X), as_targets(observations.y)
    count = count_rows(X)
    fields = {"y": y, "ids": observations.ids, "groups": observations.groups, "weights": observations.weights}
    arrays = {name: None if values is None else np.asarray(values) for name, values in fields.items()}
    for name in fields:
        _check_index(observations.X, getattr(observations, name), name)
    for name, values in arrays.items():
        if values is not None and (values.ndim == 0 or len(values) != count):
            raise EnsembleError(f"X has {count} rows, but {name} has {len(values) if values.ndim else 'one value'}")
        if values is not None and name != "y" and values.size != count:
            raise EnsembleError(f"{name} must be [n], one for each row, but has the shape {values.shape}")
    flat = {name: None if values is None else values.reshape(-1) for name, values in arrays.items() if name != "y"}
    return Observations(X, y, flat["ids"], flat["groups"], _checked_weights(flat["weights"]))


def _check_index(X: Any, values: Any, name: str) -> None:
    """Raises: EnsembleError: two pandas objects have the same labels of rows in another order."""
    if not hasattr(X, "iloc") or not hasattr(values, "iloc") or X.index.equals(values.index):
        return
    if X.index.sort_values().equals(values.index.sort_values()):
        raise EnsembleError(
            f"X and {name} have the same index in another order, and rows are taken as they come; "
            f"bring them together: {name}.loc[X.index]"
        )


def _checked_weights(weights: NDArray[Any] | None) -> NDArray[Any] | None:
    if weights is None:
        return None
    if weights.dtype.kind not in "biuf" or not (np.isfinite(weights) & (weights >= 0)).all() or not weights.any():
        raise EnsembleError("weights must be finite numbers, none below 0, and not all 0")
    return weights


def check_test_rows(X: Any, X_test: Any) -> None:
    """Raises: EnsembleError: the test rows have other columns, or another kind, than the training rows."""
    if isinstance(X, Mapping) != isinstance(X_test, Mapping):
        raise EnsembleError("X and X_test must both be arrays by name, or neither")
    if isinstance(X, Mapping):
        if set(X) != set(X_test):
            raise EnsembleError(f"X has the arrays {sorted(X)}, but X_test has {sorted(X_test)}")
        for key in X:
            check_test_rows(X[key], X_test[key])
        return
    columns = [list(getattr(each, "columns", [])) for each in (X, X_test)]
    if columns[0] != columns[1] and columns[0] and sorted(map(str, columns[0])) == sorted(map(str, columns[1])):
        raise EnsembleError("X_test has the columns of X in another order; give X_test[X.columns]")
    shapes = [tuple(getattr(each, "shape", (0,)))[1:] for each in (X, X_test)]
    if shapes[0] != shapes[1]:
        raise EnsembleError(f"rows of X have the shape {shapes[0]}, but rows of X_test {shapes[1]}")


def checked_seed(seed: Any) -> int:
    """Return a seed; one from the system for None. Raises: EnsembleError: it is no whole number from 0 on."""
    if seed is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    if isinstance(seed, bool) or not isinstance(seed, Integral) or not 0 <= int(seed) < _SEEDS:
        raise EnsembleError(f"seed must be a whole number from 0 to {_SEEDS - 1}, or None, but got {seed!r}")
    return int(seed)


def check_class_weight(class_weight: Any, targets: Targets) -> None:
    """Raises: EnsembleError: there are no classes, or the weights are not for them."""
    if class_weight is None:
        return
    if targets.classes is None:
        raise EnsembleError("class_weight needs classes, but y holds values; give weights of rows instead")
    if isinstance(class_weight, str) and class_weight == "balanced":
        return
    if not isinstance(class_weight, Mapping):
        raise EnsembleError(f'class_weight must be "balanced" or weights by label, but got {class_weight!r:.80}')
    labels = targets.classes.tolist()
    for label, weight in class_weight.items():
        if label not in labels:
            raise EnsembleError(f"class_weight has {label!r}, which is none of the classes {labels!r:.80}")
        if not isinstance(weight, Real) or not 0 <= float(weight) < math.inf:
            raise EnsembleError(f"class_weight of {label!r} must be a number from 0 on, but is {weight!r:.80}")
