"""Frames and arrays: from one to the other, with the names of columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlpipeline.dataflow.spec import Array, Spec
from mlpipeline.errors import DataError, PipelineError


def is_frame(value: Any) -> bool:
    """Return whether a value is a pandas or polars frame."""
    return hasattr(value, "columns") and hasattr(value, "to_numpy")


def as_array(value: Any) -> Array:
    """Return an array, a frame, a series, a sparse matrix or a list as an array; an array is returned as it is."""
    if type(value) is np.ndarray:
        return value
    if isinstance(value, np.ma.MaskedArray):
        return _without_mask(value)
    if hasattr(value, "toarray"):
        value = value.toarray()
    array: Array = value.to_numpy() if hasattr(value, "to_numpy") else np.asarray(value)
    return array.astype(object) if array.dtype.kind == "T" else array


def _without_mask(values: Any) -> Array:
    if not np.ma.is_masked(values):
        return np.asarray(values.data)
    if values.dtype.kind != "f":
        raise DataError(f"a masked array of {values.dtype} has no value for what is masked; fill it, or cast to float")
    return np.asarray(values.filled(np.nan))


def frame_arrays(frame: Any, names: Sequence[str]) -> dict[str, Array]:
    """Return columns of a pandas or polars frame as arrays: missing numbers are NaN, missing texts None."""
    if hasattr(frame, "iloc"):
        from mlpipeline.dataflow.io.frames import PandasData  # it stands on sources, and they on nodes

        arrays = PandasData(frame, cols=list(names))
        return {name: arrays[name] for name in names}
    return {name: as_array(frame[name]) for name in names}


def column_names(value: Any, array: Array) -> list[str]:
    """Return the names of a frame's columns, or x0, x1, ... for the values of an observation."""
    if is_frame(value):
        return [str(name) for name in value.columns]
    return [f"x{i}" for i in range(int(np.prod(array.shape[1:])))]


def numbered(name: str, spec: Spec | None) -> list[str]:
    """Return the name for one value, name_0, name_1, ... for several."""
    if spec is None or spec.shape == ():
        return [name]
    return [f"{name}_{i}" for i in range(spec.size or 0)]


def as_columns(array: Array) -> Array:
    """Return array[n, ...] as array[n, k]."""
    return array.reshape(len(array), -1) if len(array) else array.reshape(0, int(np.prod(array.shape[1:])))


def as_table(container: str, array: Array, names: Sequence[str], like: Any) -> Any:
    """Return array[n, ...] as a pandas or polars frame; a pandas frame keeps the index of the frame it came from.

    Raises: PipelineError: polars is not installed.
    """
    columns = as_columns(array)
    if container == "pandas":
        import pandas as pd

        index = like.index if isinstance(like, pd.DataFrame | pd.Series) and len(like) == len(columns) else None
        return pd.DataFrame(columns, columns=list(names), index=index)
    return polars().DataFrame({str(name): columns[:, i] for i, name in enumerate(names)})


def polars() -> Any:
    """Return the polars module.

    Raises: PipelineError: it is not installed.
    """
    try:
        import polars as pl
    except ImportError:
        raise PipelineError("polars is not installed: pip install polars, or ask for pandas") from None
    return pl
