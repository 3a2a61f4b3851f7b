"""ObservationsLoader: rows as they are, for an `EnsembleModel`: whatever is fitted to them is fitted in the folds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpipeline.ensemble.observations import Observations, as_inputs, take
from mlpipeline.errors import EnsembleError
from mlpipeline.model import DataLoader
from mlpipeline.versions import ExecutionModeKeys

_BESIDE_X = ("y", "ids", "groups", "weights")


class ObservationsLoader(DataLoader):
    """A training part, from which the members' rows are taken, and a test part, which every member predicts.

    Args:
        X: [n, ...], an array, a frame, a sparse matrix, arrays by name, or a source of rows.
        y: [n] labels or values, or [n, k].
        test: the test part as (X, y) or `Observations`; without one it is split off by `test_fraction`.
        test_fraction: share of the rows that become the test part; None for no test part.
        seed: of that split. stratify: keep the shares of the classes in both parts.
        ids: [n], what the rows are called, by which predictions of several ensembles are matched; numbers if None.
        groups: [n], rows of one group stay together in every split.
        weights: [n], of the rows in the loss.

    Raises: EnsembleError: the arguments contradict each other.
    """

    def __init__(
        self,
        X: Any,
        y: Any,
        test: Any = None,
        test_fraction: float | None = None,
        seed: int = 0,
        stratify: bool = False,
        ids: Any = None,
        groups: Any = None,
        weights: Any = None,
    ) -> None:
        if test is not None and test_fraction is not None:
            raise EnsembleError("give either a test part or a test_fraction, but got both")
        whole = as_observations(Observations(X, y, ids, groups, weights))
        for name in _BESIDE_X:
            if (part := getattr(whole, name)) is not None and len(part) != len(whole):
                raise EnsembleError(f"X has {len(whole)} rows, but {name} has {len(part)}")
        if test_fraction is None:
            self.train, self.test = whole, None if test is None else as_observations(test)
        else:
            train, held_out = _divide(whole, test_fraction, seed, stratify)
            self.train, self.test = _rows_of(whole, train), _rows_of(whole, held_out)

    def get_train_input(self, mode: str = ExecutionModeKeys.TRAIN, **kwargs: Any) -> Observations:
        """Return the training part, the same in every mode."""
        return self.train

    def get_test_input(self, **kwargs: Any) -> Observations | None:
        """Return the test part; None if there is none."""
        return self.test

    def get_train_sample_count(self) -> int:
        return len(self.train)

    def get_test_sample_count(self) -> int:
        return 0 if self.test is None else len(self.test)


def as_observations(data: Any) -> Observations:
    """Return what a data loader has given as observations whose rows have ids.

    Args:
        data: `Observations`, a pair (X, y), or the `Rows` of a loader of `mlpipeline.pytorch`, which have been scaled
            on the whole training part.
    Raises: EnsembleError: it is none of these.
    """
    if isinstance(data, tuple) and len(data) == 2:
        data = Observations(*data)
    elif hasattr(data, "inputs") and hasattr(data, "targets"):
        data = _from_tensors(data)
    if not isinstance(data, Observations):
        raise EnsembleError(
            "the data loader of an EnsembleModel must give Observations(X, y), a pair (X, y) or Rows, but gave "
            f"{type(data).__name__}; ObservationsLoader(X, y) is a loader that does"
        )
    ids = np.arange(len(data)) if data.ids is None else data.ids
    return replace(data, X=as_inputs(data.X), ids=ids)


def _from_tensors(rows: Any) -> Observations:
    inputs, targets = rows.inputs, rows.targets.numpy()
    prepare = getattr(rows, "prepare", None)
    y = targets[:, 0] if targets.ndim == 2 and targets.shape[1] == 1 else targets
    if ((y == 0) | (y == 1)).all():  # two classes, which torch's loss wants as numbers
        y = y.astype(np.int64)
    return Observations((prepare(inputs) if prepare else inputs).numpy(), y)


def _divide(
    whole: Observations, fraction: float, seed: int, stratify: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    from sklearn.model_selection import GroupShuffleSplit, train_test_split

    numbers = np.arange(len(whole))
    if stratify and whole.groups is not None:
        raise EnsembleError("a test part cannot both keep groups together and keep the shares of classes; choose one")
    try:
        if whole.groups is not None:
            splitter = GroupShuffleSplit(1, test_size=float(fraction), random_state=seed)
            train, test = next(splitter.split(numbers, groups=whole.groups))
        else:
            strata = whole.y if stratify else None
            train, test = train_test_split(numbers, test_size=float(fraction), random_state=seed, stratify=strata)
    except (ValueError, TypeError) as error:
        raise EnsembleError(f"test_fraction={fraction!r} cannot divide {len(whole)} rows: {error}") from error
    return train, test


def _rows_of(whole: Observations, rows: NDArray[np.int64]) -> Observations:
    parts = {name: getattr(whole, name) for name in _BESIDE_X}
    return Observations(
        take(whole.X, rows), **{name: None if part is None else np.asarray(part)[rows] for name, part in parts.items()}
    )
