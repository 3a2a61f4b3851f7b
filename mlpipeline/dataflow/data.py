"""What a caller passes in: dictionaries, frames and arrays become one array for each input."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mlpipeline.dataflow.node import Input, Node
from mlpipeline.dataflow.spec import Array, Spec, is_numeric
from mlpipeline.dataflow.storage.ids import as_ids
from mlpipeline.dataflow.tables import as_array, frame_arrays, is_frame
from mlpipeline.errors import DataError, StorageError, did_you_mean


@dataclass(frozen=True)
class Intake:
    """Where data enter a pipeline.

    Args:
        inputs: all of them.
        features: those that `transform` needs; what only fitting or metrics need holds labels.
        seen: what the fit has seen at each input.
        columns: of the frames that the fit was given, by input; under "" of one that was dealt out to the inputs.
    """

    inputs: Sequence[Input]
    features: Collection[Node]
    seen: Mapping[Node, Spec] = field(default_factory=dict)
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def arrange(self, data: Any, needed: Collection[Node], labels: Any = None) -> dict[Any, Array]:
        """Return the arrays of the needed inputs, checked; the caller's arrays themselves where they are arrays.

        Args:
            data: a dictionary by the inputs' names, in which others may be too; a frame with a column for
                each input; or an array or a frame whose columns are dealt out to the inputs in their order.
            needed: the inputs without which the work cannot be done.
            labels: with a frame or an array, what goes to the inputs of labels, as scikit-learn passes a y.

        Raises: DataError: data is missing, unknown, of another shape or dtype, or of unequal lengths.
        """
        if not isinstance(data, Mapping):
            data = self._by_name(data, [node for node in self.inputs if node in needed], labels)
        elif labels is not None:
            raise DataError("with a dictionary, labels are one of its arrays; expected no y beside it")
        values: dict[Any, Array] = {}
        n = -1
        for node in self.inputs:
            if node not in needed:
                continue
            if node.name not in data:
                raise DataError(_missing(self.inputs, needed, data, node))
            value = data[node.name]
            if type(value) is not np.ndarray and is_frame(value):
                value = _table(value, self.columns.get(str(node.name), ()))
            array = node.checked(value)
            if node in self.seen and array.dtype != self.seen[node].dtype:
                _check_kind(node, array, self.seen[node])
            if len(array) != n:
                if n >= 0:
                    raise DataError(
                        f"input {node.name!r} has {len(array)} observations, but the inputs before it have {n}; "
                        "every input needs the same observations"
                    )
                n = len(array)
            values[node] = array
        if len(data) != len(values):
            _check_known(self.inputs, data)
        return values

    def columns_of(self, data: Any, needed: Collection[Node], labels: Any) -> dict[str, tuple[str, ...]]:
        """Return the columns of the frames in data, which later frames are to have: by input, "" for a whole table."""
        if isinstance(data, Mapping):
            return {str(name): tuple(map(str, each.columns)) for name, each in data.items() if is_frame(each)}
        wanted = [node for node in self.inputs if node in needed]
        if not is_frame(data) or _has_names(data, self._table_inputs(wanted, labels)):
            return {}
        return {"": tuple(map(str, data.columns))}

    def _table_inputs(self, wanted: Sequence[Input], labels: Any) -> list[Input]:
        """Return the inputs that a table is for: all, or those that are not filled by labels."""
        return [node for node in wanted if node in self.features] if labels is not None else list(wanted)

    def _by_name(self, data: Any, wanted: Sequence[Input], labels: Any) -> dict[str, Any]:
        inputs = self._table_inputs(wanted, labels)
        rest = [node for node in wanted if node not in inputs]
        given = _dealt_out(rest, labels) if rest else {}
        if not is_frame(data):
            return _dealt_out(inputs, data) | given
        if _has_names(data, inputs):
            return (
                frame_arrays(data, [str(node.name) for node in inputs if node.name in set(map(str, data.columns))])
                | given
            )
        return _dealt_out(inputs, _table(data, self.columns.get("", ()))) | given


def _has_names(frame: Any, inputs: Sequence[Input]) -> bool:
    """Return whether a frame is meant by the names of its columns: some fit, or all inputs are single values."""
    names = set(map(str, frame.columns))
    return any(node.name in names for node in inputs) or all(node.spec.shape == () for node in inputs)


def _table(frame: Any, columns: Sequence[str]) -> Array:
    """Return a frame as a table, its columns in the order of the fit.

    Raises: DataError: a column of the fit is missing.
    """
    names = list(map(str, frame.columns))
    missing = [name for name in columns if name not in names]
    if missing:
        raise DataError(f"the frame lacks columns that the fit has seen: {_listed(missing)}; it has {_listed(names)}")
    if len(set(names)) < len(names):
        return as_array(frame)
    arrays = list(frame_arrays(frame, columns or names).values())
    return (
        np.column_stack(arrays)
        if all(array.dtype.kind in "biuf" for array in arrays)
        else np.column_stack([array.astype(object) for array in arrays])
    )


def _dealt_out(inputs: Sequence[Input], data: Any) -> dict[str, Array]:
    """Deal the columns of a table out to inputs; a single input gets it whole."""
    table = as_array(data)
    if table.ndim == 0:
        raise DataError(f"expected a dictionary of arrays by input name, a frame or an array, but got {data!r:.60}")
    if len(inputs) == 1:
        whole = table[:, 0] if table.ndim == 2 and table.shape[1] == 1 and inputs[0].spec.shape == () else table
        return {str(inputs[0].name): whole}
    widths = [node.spec.size for node in inputs]
    if table.ndim != 2 or None in widths or sum(w or 0 for w in widths) != table.shape[1]:
        names = ", ".join(repr(node.name) for node in inputs)
        raise DataError(
            f"expected a dictionary with the inputs {names}, or a table of {sum(w or 0 for w in widths)} columns, "
            f"but got an array of shape {table.shape}"
        )
    dealt: dict[str, Array] = {}
    start = 0
    for node, width in zip(inputs, widths, strict=True):
        columns = table[:, start : start + (width or 0)]
        dealt[str(node.name)] = columns.reshape(len(table), *(length or 0 for length in node.spec.shape or ()))
        start += width or 0
    return dealt


def _check_kind(node: Input, array: Array, seen: Spec) -> None:
    if seen.dtype is not None and is_numeric(array.dtype) != is_numeric(seen.dtype):
        raise DataError(f"input {node.name!r}: the fit has seen {seen.dtype}, but got values of {array.dtype}")


def _check_known(inputs: Sequence[Input], data: Mapping[str, Any]) -> None:
    names = [str(node.name) for node in inputs]
    for key in data:
        if key not in names:
            raise DataError(f"{key!r} is not an input{did_you_mean(str(key), names)}; the inputs are {_listed(names)}")


def _missing(inputs: Sequence[Input], needed: Collection[Node], data: Mapping[str, Any], node: Input) -> str:
    names = [str(each.name) for each in inputs if each in needed]
    unknown = [str(key) for key in data if key not in names]
    meant = did_you_mean(str(node.name), unknown).replace("did you mean", "is that")
    return f"input {node.name!r} is missing{meant}; expected {_listed(names)}, but got {_listed(map(str, data))}"


def _listed(names: Any) -> str:
    shown = [repr(name) for name in names]
    return ", ".join(shown[:10]) + (f" and {len(shown) - 10} more" if len(shown) > 10 else "") or "nothing"


def batch_of(item: Any) -> tuple[Any, Any]:
    """Return data and labels of what a generator gives: data, or a pair (data, labels)."""
    return (item[0], item[1]) if isinstance(item, tuple) and len(item) == 2 else (item, None)


def observation_count(values: Mapping[Any, Array]) -> int:
    """Return how many observations arranged data has."""
    return len(next(iter(values.values()))) if values else 0


def ids_of(data: Any, index: Any, n: int, start: int = 0) -> Array:
    """Return the ids of observations: those given, those of a pandas frame, or start, start + 1, ...

    Raises: DataError: there are not as many as observations, or they are neither integers nor texts.
    """
    if index is None and is_frame(data) and hasattr(data, "index"):
        counted = type(data.index).__name__ == "RangeIndex" and data.index.start == 0 and data.index.step == 1
        index = None if counted else data.index
    if index is None:
        return np.arange(start, start + n)
    try:
        ids = as_ids(index.to_numpy() if hasattr(index, "to_numpy") else index)
    except (StorageError, ValueError) as error:
        raise DataError(f"index: {str(error).removeprefix('ids: ')}") from None
    if len(ids) != n:
        raise DataError(f"index: expected {n} ids, one for each observation, but got {len(ids)}")
    return ids
