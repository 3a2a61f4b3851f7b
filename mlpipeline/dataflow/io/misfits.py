"""The first value of a CSV file that is not what its column was said to hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def first_misfit(read: Callable[..., Any], dtypes: Any) -> str | None:
    """Return which value of which column and row is not a number, or None if all are.

    Args:
        read: `pandas.read_csv` on the file, given further keyword arguments.
        dtypes: one dtype for all columns, or one for each by label.
    """
    import pandas as pd

    row = 0
    try:
        with read(iterator=True, dtype=str, chunksize=256) as chunks:
            for frame in chunks:
                for label in frame.columns:
                    dtype = dtypes.get(label) if isinstance(dtypes, dict) else dtypes
                    position = _misfit(frame[label], dtype)
                    if position is not None:
                        value = frame[label].iloc[position]
                        came = "a missing value" if pd.isna(value) else repr(value)
                        return f"column {str(label)!r} has {came} in row {row + position} (counted from 0), not {dtype}"
                row += len(frame)
    except (ValueError, TypeError, OSError):
        return None  # the file itself is broken; the first error says how
    return None


def _misfit(texts: Any, dtype: Any) -> int | None:
    import pandas as pd

    try:
        kind = np.dtype(dtype).kind if dtype is not None else "O"
    except TypeError:
        return None
    if kind not in "iuf":
        return None
    numbers = pd.to_numeric(texts, errors="coerce")
    wrong = numbers.isna() if kind in "iu" else numbers.isna() & texts.notna()
    return int(np.flatnonzero(wrong.to_numpy())[0]) if wrong.any() else None
