"""Plans: how rows are divided among the members of an ensemble, said before any data is seen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlpipeline.ensemble.splits import BAG, FOLD, Split, Splits
from mlpipeline.errors import EnsembleError


@dataclass(frozen=True)
class Plan:
    """What all plans share: `split` computes it for given rows.

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

    def _parts(
        self, row_count: int, strata: NDArray[Any] | None, groups: NDArray[Any] | None, seed: int
    ) -> list[Split]:
        try:
            pairs = list(self.splitter(seed).split(np.arange(row_count), strata, groups))
        except (ValueError, TypeError) as error:
            raise EnsembleError(f"{self!r} cannot divide {row_count} rows: {error}") from error
        return [Split(np.asarray(train, dtype=np.int64), np.asarray(valid, dtype=np.int64)) for train, valid in pairs]

    def split(
        self, row_count: int, classes: ArrayLike | None = None, groups: ArrayLike | None = None, seed: int = 0
    ) -> Splits:
        """Compute which rows each member gets.

        Args:
            row_count: of the data.
            classes: the class of each row, [n]; needed by plans that stratify.
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

    def _checked(
        self, row_count: int, classes: ArrayLike | None, groups: ArrayLike | None
    ) -> tuple[NDArray[Any] | None, NDArray[Any] | None]:
        if self.uses_classes and classes is None:
            raise EnsembleError(
                f"{self!r} keeps the shares of classes, but the targets are no classes; use Folds or Bags"
            )
        if self.uses_groups and groups is None:
            raise EnsembleError(
                f"{self!r} keeps groups together, but no groups were given; pass groups=, one for each row"
            )
        for name, values in (("classes", classes), ("groups", groups)):
            if values is not None and len(np.asarray(values)) != row_count:
                raise EnsembleError(
                    f"{name} must be one for each of {row_count} rows, but got {len(np.asarray(values))}"
                )
        strata = np.asarray(classes) if self.uses_classes else None
        self._check_sizes(row_count, strata)
        return strata, np.asarray(groups) if groups is not None else None

    def _check_sizes(self, row_count: int, strata: NDArray[Any] | None) -> None:
        """Raises: EnsembleError: too few rows, or rows of a class."""


def _check_folds(plan: Plan, count: int, row_count: int, strata: NDArray[Any] | None) -> None:
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


def _check_count(plan: object, count: object, least: int) -> None:
    if isinstance(count, bool) or not isinstance(count, int) or count < least:
        raise EnsembleError(f"{type(plan).__name__} needs a whole number of at least {least}, but got {count!r}")


@dataclass(frozen=True)
class Bags(Plan):
    """Random splits, each drawn anew: a row may be in the validation part of several bags, or of none.

    Args:
        count: bags.
        valid_size: share of the rows that judge a bag.
        stratify: keep the shares of the classes in each part.
        seed: of the draw; the ensemble's if None.
    """

    kind = BAG
    count: int = 10
    valid_size: float = 0.2
    stratify: bool = False

    def __post_init__(self) -> None:
        _check_count(self, self.count, 1)
        if not isinstance(self.valid_size, (int, float)) or not 0 < self.valid_size < 1:
            raise EnsembleError(f"valid_size must be a share between 0 and 1, but got {self.valid_size!r}")

    @property
    def uses_classes(self) -> bool:  # type: ignore[override]
        """Whether the classes of the rows are needed."""
        return self.stratify

    @property
    def member_count(self) -> int:
        return self.count

    def splitter(self, seed: int) -> Any:
        from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit

        kind = StratifiedShuffleSplit if self.stratify else ShuffleSplit
        return kind(self.count, test_size=self.valid_size, random_state=seed)

    def _check_sizes(self, row_count: int, strata: NDArray[Any] | None) -> None:
        _check_folds(self, 2, row_count, strata)


@dataclass(frozen=True)
class Folds(Plan):
    """k parts of equal size; each judges one member, and the others train it.

    Args:
        count: folds.
        shuffle: draw the rows at random; otherwise neighbours stay together.
        seed: of the draw; the ensemble's if None.
    """

    count: int = 5
    shuffle: bool = True

    def __post_init__(self) -> None:
        _check_count(self, self.count, 2)

    @property
    def member_count(self) -> int:
        return self.count

    def splitter(self, seed: int) -> Any:
        from sklearn.model_selection import KFold

        return KFold(self.count, shuffle=self.shuffle, random_state=seed if self.shuffle else None)

    def _check_sizes(self, row_count: int, strata: NDArray[Any] | None) -> None:
        _check_folds(self, self.count, row_count, strata)


@dataclass(frozen=True)
class StratifiedFolds(Folds):
    """Folds in which every class has the share that it has in the whole."""

    uses_classes = True

    def splitter(self, seed: int) -> Any:
        from sklearn.model_selection import StratifiedKFold

        return StratifiedKFold(self.count, shuffle=self.shuffle, random_state=seed if self.shuffle else None)


@dataclass(frozen=True)
class GroupFolds(Folds):
    """Folds in which the rows of a group, a patient or a day, are never on both sides.

    Args:
        count, shuffle, seed: as for `Folds`.
        stratify: keep the shares of the classes too, as well as the groups allow.
    """

    uses_groups = True
    stratify: bool = False

    @property
    def uses_classes(self) -> bool:  # type: ignore[override]
        """Whether the classes of the rows are needed."""
        return self.stratify

    def splitter(self, seed: int) -> Any:
        from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

        kind = StratifiedGroupKFold if self.stratify else GroupKFold
        return kind(self.count, shuffle=self.shuffle, random_state=seed if self.shuffle else None)


@dataclass(frozen=True)
class RepeatedFolds(Plan):
    """Folds drawn several times; a row is predicted once a repeat, and the predictions are averaged.

    Args:
        count: folds.
        repeats: how often they are drawn.
        stratify: keep the shares of the classes.
        seed: of the draw; the ensemble's if None.
    """

    count: int = 5
    repeats: int = 3
    stratify: bool = False

    def __post_init__(self) -> None:
        _check_count(self, self.count, 2)
        _check_count(self, self.repeats, 1)

    @property
    def uses_classes(self) -> bool:  # type: ignore[override]
        """Whether the classes of the rows are needed."""
        return self.stratify

    @property
    def member_count(self) -> int:
        return self.count * self.repeats

    def splitter(self, seed: int) -> Any:
        from sklearn.model_selection import RepeatedKFold, RepeatedStratifiedKFold

        kind = RepeatedStratifiedKFold if self.stratify else RepeatedKFold
        return kind(n_splits=self.count, n_repeats=self.repeats, random_state=seed)

    def _check_sizes(self, row_count: int, strata: NDArray[Any] | None) -> None:
        _check_folds(self, self.count, row_count, strata)


@dataclass(frozen=True)
class TimeSeriesFolds(Plan):
    """Folds of rows in the order of time: each member is judged by what comes after its training rows.

    The first rows are never predicted: their out-of-fold predictions are NaN.

    Args:
        count: folds.
        gap: rows left out between the two parts.
        max_train_size: the most recent so many rows train; all before if None.
    """

    count: int = 5
    gap: int = 0
    max_train_size: int | None = None

    def __post_init__(self) -> None:
        _check_count(self, self.count, 2)

    @property
    def member_count(self) -> int:
        return self.count

    def splitter(self, seed: int) -> Any:
        from sklearn.model_selection import TimeSeriesSplit

        return TimeSeriesSplit(self.count, gap=self.gap, max_train_size=self.max_train_size)

    def _check_sizes(self, row_count: int, strata: NDArray[Any] | None) -> None:
        _check_folds(self, self.count + 1, row_count, None)


@dataclass(frozen=True)
class GivenSplits(Plan):
    """Splits that somebody else has made.

    Args:
        parts: for each member the numbers of its training and of its validation rows.
        kind: "bag" or "fold".
    """

    parts: Sequence[tuple[ArrayLike, ArrayLike]] = ()
    kind: str = BAG

    def __post_init__(self) -> None:
        if not self.parts:
            raise EnsembleError("GivenSplits needs at least one pair of training and validation rows, but got none")

    def __repr__(self) -> str:
        return f"GivenSplits({len(self.parts)} {self.kind}s)"

    @property
    def member_count(self) -> int:
        return len(self.parts)

    def _parts(
        self, row_count: int, strata: NDArray[Any] | None, groups: NDArray[Any] | None, seed: int
    ) -> list[Split]:
        return [_given(number, pair, row_count) for number, pair in enumerate(self.parts)]


@dataclass(frozen=True)
class SplitterPlan(Plan):
    """Any splitter with scikit-learn's interface.

    Args:
        inner: an object with `split(X, y, groups)`.
    """

    inner: Any = None

    @property
    def member_count(self) -> int:
        try:
            return int(self.inner.get_n_splits())
        except (ValueError, TypeError, AttributeError) as error:
            raise EnsembleError(
                f"{self.inner!r} does not say how many splits it makes before it sees data: {error}"
            ) from error

    def splitter(self, seed: int) -> Any:
        return self.inner

    def __repr__(self) -> str:
        return repr(self.inner)

    def _checked(
        self, row_count: int, classes: ArrayLike | None, groups: ArrayLike | None
    ) -> tuple[NDArray[Any] | None, NDArray[Any] | None]:
        strata, together = (None if values is None else np.asarray(values) for values in (classes, groups))
        return strata, together


def as_plan(plan: Any) -> Plan:
    """Return a plan for what stands for one: a plan, a number of folds, a splitter, or pairs of rows.

    Raises: EnsembleError: it is none of these.
    """
    if isinstance(plan, Plan):
        return plan
    if isinstance(plan, int) and not isinstance(plan, bool):
        return Folds(plan)
    if hasattr(plan, "split") and not isinstance(plan, (str, bytes)):
        return SplitterPlan(plan)
    if isinstance(plan, Iterable) and not isinstance(plan, (str, bytes)):
        return GivenSplits(list(plan))
    raise EnsembleError(
        f"plan must be Bags, Folds or another plan, a number of folds, a scikit-learn splitter or pairs of row "
        f"numbers, but got {plan!r}"
    )


def _given(number: int, pair: Any, row_count: int) -> Split:
    try:
        train, valid = (np.asarray(rows) for rows in pair)
    except (TypeError, ValueError):
        raise EnsembleError(
            f"split {number} must be a pair (training rows, validation rows), but got {pair!r:.80}"
        ) from None
    arrays = []
    for name, rows in (("training", train), ("validation", valid)):
        rows = np.flatnonzero(rows) if rows.dtype == bool and len(rows) == row_count else rows
        if rows.ndim != 1 or rows.dtype.kind not in "iu" or not len(rows) or rows.min() < 0 or rows.max() >= row_count:
            raise EnsembleError(
                f"the {name} rows of split {number} must be whole numbers from 0 to {row_count - 1}, at least one"
            )
        arrays.append(rows.astype(np.int64))
    both = np.intersect1d(arrays[0], arrays[1])
    if len(both):
        raise EnsembleError(f"split {number} has {len(both)} rows on both sides, the first of them {both[0]}")
    return Split(*arrays)
