"""Plans that somebody else has made: pairs of row numbers, splits that are computed already, any splitter."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mlpipeline.ensemble.base_plan import Plan, as_groups, as_strata
from mlpipeline.ensemble.splits import BAG, FOLD, Split, Splits
from mlpipeline.errors import EnsembleError


@dataclass(frozen=True, eq=False)
class GivenSplits(Plan):
    """Splits that somebody else has made.

    Args:
        parts: for each member the numbers of its training and of its validation rows, or a mask [n] for each.
        kind: "bag" or "fold".
    """

    parts: Sequence[tuple[ArrayLike, ArrayLike]] = ()
    kind: str = BAG

    def __post_init__(self) -> None:
        if not len(self.parts):
            raise EnsembleError("GivenSplits needs at least one pair of training and validation rows, but got none")
        if self.kind not in (BAG, FOLD):
            raise EnsembleError(f'kind of GivenSplits must be "{BAG}" or "{FOLD}", but got {self.kind!r}')

    def __repr__(self) -> str:
        return f"GivenSplits({len(self.parts)} {self.kind}s)"

    @property
    def member_count(self) -> int:
        return len(self.parts)

    def _parts(
        self, row_count: int, strata: NDArray[Any] | None, groups: NDArray[Any] | None, seed: int
    ) -> list[Split]:
        return [given_split(number, pair, row_count) for number, pair in enumerate(self.parts)]


@dataclass(frozen=True, eq=False)
class ComputedPlan(Plan):
    """Splits that were computed before, for the same rows: those of another result, say.

    Args:
        splits: what `split` returns.
    """

    splits: Splits = field(default=Splits(FOLD, "none", 0, 0, ()))

    @property
    def kind(self) -> str:  # type: ignore[override]
        """Which word names the members."""
        return self.splits.kind

    def __repr__(self) -> str:
        return self.splits.description

    @property
    def member_count(self) -> int:
        return len(self.splits)

    def split(
        self, row_count: int, classes: ArrayLike | None = None, groups: ArrayLike | None = None, seed: int = 0
    ) -> Splits:
        """Return the splits. Raises: EnsembleError: they were computed for another number of rows."""
        if self.splits.row_count != row_count:
            raise EnsembleError(
                f"the splits ({self!r}) were computed for {self.splits.row_count} rows, but there are {row_count}"
            )
        return self.splits


@dataclass(frozen=True, eq=False)
class SplitterPlan(Plan):
    """Any splitter with scikit-learn's interface.

    Args:
        inner: an object with `split(X, y, groups)`; it is never changed, and seeded where its `random_state` is open.
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
        if not hasattr(self.inner, "random_state"):
            return self.inner
        # A copy: a splitter with a RandomState of its own would split in another way at each call.
        inner = copy.copy(self.inner)
        state = inner.random_state
        inner.random_state = seed if state is None else copy.deepcopy(state)
        return inner

    def __repr__(self) -> str:
        return repr(self.inner)

    def _checked(
        self, row_count: int, classes: ArrayLike | None, groups: ArrayLike | None
    ) -> tuple[NDArray[Any] | None, NDArray[Any] | None]:
        return as_strata(classes, row_count), as_groups(groups, row_count)

    def _parts(
        self, row_count: int, strata: NDArray[Any] | None, groups: NDArray[Any] | None, seed: int
    ) -> list[Split]:
        pairs = self._pairs(row_count, strata, groups, seed)
        if not pairs:
            raise EnsembleError(f"{self!r} makes no splits of {row_count} rows")
        return [given_split(number, pair, row_count) for number, pair in enumerate(pairs)]


def given_split(number: int, pair: Any, row_count: int) -> Split:
    """Return a pair of row numbers, or of masks, as a split.

    Raises: EnsembleError: it is no pair, a row is not there, on both sides, or none is on one side.
    """
    try:
        train, valid = (np.asarray(rows) for rows in pair)
    except (TypeError, ValueError):
        raise EnsembleError(
            f"split {number} must be a pair (training rows, validation rows), but got {pair!r:.80}"
        ) from None
    split = Split(
        _row_numbers(number, "training", train, row_count), _row_numbers(number, "validation", valid, row_count)
    )
    both = np.intersect1d(split.train, split.valid)
    if len(both):
        raise EnsembleError(f"split {number} has {len(both)} rows on both sides, the first of them {both[0]}")
    return split


def _row_numbers(number: int, name: str, rows: NDArray[Any], row_count: int) -> NDArray[np.int64]:
    if rows.dtype == bool and len(rows) == row_count:
        rows = np.flatnonzero(rows)
    if rows.ndim != 1 or rows.dtype.kind not in "iu" or not len(rows) or rows.min() < 0 or rows.max() >= row_count:
        raise EnsembleError(
            f"the {name} rows of split {number} must be whole numbers from 0 to {row_count - 1}, at least one"
        )
    return rows.astype(np.int64)
