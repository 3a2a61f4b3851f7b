"""Description: what there is to know of columns, one row each."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlpipeline.dataflow.explorers.columns import Column
from mlpipeline.dataflow.spec import Array

_NUMBERS = ["count", "missing", "unique", "mean", "std", "min", "25%", "50%", "75%", "max"]
_TEXTS = ["top", "freq"]


def describe_columns(columns: list[Column]) -> Any:
    """Return a frame with a row for each column.

    Numbers have mean, std (of a sample: divided by n - 1), min, quartiles and max; infinite ones
    count, and a quartile beside one is NaN, as in pandas. Text has `top`, its most frequent value,
    and `freq`, how often that is there.
    """
    import pandas as pd

    rows = [_numbers(column.values) if _is_real(column) else _texts(column.values) for column in columns]
    shown = [*_NUMBERS[:3], *(_TEXTS if any("top" in row for row in rows) else [])]
    shown += _NUMBERS[3:] if any("mean" in row for row in rows) else []
    return pd.DataFrame(rows, index=[column.name for column in columns], columns=shown)


def _is_real(column: Column) -> bool:
    return column.values.dtype.kind in "biuf"


def _numbers(values: Array) -> dict[str, Any]:
    import pandas as pd

    series = pd.Series(values)
    count = int(series.count())
    row = {"count": count, "missing": len(series) - count, "unique": series.nunique()}
    with np.errstate(invalid="ignore", over="ignore"):  # infinite values have no spread
        return {**series.astype(np.float64).describe(), **row}


def _texts(values: Array) -> dict[str, Any]:
    import pandas as pd

    there = values[~pd.isna(values)]
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
