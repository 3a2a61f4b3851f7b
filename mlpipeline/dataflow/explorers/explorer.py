"""Explorer, and what there is of them: Describe, Histogram, Scatter, Correlate."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from mlpipeline.dataflow.explorers.columns import Column, columns_of, numeric_columns
from mlpipeline.dataflow.explorers.description import describe_columns
from mlpipeline.dataflow.explorers.exploration import Exploration
from mlpipeline.dataflow.explorers.histograms import bins_of
from mlpipeline.dataflow.observer import Observer
from mlpipeline.dataflow.pictures import counted
from mlpipeline.dataflow.spec import Array, Spec, is_numeric, shape_text
from mlpipeline.errors import DataError, PipelineError

_METHODS = ("pearson", "spearman", "kendall")
_MOST_COLUMNS = 2_000  # of which correlations are computed: 32 MB


class Explorer(Observer):
    """A look at arrays. Extend it and write `look`."""

    role = "explorers"

    def observe(self, *arrays: Array, names: Sequence[str] = ()) -> Any:
        """Return what is seen in arrays of all observations.

        Args:
            arrays: the values of the nodes.
            names: of the nodes; without them columns are numbered.
        Raises: DataError: there are no observations.
        """
        if arrays[0].size == 0:
            raise DataError("there are no observations to look at")
        return self.look(columns_of(arrays, names or None), *arrays)

    @abstractmethod
    def look(self, columns: list[Column], *arrays: Array) -> Any:
        """Return what is seen.

        Args:
            columns: each value of an observation over all observations, with its name.
            arrays: the same as it came.
        """


class Describe(Explorer):
    """A frame with a row for each column of the nodes: count, missing, unique, mean, std, min, quartiles, max.

    A column of text has its most frequent value (`top`) and how often that is there (`freq`).
    """

    def __init__(self) -> None:
        """Take no parameters."""

    def look(self, columns: list[Column], *arrays: Array) -> Any:
        return describe_columns(columns)


class Histogram(Explorer):
    """How often values are there: a picture, and its `data`, a frame of bins and counts.

    Args:
        bins: how many, a list of edges, or "auto": by Freedman and Diaconis, or by Sturges where
            that gives more, at most 100. Text is counted by value; all but the 20 most frequent are one.
    """

    def __init__(self, bins: int | str | Sequence[float] = "auto") -> None:
        is_count = isinstance(bins, int) and not isinstance(bins, bool) and bins > 0
        is_edges = not isinstance(bins, str | int) and len(bins) > 1 and bool(np.all(np.diff(bins) > 0))
        if not (is_count or is_edges or (isinstance(bins, str) and bins == "auto")):
            raise PipelineError(
                f"Histogram: expected bins as a number from 1, as rising edges or as 'auto', but got {bins!r}"
            )
        self.bins = bins

    def look(self, columns: list[Column], *arrays: Array) -> Exploration:
        from mlpipeline.dataflow.explorers.charts import histograms

        data = bins_of(columns, self.bins)
        missing = sum(column.missing for column in columns)
        return Exploration(data, "Histogram", [f"{counted(missing, 'value')} missing"] if missing else [], histograms)


class Scatter(Explorer):
    """Two values of each observation as points: of [x, y], of [x, y, colour], or the first two of one node.

    Args:
        limit: how many points are drawn at most; of more observations some are drawn by chance.
        seed: of that chance.
    """

    def __init__(self, limit: int = 5_000, seed: int = 0) -> None:
        if limit < 1:
            raise PipelineError(f"Scatter: expected a limit of at least 1 point, but got {limit}")
        self.limit = limit
        self.seed = seed

    def infer(self, *specs: Spec) -> Spec:
        """Refuse what has no x and y."""
        sizes = [spec.size for spec in specs]
        if len(specs) > 3 or (len(specs) == 1 and sizes[0] == 1):
            raise PipelineError(f"expected [x, y], [x, y, colour] or one node of two columns, but got {_told(specs)}")
        if len(specs) > 1 and any(size not in (None, 1) for size in sizes):
            raise PipelineError(f"expected nodes of one value for each observation, but got {_told(specs)}")
        _check_numeric(specs[:2])
        return Spec()

    def look(self, columns: list[Column], *arrays: Array) -> Exploration:
        from mlpipeline.dataflow.explorers.charts import scatter

        if len(columns) < 2:
            raise PipelineError("expected two columns, x and y, but got one")
        colour = columns[2:3] if len(arrays) == 3 else []
        x, y = numeric_columns(columns[:2])
        rows = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
        notes = [f"{counted(len(x) - len(rows), 'observation')} missing"] if len(rows) < len(x) else []
        if len(rows) > self.limit:
            notes.insert(0, f"{self.limit:,} of {len(rows):,} observations, drawn by chance")
            rows = np.sort(np.random.default_rng(self.seed).choice(rows, self.limit, replace=False))
        return Exploration(_points([*columns[:2], *colour], [x, y], rows), "Scatter", notes, scatter)


class Correlate(Explorer):
    """How much columns go together: a picture, and its `data`, a frame with a row and a column for each.

    Where values are missing, each pair is compared over the observations that have both. A column
    that does not vary has no correlation, NaN.

    Args:
        method: "pearson", "spearman" (of ranks) or "kendall" (of orders, slow).
    """

    def __init__(self, method: str = "pearson") -> None:
        if method not in _METHODS:
            raise PipelineError(f"Correlate: expected a method of {', '.join(_METHODS)}, but got {method!r}")
        self.method = method

    def infer(self, *specs: Spec) -> Spec:
        """Refuse text."""
        _check_numeric(specs)
        return Spec()

    def look(self, columns: list[Column], *arrays: Array) -> Exploration:
        from mlpipeline.dataflow.explorers.charts import heat_map
        from mlpipeline.dataflow.explorers.correlations import correlations

        if len(columns) > _MOST_COLUMNS:
            raise PipelineError(
                f"expected at most {_MOST_COLUMNS:,} columns, but got {len(columns):,}; take some with Slice"
            )
        values = numeric_columns(columns)
        missing = sum(column.missing for column in columns)
        notes = [f"{counted(missing, 'value')} missing"] if missing else []
        data = correlations(values, [column.name for column in columns], self.method)
        return Exploration(data, f"Correlation ({self.method})", notes, heat_map)


def _points(columns: list[Column], numbers: Sequence[Array], rows: Array) -> Any:
    import pandas as pd

    names = [column.name for column in columns]
    if len(set(names)) < len(names):
        names = [f"{name}_{i}" for i, name in enumerate(names)]
    values = [*numbers, *(column.values for column in columns[2:])]
    return pd.DataFrame({name: each[rows] for name, each in zip(names, values, strict=True)}, index=rows)


def _check_numeric(specs: Sequence[Spec]) -> None:
    for spec in specs:
        if spec.dtype != object and not is_numeric(spec.dtype):
            raise PipelineError(f"expected numbers, but got values of {spec.dtype}")


def _told(specs: Sequence[Spec]) -> str:
    return ", ".join(shape_text(spec.shape) for spec in specs)
