"""SplitDict: observations that are dictionaries become one array for each field."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlpipeline.dataflow.layer import StatelessLayer
from mlpipeline.dataflow.spec import Array, Spec
from mlpipeline.errors import DataError, PipelineError


class SplitDict(StatelessLayer):
    """One output for each field of observations that are dictionaries.

    Args:
        fields: the keys, in the order of the outputs.
    """

    def __init__(self, fields: Sequence[Any]) -> None:
        if isinstance(fields, str) or not fields or len(set(fields)) < len(fields):
            raise PipelineError(f"SplitDict: expected a list of different fields, but got {fields!r}")
        self.fields = list(fields)

    @property
    def n_outputs(self) -> int:  # type: ignore[override]
        """How many fields there are."""
        return len(self.fields)

    def transform(self, x: Array) -> Array | tuple[Array, ...]:
        if x.ndim != 1:
            raise DataError(f"expected one dictionary an observation, (n,), but got {x.shape}")
        outputs = tuple(_field(x, field) for field in self.fields)
        return outputs if len(outputs) > 1 else outputs[0]

    def infer(self, x: Spec) -> Spec | tuple[Spec, ...]:
        if x.shape not in (None, ()) or (x.dtype is not None and x.dtype != object):
            raise PipelineError(f"expected dictionaries, (n,) of object, but got {x}")
        return Spec() if self.n_outputs == 1 else (Spec(),) * self.n_outputs


def _field(rows: Array, field: Any) -> Array:
    try:
        values = [row[field] for row in rows]
        if not _are_mixed(values):
            return np.asarray(values)
    except (KeyError, TypeError, IndexError, ValueError):
        pass
    return _field_row_by_row(rows, field)


def _are_mixed(values: list[Any]) -> bool:
    """Return whether values are texts beside numbers or the like, which NumPy would make alike."""
    if len(set(map(type, values))) == 1 and isinstance(values[0], str | int | float | np.ndarray):
        return isinstance(values[0], np.ndarray) and len({_sort(value) for value in values}) > 1
    return len({_sort(value) for value in values}) > 1


def _sort(value: Any) -> str:
    kind = np.asarray(value).dtype.kind
    return "number" if kind in "iufc" else kind


def _field_row_by_row(rows: Array, field: Any) -> Array:
    """Return a field's values as objects, or say in which row there is none."""
    values = np.empty(len(rows), dtype=object)
    for position, row in enumerate(rows):
        if not isinstance(row, dict):
            raise DataError(f"row {position}: expected a dictionary, but got {type(row).__name__}")
        if field not in row:
            raise DataError(f"row {position} has no field {field!r}; its fields are {', '.join(map(repr, row))}")
        values[position] = row[field]
    return values
