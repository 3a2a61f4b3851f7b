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
    if method == "kendall" or frame.isna().to_numpy().any():
        found = frame.corr(method=method).to_numpy(copy=True)  # type: ignore[arg-type]
    else:
        found = _products(frame.rank().to_numpy() if method == "spearman" else frame.to_numpy())
    constant = [i for i, each in enumerate(values) if not _varies(each)]
    found[constant, :] = np.nan
    found[:, constant] = np.nan
    return pd.DataFrame(found, index=list(names), columns=list(names))


def _products(values: Array) -> Array:
    """Return the correlations of the columns of float64[n, k], none missing."""
    largest = np.abs(values).max(axis=0)
    centered = values / np.where(largest > 0, largest, 1.0)  # squares of huge numbers would be infinite
    centered -= centered.mean(axis=0)
    norms = np.sqrt((centered**2).sum(axis=0))
    centered /= np.where(norms > 0, norms, 1.0)
    products = np.clip(centered.T @ centered, -1.0, 1.0)
    np.fill_diagonal(products, 1.0)
    return products


def _varies(values: Array) -> bool:
    there = values[~np.isnan(values)]
    return len(there) > 1 and bool(there.min() < there.max())
