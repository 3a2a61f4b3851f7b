"""Plan: what all plans share: checks of the rows, and the work given to a splitter with scikit-learn's interface."""

from __future__ import annotations

from dataclasses import dataclass, field
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlpipeline.ensemble.splits import FOLD, Split, Splits
from mlpipeline.errors import EnsembleError


@dataclass(frozen=True)
class Plan:
    """How rows are divided; `split` computes it for given rows.

    A subclass gives its `kind`, its `member_count` and a scikit-learn splitter.
    """

    kind = FOLD
    uses_classes = False
    uses_groups = False
    seed: int | None = field(default=None, kw_only=True)

    @property
    def member_count(self) -> int:
        """How many members it makes."""
        raise NotImplementedError

    def splitter(self, seed: int) -> Any:
        """Return the scikit-learn splitter that does the work."""
        raise NotImplementedError

    def split(
        self, row_count: int, classes: ArrayLike | None = None, groups: ArrayLike | None = None, seed: int = 0
    ) -> Splits:
        """Compute which rows each member gets.

        Args:
            row_count: of the data.
            classes: the class of each row, [n] or one-hot [n, classes]; needed by plans that stratify.
            groups: the group of each row, [n]; rows of one group stay together where the plan says so.
            seed: of the ensemble, used where the plan has none of its own.
        Raises: EnsembleError: there are too few rows, rows of a class or groups, or classes or groups are missing.
        """
        own_seed = seed if self.seed is None else self.seed
        parts = self._parts(row_count, *self._checked(row_count, classes, groups), own_seed)
        for number, part in enumerate(parts):
            if not len(part.train) or not len(part.valid):
                which = "train on" if not len(part.train) else "be judged by"
                raise EnsembleError(f"{self!r} leaves {self.kind}{number} no row to {which}")
        return Splits(self.kind, repr(self), own_seed, row_count, tuple(parts))

    def _parts(
        self, row_count: int, strata: NDArray[Any] | None, groups: NDArray[Any] | None, seed: int
    ) -> list[Split]:
        used_groups = groups if self.uses_groups else None  # scikit-learn warns of groups that it has no use for
        pairs = self._pairs(row_count, strata, used_groups, seed)
        return [Split(np.asarray(train, dtype=np.int64), np.asarray(valid, dtype=np.int64)) for train, valid in pairs]

    def _pairs(
        self, row_count: int, strata: NDArray[Any] | None, groups: NDArray[Any] | None, seed: int
    ) -> list[tuple[Any, Any]]:
        try:
            return list(self.splitter(seed).split(np.arange(row_count), strata, groups))
        except (ValueError, TypeError) as error:
            raise EnsembleError(f"{self!r} cannot divide {row_count} rows: {error}") from error

    def _checked(
        self, row_count: int, classes: ArrayLike | None, groups: ArrayLike | None
    ) -> tuple[NDArray[Any] | None, NDArray[Any] | None]:
        if self.uses_classes and classes is None:
            raise EnsembleError(
                f"{self!r} keeps the shares of classes, but the targets are no classes; use Folds or Bags, "
                'or say task="classes" if the numbers in y are labels'
            )
        if self.uses_groups and groups is None:
            raise EnsembleError(
                f"{self!r} keeps groups together, but no groups were given; pass groups=, one for each row"
            )
        strata, together = as_strata(classes, row_count), as_groups(groups, row_count)
        used_strata = strata if self.uses_classes else None
        self._check_sizes(row_count, used_strata)
        return used_strata, together

    def _check_sizes(self, row_count: int, strata: NDArray[Any] | None) -> None:
        """Raises: EnsembleError: too few rows, or rows of a class."""


def as_strata(classes: ArrayLike | None, row_count: int) -> NDArray[Any] | None:
    """Return the class of each row, [n]; of one-hot rows its column.

    Raises: EnsembleError: there is not one for each row, or rows have several classes.
    """
    if classes is None:
        return None
    array = _one_a_row("classes", classes, row_count)
    if array.ndim == 1 or array.shape[1] == 1:
        return array.reshape(-1)
    if not ((array != 0).sum(axis=1) == 1).all():
        raise EnsembleError(f"classes must be [n] or one-hot rows, but rows of {array.shape} have no single class")
    return np.asarray(array.argmax(axis=1))


def as_groups(groups: ArrayLike | None, row_count: int) -> NDArray[Any] | None:
    """Return the group of each row, [n].

    Raises: EnsembleError: there is not one for each row, or some are missing, which would all be one group.
    """
    if groups is None:
        return None
    array = _one_a_row("groups", groups, row_count).reshape(row_count, -1)
    if array.shape[1] != 1:
        raise EnsembleError(f"groups must be one for each row, but got {array.shape[1]} columns")
    import pandas as pd

    missing = np.flatnonzero(pd.isna(array[:, 0]))
    if len(missing):
        raise EnsembleError(
            f"groups are missing in {len(missing)} rows, the first of them row {missing[0]}; "
            "give a row that belongs to no other a group of its own"
        )
    return np.asarray(array[:, 0])


def _one_a_row(name: str, values: ArrayLike, row_count: int) -> NDArray[Any]:
    array = np.asarray(values)
    if array.ndim not in (1, 2) or len(array) != row_count:
        got = f"{len(array)}" if array.ndim else "a single value"
        raise EnsembleError(f"{name} must be one for each of {row_count} rows, but got {got}")
    return array


def check_folds(plan: Plan, count: int, row_count: int, strata: NDArray[Any] | None) -> None:
    """Raises: EnsembleError: there are fewer rows, or rows of a class, than `count`."""
    if row_count < count:
        raise EnsembleError(f"{plan!r} needs at least {count} rows, but got {row_count}")
    if strata is None:
        return
    names, sizes = np.unique(strata, return_counts=True)
    if sizes.min() < count:
        few = ", ".join(
            f"{name!r} has {size}" for name, size in zip(names.tolist(), sizes, strict=True) if size < count
        )
        raise EnsembleError(
            f"{plan!r} needs at least {count} rows of each class, but class {few}; "
            "use fewer folds, or join rare classes"
        )


def check_count(plan: object, name: str, count: object, least: int) -> None:
    """Raises: EnsembleError: a parameter of a plan is no whole number, or too small."""
    if isinstance(count, bool) or not isinstance(count, Integral) or count < least:
        raise EnsembleError(
            f"{name} of {type(plan).__name__} must be a whole number of at least {least}, but got {count!r}"
        )
