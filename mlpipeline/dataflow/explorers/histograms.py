"""Histograms: bins and counts of columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlpipeline.dataflow.explorers.columns import Column
from mlpipeline.dataflow.spec import Array

MOST_BINS = 100  # that "auto" makes: a value far out would make millions
MOST_TEXTS = 20
OTHERS = "(others)"


def bins_of(columns: Sequence[Column], bins: int | str | Sequence[float]) -> Any:
    """Return a frame of column, left, right, value, count: a row for each bin, or for each value of text.

    The last bin has its right edge, the others have not. Missing and infinite values are left out.
    """
    import pandas as pd

    frames = []
    for column in columns:
        counts = (
            _number_bins(column.values, bins) if column.values.dtype.kind in "biuf" else _text_counts(column.values)
        )
        frames.append(pd.DataFrame({"column": column.name, **counts}))
    frame = pd.concat(frames, ignore_index=True)
    return frame[[name for name in ("column", "left", "right", "value", "count") if name in frame]]


def edges_of(values: Array, bins: int | str | Sequence[float]) -> Array:
    """Return the edges of bins for float64[n]; rising, also where values are equal or huge."""
    if not isinstance(bins, int | str):
        return np.asarray(bins, dtype=np.float64)
    if not len(values):
        return np.array([0.0, 1.0])
    low, high = float(values.min()), float(values.max())
    if low == high:
        around = max(0.5, abs(low) * 1e-6)
        return np.array([low - around, high + around]) if bins == "auto" else _line(low - around, high + around, bins)
    return _line(low, high, _count_bins(values, low, high) if isinstance(bins, str) else bins)


def _line(low: float, high: float, bins: int | str) -> Array:
    edges = np.linspace(low / 2, high / 2, int(bins) + 1) * 2  # halves: the distance of the ends may overflow
    edges[[0, -1]] = low, high
    return np.unique(edges)


def _count_bins(values: Array, low: float, high: float) -> int:
    """Return how many bins show the shape: by Freedman and Diaconis, or by Sturges where that is more."""
    n = len(values)
    by_count = np.ceil(np.log2(n) + 1)
    first, third = np.percentile(values / 2, [25, 75])
    half_width = 2 * ((third - first) / np.cbrt(n))
    by_spread = np.ceil(min((high / 2 - low / 2) / half_width, MOST_BINS)) if half_width > 0 else 0
    return int(np.clip(max(by_count, by_spread), 1, MOST_BINS))


def _number_bins(values: Array, bins: int | str | Sequence[float]) -> dict[str, Any]:
    numbers = values.astype(np.float64)
    numbers = numbers[np.isfinite(numbers)]
    edges = edges_of(numbers, bins)
    if bins == "auto" and values.dtype.kind in "biu":
        edges = _whole(edges)
    counts, _ = np.histogram(numbers, edges)
    return {"left": edges[:-1], "right": edges[1:], "count": counts}


def _whole(edges: Array) -> Array:
    """Return bins for whole numbers: around each of them or around as many as fit, never around none."""
    if edges[-1] - edges[0] > 2**52:
        return edges
    low, high = np.floor(edges[0]), np.ceil(edges[-1])
    step = max(1.0, np.ceil((high - low + 1) / (len(edges) - 1)))
    return np.arange(low - 0.5, high + 0.5 + step, step) if edges[0] == low else edges


def _text_counts(values: Array) -> dict[str, Any]:
    import pandas as pd

    counts = pd.Series([str(each) for each in values[~pd.isna(values)]], dtype=object).value_counts()
    shown = counts.iloc[:MOST_TEXTS]
    texts, numbers = [str(text) for text in shown.index], [int(count) for count in shown]
    if len(counts) > MOST_TEXTS:
        texts.append(OTHERS)
        numbers.append(int(counts.iloc[MOST_TEXTS:].sum()))
    return {"value": texts, "count": numbers}
