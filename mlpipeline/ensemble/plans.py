"""Plans: how rows are divided among the members of an ensemble, said before any data is seen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Integral
from typing import Any

from numpy.typing import NDArray

from mlpipeline.ensemble.base_plan import Plan, check_count, check_folds
from mlpipeline.ensemble.given_plans import ComputedPlan, GivenSplits, SplitterPlan
from mlpipeline.ensemble.splits import BAG, Splits
from mlpipeline.errors import EnsembleError

__all__ = [
    "Bags",
    "ComputedPlan",
    "Folds",
    "GivenSplits",
    "GroupFolds",
    "Plan",
    "RepeatedFolds",
    "SplitterPlan",
    "StratifiedFolds",
    "TimeSeriesFolds",
    "as_plan",
]


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
        check_count(self, "count", self.count, 1)
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
        check_folds(self, 2, row_count, strata)


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
        check_count(self, "count", self.count, 2)

    @property
    def member_count(self) -> int:
        return self.count

    def splitter(self, seed: int) -> Any:
        from sklearn.model_selection import KFold

        return KFold(self.count, shuffle=self.shuffle, random_state=seed if self.shuffle else None)

    def _check_sizes(self, row_count: int, strata: NDArray[Any] | None) -> None:
        check_folds(self, self.count, row_count, strata)


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
        check_count(self, "count", self.count, 2)
        check_count(self, "repeats", self.repeats, 1)

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
        check_folds(self, self.count, row_count, strata)


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
        check_count(self, "count", self.count, 2)
        check_count(self, "gap", self.gap, 0)
        if self.max_train_size is not None:
            check_count(self, "max_train_size", self.max_train_size, 1)

    @property
    def member_count(self) -> int:
        return self.count

    def splitter(self, seed: int) -> Any:
        from sklearn.model_selection import TimeSeriesSplit

        return TimeSeriesSplit(self.count, gap=self.gap, max_train_size=self.max_train_size)

    def _check_sizes(self, row_count: int, strata: NDArray[Any] | None) -> None:
        check_folds(self, self.count + 1, row_count, None)


def as_plan(plan: Any) -> Plan:
    """Return a plan for what stands for one: a plan, computed splits, a number of folds, a splitter, or pairs of rows.

    Raises: EnsembleError: it is none of these.
    """
    if isinstance(plan, Plan):
        return plan
    if isinstance(plan, Splits):
        return ComputedPlan(plan)
    if isinstance(plan, Integral) and not isinstance(plan, bool):
        return Folds(int(plan))
    if callable(getattr(plan, "split", None)) and not isinstance(plan, (str, bytes, type)):
        return SplitterPlan(plan)
    if isinstance(plan, Iterable) and not isinstance(plan, (str, bytes)):
        return GivenSplits(list(plan))
    raise EnsembleError(
        "plan must be Bags, Folds or another plan, a number of folds, a scikit-learn splitter or pairs of row "
        f"numbers, but got {plan!r:.80}"
    )
