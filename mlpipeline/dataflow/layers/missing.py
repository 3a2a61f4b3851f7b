"""Layers for missing values: replaced by a given value, or by the mean, median or mode of what is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mlpipeline.dataflow.layer import StatefulLayer, StatelessLayer
from mlpipeline.dataflow.layers.checking import as_real, check_shape, expect_real, learned, real_result
from mlpipeline.dataflow.layers.labels import different_values, merge_counts
from mlpipeline.dataflow.layers.moments import learn_moments
from mlpipeline.dataflow.layers.replacing import replace_values, replaced_dtype
from mlpipeline.dataflow.missing_values import is_missing
from mlpipeline.dataflow.spec import Array, Spec
from mlpipeline.dataflow.tables import as_columns
from mlpipeline.errors import DataError, PipelineError


class Impute(StatelessLayer):
    """Given values replaced by others, all at once: what one replacement puts in, no other takes out.

    Args:
        replacements: {old: new}; NaN stands for NaN, NaT and pandas' NA, None for None.
    """

    checks_itself = True

    def __init__(self, replacements: Mapping[Any, Any]) -> None:
        if not isinstance(replacements, Mapping) or not replacements:
            raise PipelineError(f"Impute: expected a dictionary like {{old: new}}, but got {replacements!r}")
        self.replacements = dict(replacements)

    def transform(self, x: Array) -> Array:
        return replace_values(x, self.replacements)

    def infer(self, x: Spec) -> Spec:
        try:
            return x.with_dtype(None if x.dtype is None else replaced_dtype(x.dtype, self.replacements))
        except DataError as error:
            raise PipelineError(str(error)) from None

    def feature_names(self, *names: Sequence[str]) -> Sequence[str]:
        return names[0]


class ImputeMean(StatefulLayer):
    """NaN replaced by the mean of the values at the same position in the other observations."""

    checks_itself = True
    is_iterative = False

    def learn(self, *arrays: Array, epochs: int = 1) -> None:
        super().learn(*arrays, epochs=epochs)
        _check_known(self.metadata["mean"])

    def partial_fit(self, x: Array) -> None:
        self.metadata = learn_moments(self.metadata, x)

    def transform(self, x: Array) -> Array:
        return _filled(x, learned(self)["mean"])

    def infer(self, x: Spec) -> Spec:
        expect_real(x)
        return Spec(x.shape, real_result(x))

    def feature_names(self, *names: Sequence[str]) -> Sequence[str]:
        return names[0]


class ImputeMedian(StatefulLayer):
    """NaN replaced by the median of the values at the same position in the other observations.

    A median cannot be merged from batches: streams are refused.
    """

    checks_itself = True

    def fit(self, x: Array) -> None:
        values = as_real(x).astype(np.float64, copy=False)
        unknown = np.isnan(values).all(axis=0)
        _check_known(np.where(unknown, np.nan, 0.0))
        self.metadata["median"] = np.asarray(np.nanmedian(values, axis=0))

    def transform(self, x: Array) -> Array:
        return _filled(x, learned(self)["median"])

    def infer(self, x: Spec) -> Spec:
        expect_real(x)
        return Spec(x.shape, real_result(x))

    def feature_names(self, *names: Sequence[str]) -> Sequence[str]:
        return names[0]


class ImputeMode(StatefulLayer):
    """NaN, NaT and None replaced by the most frequent value at the same position; of several the smallest.

    For numbers, texts and dates. Learns the counts of all different values, merged over batches: meant
    for categories, not for measurements.
    """

    checks_itself = True
    is_iterative = False

    def learn(self, *arrays: Array, epochs: int = 1) -> None:
        super().learn(*arrays, epochs=epochs)
        self._modes()

    def partial_fit(self, x: Array) -> None:
        columns = as_columns(x).T
        known = self.metadata.get("counts") or [{} for _ in columns]
        if len(known) != len(columns):
            raise DataError(f"expected {len(known)} values in an observation as before, but got {len(columns)}")
        self.metadata["counts"] = [_more_counts(before, column) for before, column in zip(known, columns, strict=True)]

    def transform(self, x: Array) -> Array:
        modes = self._modes()
        missing = is_missing(x)
        result = x.copy()
        columns, gaps = as_columns(result), as_columns(missing)
        if len(modes) != columns.shape[1]:
            raise DataError(f"expected {len(modes)} values in an observation, as fitted, but got {columns.shape[1]}")
        for position in np.flatnonzero(gaps.any(axis=0)):
            mode = modes[position]
            columns[gaps[:, position], position] = mode.item() if x.dtype.kind == "O" else mode
        return columns.reshape(x.shape)

    def infer(self, x: Spec) -> Spec:
        return x

    def feature_names(self, *names: Sequence[str]) -> Sequence[str]:
        return names[0]

    def _modes(self) -> list[Any]:
        counts = learned(self)["counts"]
        for position, known in enumerate(counts):
            if not len(known.get("labels", ())):
                raise _nothing_known([position])
        return [known["labels"][known["counts"].argmax()] for known in counts]


def _more_counts(before: Mapping[str, Array], column: Array) -> dict[str, Array]:
    labels, counts = different_values(column)
    if before:
        labels, counts = merge_counts(before["labels"], before["counts"], labels, counts)
    return {"labels": labels, "counts": counts}


def _filled(x: Array, fill: Array) -> Array:
    """Return numbers with NaN replaced by the fill of their position; never the array itself."""
    _check_known(fill)
    check_shape(x, fill)
    values = as_real(x)
    result = values.copy() if values is x else values
    if result.dtype.kind == "f":
        np.copyto(result, fill, where=np.isnan(result), casting="same_kind")
    return result


def _check_known(fill: Array) -> None:
    if np.isnan(fill).any():
        raise _nothing_known(np.argwhere(np.isnan(fill))[0].tolist())


def _nothing_known(position: list[int]) -> DataError:
    where = f"at position {tuple(position)} of the observations" if position else "in the observations"
    return DataError(f"every value {where} is missing: there is nothing to impute; drop it, or use Impute({{...}})")
