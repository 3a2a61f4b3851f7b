"""Columns: each value of an observation over all observations, as explorers look at them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from mlpipeline.dataflow.spec import Array, is_numeric
from mlpipeline.dataflow.tables import as_columns
from mlpipeline.errors import PipelineError


@dataclass(frozen=True)
class Column:
    """One value of each observation.

    Args:
        name: the node's, with a number where it has several; a number where nodes have no names.
        values: array[n]; an array of objects that are numbers comes as numbers.
    """

    name: str | int
    values: Array

    @property
    def is_numeric(self) -> bool:
        """Whether these are numbers or truth values."""
        return is_numeric(self.values.dtype)

    @cached_property
    def missing(self) -> int:
        """How many values are NaN, infinite or None."""
        if self.values.dtype.kind in "fc":
            return int(np.count_nonzero(~np.isfinite(self.values)))
        import pandas as pd

        return int(np.count_nonzero(pd.isna(self.values)))


def columns_of(arrays: Sequence[Array], names: Sequence[str] | None) -> list[Column]:
    """Return all columns of arrays[n, ...] of the same n."""
    columns: list[Column] = []
    for i, array in enumerate(arrays):
        for j, values in enumerate(as_columns(array).T):
            name: str | int = len(columns)
            if names is not None:
                name = names[i] if array.ndim == 1 else f"{names[i]}_{j}"
            columns.append(Column(name, _as_numbers(values) if values.dtype == object else values))
    return columns


def numeric_columns(columns: Sequence[Column]) -> list[Array]:
    """Return columns as float64[n] with NaN for all that is missing or infinite.

    Raises: PipelineError: one is no numbers.
    """
    for column in columns:
        if not column.is_numeric or column.values.dtype.kind == "c":
            raise PipelineError(
                f"expected numbers, but column {column.name!r} has values of {column.values.dtype}; "
                "make them numbers with a layer such as OneHotLabels"
            )
    found = [column.values.astype(np.float64) for column in columns]
    return [np.where(np.isfinite(values), values, np.nan) for values in found]


def _as_numbers(values: Array) -> Array:
    """Return objects that are all numbers or missing as numbers, others as they are."""
    import pandas as pd

    kind = pd.api.types.infer_dtype(values, skipna=True)
    if kind in ("integer", "floating", "mixed-integer-float", "boolean", "decimal"):
        return np.where(pd.isna(values), np.nan, values).astype(np.float64)
    return values
