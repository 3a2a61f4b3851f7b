"""Correlations of columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlpipeline.dataflow.spec import Array


def correlations(values: Sequence[Array], names: Sequence[str | int], method: str) -> Any:
    """Return a frame of the correlations of float64[n] each; NaN where one of a pair does not vary.

    Args:
        values: NaN is missing; a pair is compared over the observations that have both.
        method: "pearson", "spearman" or "kendall".
    """
    import pandas as pd

    frame = pd.DataFrame(np.stack(values, axis=1))
    frame = frame.loc[:, frame.max() > frame.min()]
    frame /= frame.abs().max()  # squares of huge numbers would be infinite
    if method == "kendall" or frame.isna().to_numpy().any() or frame.empty:
        found = frame.corr(method=method)  # type: ignore[arg-type]
    else:  # many times as fast as pandas
        numbers = frame.rank() if method == "spearman" else frame
        found = pd.DataFrame(np.atleast_2d(np.corrcoef(numbers, rowvar=False)), frame.columns, frame.columns)
    everything = range(len(values))
    return found.reindex(index=everything, columns=everything).set_axis(list(names)).set_axis(list(names), axis=1)
