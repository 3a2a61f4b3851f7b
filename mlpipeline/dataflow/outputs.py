"""Outputs: what a run gives, by name and by position, and as one table."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlpipeline.dataflow.spec import Array, Spec
from mlpipeline.dataflow.tables import as_columns, numbered, polars
from mlpipeline.errors import PipelineError, did_you_mean


class Outputs(dict[str, Array]):
    """Arrays by the name of their output, in the order of the outputs: `outputs["white"]` or `outputs[0]`.

    As an array (`np.asarray(outputs)`) it is the outputs beside each other, one row an observation.
    """

    def __getitem__(self, key: str | int) -> Array:
        if isinstance(key, int):
            return list(self.values())[key]
        return super().__getitem__(key)

    def __missing__(self, key: object) -> Array:
        raise PipelineError(
            f"there is no output {key!r}{did_you_mean(str(key), self)}; expected one of {', '.join(map(repr, self))}"
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape as one array."""
        return self.__array__().shape

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        columns = list(self.values()) if len(self) == 1 else [np.hstack([as_columns(each) for each in self.values()])]
        array = columns[0]
        return array.astype(dtype) if dtype is not None and array.dtype != dtype else array.copy() if copy else array

    def column_names(self) -> list[str]:
        """Return a name for each column of the table: the output's own, with a number where it has several."""
        return [each for name, array in self.items() for each in numbered(name, Spec.of(array))]

    def to_pandas(self, index: Any = None) -> Any:
        """Return a pandas frame with a row for each observation."""
        import pandas as pd

        return pd.DataFrame(self._columns(), index=index)

    def to_polars(self) -> Any:
        """Return a polars frame with a row for each observation."""
        return polars().DataFrame(self._columns())

    def _columns(self) -> dict[str, Array]:
        parts = [as_columns(each) for each in self.values()]
        return dict(zip(self.column_names(), (column for part in parts for column in part.T), strict=True))
