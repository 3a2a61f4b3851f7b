"""Leaks: what a member's training rows know of the rows that judge it, so that its scores are better than it is."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpipeline.ensemble.base_plan import as_groups
from mlpipeline.ensemble.observations import as_inputs, count_rows, read
from mlpipeline.ensemble.scaling import scaled_columns
from mlpipeline.ensemble.splits import FOLD, RowNumbers, Split, Splits
from mlpipeline.errors import EnsembleError

SAME_ROW, DUPLICATE, GROUP, PREPROCESSING = "same row", "duplicate", "group", "preprocessing"

_BATCH = 1024
_SHOWN = 5
_NO_ROWS = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Leak:
    """One way in which training rows know of validation rows.

    Args:
        kind: "same row", "duplicate", "group" or "preprocessing".
        member: its name, `fold0`; None for all.
        rows: numbers of the validation rows that are known; none where it is all rows.
        text: what to tell the user.
    """

    kind: str
    member: str | None
    rows: RowNumbers
    text: str

    def __str__(self) -> str:
        return f"{self.member}: {self.text}" if self.member else self.text


@dataclass(frozen=True, eq=False)
class LeakReport:
    """All leaks that were found; true if there are any.

    Args:
        leaks: in the order of the members, what concerns all last.
    """

    leaks: tuple[Leak, ...] = field(default=())

    def __bool__(self) -> bool:
        return bool(self.leaks)

    def __len__(self) -> int:
        return len(self.leaks)

    def __iter__(self) -> Iterator[Leak]:
        return iter(self.leaks)

    def __str__(self) -> str:
        return "\n".join(map(str, self.leaks)) or "no leaks were found"


def leak_report(X: Any, y: Any, splits: Any, groups: Any = None, preprocessing: Any = None) -> LeakReport:
    """Look for rows and knowledge that are on both sides of a member's split.

    Duplicates are rows with the same values, bit for bit but for the sign of zero; files of images are read for that.

    Args:
        X: [n, ...], as for `Ensemble.fit`, before any preprocessing of the ensemble's own.
        y: [n] or [n, k]; None where it is not known.
        splits: what a plan gives, or pairs of training and validation rows.
        groups: [n], what must stay together.
        preprocessing: what will be fitted on each member's training rows.
    Raises: EnsembleError: X, y and splits have different numbers of rows.
    """
    X = as_inputs(X)
    splits = _as_splits(splits, count_rows(X))
    belonging = as_groups(groups, splits.row_count)
    values = None if y is None else np.asarray(y)
    if values is not None and len(values) != splits.row_count:
        raise EnsembleError(f"X has {splits.row_count} rows, but y has {len(values)}")
    copies, labels = row_codes(X), None if values is None else row_codes(values)
    found: list[Leak] = []
    for number, split in enumerate(splits):
        name = splits.name(number)
        found += _same_rows(name, split)
        found += _duplicates(name, split, copies, labels)
        found += [] if belonging is None else _split_groups(name, split, belonging)
    scaled = [Leak(PREPROCESSING, None, _NO_ROWS, text) for text in scaled_columns(X)]
    return LeakReport((*found, *_fitted_before(preprocessing), *scaled))


def row_codes(X: Any) -> NDArray[np.int64]:
    """Return a number for each row, int64[n], that rows with equal values share: groups for `GroupFolds`.

    Args:
        X: [n, ...], as for `Ensemble.fit`.
    """
    X = as_inputs(X)
    if isinstance(X, Mapping):
        return row_codes(np.column_stack([row_codes(value) for value in X.values()]))
    count = count_rows(X)
    hashes = [_hashes(X, np.arange(start, min(start + _BATCH, count))) for start in range(0, count, _BATCH)]
    return np.asarray(np.unique(np.concatenate(hashes), return_inverse=True)[1].reshape(-1), dtype=np.int64)


def _hashes(X: Any, rows: RowNumbers) -> NDArray[np.uint64]:
    """Return 64 bits of a hash of each row; two of 100,000 different rows share theirs once in 4 billion cases."""
    part = read(X, rows)
    if hasattr(part, "iloc"):
        import pandas as pd

        frame = part.to_frame() if part.ndim == 1 else part
        return np.asarray(pd.util.hash_pandas_object(frame, index=False).to_numpy(), dtype=np.uint64)
    array = np.asarray(part.toarray() if hasattr(part, "toarray") else part.cpu() if hasattr(part, "cpu") else part)
    if array.dtype.kind in "fc":
        array = array + array.dtype.type(0)  # -0.0 equals 0.0
    digests = (hashlib.blake2b(content, digest_size=8).digest() for content in _contents(array))
    return np.frombuffer(b"".join(digests), dtype=np.uint64)


def _contents(array: NDArray[Any]) -> Iterator[bytes]:
    """Yield the bytes of each row; of objects those of their text."""
    if array.dtype.kind in "OT":
        return (repr(row.tolist() if isinstance(row, np.ndarray) else row).encode() for row in array)
    return (row.tobytes() for row in array)


def _as_splits(splits: Any, row_count: int) -> Splits:
    if not isinstance(splits, Splits):
        if isinstance(splits, int) or hasattr(splits, "split"):
            raise EnsembleError(
                "splits must be those that a plan gives for rows, as result.splits, or pairs of row numbers, "
                f"but got {splits!r:.80}"
            )
        pairs = [Split(*(np.asarray(rows, dtype=np.int64) for rows in pair)) for pair in splits]
        return Splits(FOLD, "given", 0, row_count, tuple(pairs))
    if splits.row_count != row_count:
        raise EnsembleError(f"X has {row_count} rows, but the splits were computed for {splits.row_count}")
    return splits


def _same_rows(name: str, split: Split) -> list[Leak]:
    rows = np.intersect1d(split.train, split.valid)
    if not len(rows):
        return []
    return [
        Leak(SAME_ROW, name, rows, f"the same rows are on both sides: {_listed(rows.tolist())} ({len(rows)} in all)")
    ]


def _duplicates(name: str, split: Split, copies: NDArray[np.int64], labels: NDArray[np.int64] | None) -> list[Leak]:
    twins = np.full(copies.max() + 1, -1, dtype=np.int64)
    twins[copies[split.train[::-1]]] = split.train[::-1]  # the first training row of each kind
    rows = np.setdiff1d(split.valid[twins[copies[split.valid]] >= 0], split.train)
    if not len(rows):
        return []
    pairs = _listed([f"{row} = {twins[copies[row]]}" for row in rows[:_SHOWN].tolist()], len(rows))
    text = f"equal rows in the validation and the training part: {pairs} ({len(rows)} in all"
    if labels is not None:
        both = _pair_codes(copies, labels)
        text += f", {np.count_nonzero(np.isin(both[rows], both[split.train]))} with an equal y too"
    return [Leak(DUPLICATE, name, rows, f"{text}); drop them, or keep them together: GroupFolds, groups=row_codes(X)")]


def _pair_codes(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.asarray(first * (second.max() + 1) + second, dtype=np.int64)


def _split_groups(name: str, split: Split, groups: NDArray[Any]) -> list[Leak]:
    import pandas as pd

    is_known = pd.Series(groups[split.valid]).isin(pd.unique(pd.Series(groups[split.train]))).to_numpy()
    if not is_known.any():
        return []
    rows = split.valid[is_known]
    shared = pd.unique(pd.Series(groups[rows])).tolist()
    text = f"groups are on both sides: {_listed(shared)} ({len(shared)} in all); use GroupFolds"
    return [Leak(GROUP, name, rows, text)]


def _fitted_before(preprocessing: Any) -> list[Leak]:
    """Look whether a transformer is fitted but a copy of it is not; both are if it learns nothing."""
    if preprocessing is None:
        return []
    from sklearn.base import clone

    if not _is_fitted(preprocessing) or _is_fitted(clone(preprocessing)):
        return []
    text = (
        "preprocessing is fitted already; each member fits a copy of its own, but rows that were transformed with it "
        "before know of all rows: give X as it was"
    )
    return [Leak(PREPROCESSING, None, _NO_ROWS, text)]


def _is_fitted(transformer: Any) -> bool:
    from sklearn.exceptions import NotFittedError
    from sklearn.utils.validation import check_is_fitted

    try:
        check_is_fitted(transformer)
    except (NotFittedError, TypeError):
        return False
    return True


def _listed(items: Sequence[Any], count: int | None = None) -> str:
    total = len(items) if count is None else count
    return ", ".join(map(str, items[:_SHOWN])) + (", ..." if total > _SHOWN else "")
