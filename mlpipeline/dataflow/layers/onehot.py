"""One-hot layers: a value becomes as many as there are categories, 1.0 at its own and 0.0 elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlpipeline.dataflow.layer import StatefulLayer
from mlpipeline.dataflow.layers.checking import learned
from mlpipeline.dataflow.layers.labels import different_values, merge_counts, positions_among
from mlpipeline.dataflow.spec import Array, Spec
from mlpipeline.errors import DataError, PipelineError

MOST_COLUMNS = 1_000_000


class OneHotRange(StatefulLayer):
    """Integers from `min_val` to `max_val`, both included, as one-hot vectors along a new last axis.

    Args:
        min_val: learned when it is not given.
        max_val: learned when it is not given.
        strict: a value out of range is an error instead of all zeros.
    """

    checks_itself = True
    is_iterative = False

    def __init__(self, min_val: int | None = None, max_val: int | None = None, strict: bool = False) -> None:
        for limit in (min_val, max_val):
            if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int | np.integer)):
                raise PipelineError(f"OneHotRange: expected integers as min_val and max_val, but got {limit!r}")
        if min_val is not None and max_val is not None and min_val > max_val:
            raise PipelineError(f"OneHotRange: expected min_val up to max_val, but got {min_val} and {max_val}")
        if min_val is not None and max_val is not None:
            _check_width(min_val, max_val, PipelineError)
        self.min_val = min_val
        self.max_val = max_val
        self.strict = strict

    def partial_fit(self, x: Array) -> None:
        codes = _as_codes(x)
        low, high = self.metadata.get("min"), self.metadata.get("max")
        if codes.size:
            low = int(codes.min()) if low is None else min(low, int(codes.min()))
            high = int(codes.max()) if high is None else max(high, int(codes.max()))
        self.metadata |= {"min": low, "max": high}

    def transform(self, x: Array) -> Array:
        low, high = self.limits()
        positions = _as_codes(x) - low
        outside = (positions < 0) | (positions > high - low)
        if not np.count_nonzero(outside):
            return one_hot(positions, high - low + 1)
        if self.strict:
            _refuse(x, outside, f"outside of {low} to {high}")
        return one_hot(np.where(outside, -1, positions), high - low + 1)

    def infer(self, x: Spec) -> Spec:
        if x.dtype is not None and x.dtype.kind not in "biu":
            raise PipelineError(f"expected integers, but got {x}; put the layer Cast(int) before it")
        known = self.min_val is not None and self.max_val is not None
        width = self.limits()[1] - self.limits()[0] + 1 if known or self.metadata else None
        return Spec(None if x.shape is None else (*x.shape, width), np.dtype(np.float64))

    def feature_names(self, *names: Sequence[str]) -> Sequence[str] | None:
        if not self.metadata:
            return None
        low, high = self.limits()
        return [f"{name}_{value}" for name in names[0] for value in range(low, high + 1)]

    def limits(self) -> tuple[int, int]:
        low, high = self.min_val, self.max_val
        if low is None or high is None:
            state = learned(self)
            low, high = state["min"] if low is None else low, state["max"] if high is None else high
        if low is None or high is None or low > high:
            raise DataError(f"OneHotRange has seen no value that fits: its range would go from {low} to {high}")
        _check_width(low, high, DataError)
        return int(low), int(high)


class OneHotLabels(StatefulLayer):
    """Labels as one-hot vectors along a new last axis, in the sorted order of the labels that were seen.

    Labels are texts, integers, truth values or dates, all of one kind. None and NaN are no label.

    Args:
        strict: a label that was not seen is an error instead of all zeros.
    """

    checks_itself = True
    is_iterative = False

    def __init__(self, strict: bool = False) -> None:
        self.strict = strict

    def partial_fit(self, x: Array) -> None:
        labels, counts = different_values(x.ravel())
        known, known_counts = self.metadata.get("labels", labels[:0]), self.metadata.get("counts", counts[:0])
        labels, counts = merge_counts(known, known_counts, labels, counts)
        self.metadata = {"labels": labels, "counts": counts}

    def transform(self, x: Array) -> Array:
        labels = learned(self)["labels"]
        positions = positions_among(labels, x)
        if self.strict:
            unseen = positions < 0
            if unseen.any():
                _refuse(x, unseen, f"none of the {len(labels)} labels that were seen")
        return one_hot(positions, len(labels))

    def infer(self, x: Spec) -> Spec:
        width = len(self.metadata["labels"]) if self.metadata else None
        return Spec(None if x.shape is None else (*x.shape, width), np.dtype(np.float64))

    def feature_names(self, *names: Sequence[str]) -> Sequence[str] | None:
        if not self.metadata:
            return None
        return [f"{name}_{label}" for name in names[0] for label in self.metadata["labels"]]


def one_hot(positions: Array, width: int) -> Array:
    """Return one-hot vectors float64[..., width] for int64[...]; all zeros for -1."""
    vectors = np.zeros((*positions.shape, width))
    flat = positions.ravel()
    places = flat + np.arange(0, flat.size * width, width) if width else flat[:0]
    vectors.reshape(-1)[places if flat.size and flat.min() >= 0 else places[flat >= 0]] = 1.0
    return vectors


def _check_width(low: int, high: int, refusal: type[Exception]) -> None:
    if high - low >= MOST_COLUMNS:
        raise refusal(
            f"OneHotRange from {low} to {high} would make {high - low + 1:,} columns, and at most {MOST_COLUMNS:,} are "
            "made; for a few values far apart there is OneHotLabels"
        )


def _as_codes(values: Array) -> Array:
    if values.dtype.kind not in "biu":
        raise DataError(f"expected integers, but got {values.dtype}; put the layer Cast(int) before it")
    return values.astype(np.int64, copy=False)


def _refuse(values: Array, bad: Array, reason: str) -> Any:
    where = np.argwhere(bad)[0]
    raise DataError(f"{values[tuple(where)]!r} in row {where[0]} is {reason}")
