"""Description: what there is to know of columns, one row each."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlpipeline.dataflow.explorers.columns import Column, is_missing
from mlpipeline.dataflow.spec import Array

_NUMBERS = ["count", "missing", "unique", "mean", "std", "min", "25%", "50%", "75%", "max"]
_TEXTS = ["top", "freq"]


def describe_columns(columns: list[Column]) -> Any:
    """Return a frame with a row for each column.

    Numbers have mean, std (of a sample: divided by n - 1), min, quartiles and max; infinite ones
    count. Text has `top`, its most frequent value, and `freq`, how often that is there.
    """
    import pandas as pd

    rows = [_numbers(column.values) if _is_real(column) else _texts(column.values) for column in columns]
    shown = [*_NUMBERS[:3], *(_TEXTS if any("top" in row for row in rows) else [])]
    shown += _NUMBERS[3:] if any("mean" in row for row in rows) else []
    return pd.DataFrame(rows, index=[column.name for column in columns], columns=shown)


def _is_real(column: Column) -> bool:
    return column.values.dtype.kind in "biuf"


def _numbers(values: Array) -> dict[str, Any]:
    ordered = np.sort(values)  # once for all that follows; NaN comes last
    count = len(ordered) - int(np.count_nonzero(np.isnan(ordered))) if ordered.dtype.kind == "f" else len(ordered)
    ordered = ordered[:count]
    row: dict[str, Any] = {"count": count, "missing": len(values) - count, "unique": _count_unique(ordered)}
    if not count:
        return row | dict.fromkeys(_NUMBERS[3:], np.nan)
    numbers = ordered.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):  # infinite values have no spread
        mean = numbers.mean()
        std = numbers.std(ddof=1) if count > 1 else np.nan
        quartiles = [_quantile(numbers, part) for part in (0.25, 0.5, 0.75)]
    return row | dict(zip(_NUMBERS[3:], [mean, std, numbers[0], *quartiles, numbers[-1]], strict=True))


def _count_unique(ordered: Array) -> int:
    return int(np.count_nonzero(ordered[1:] != ordered[:-1])) + 1 if len(ordered) else 0


def _quantile(ordered: Array, part: float) -> float:
    """Return a quantile of ordered numbers, between two of them on the straight line."""
    at = part * (len(ordered) - 1)
    low = int(at)
    lower, upper = ordered[low], ordered[min(low + 1, len(ordered) - 1)]
    return float(lower if lower == upper or at == low else lower + (upper - lower) * (at - low))


def _texts(values: Array) -> dict[str, Any]:
    import pandas as pd

    there = values[~is_missing(values)]
    row: dict[str, Any] = {"count": len(there), "missing": len(values) - len(there)}
    counts = pd.Series(there, dtype=object).map(_hashable).value_counts(sort=False)
    if counts.empty:
        return row | {"unique": 0, "top": None, "freq": np.nan}
    return row | {"unique": len(counts), "top": counts.idxmax(), "freq": int(counts.max())}


def _hashable(value: Any) -> Any:
    try:
        hash(value)
    except TypeError:
        return repr(value)
    return value
