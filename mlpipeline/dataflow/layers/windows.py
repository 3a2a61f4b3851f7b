"""TimeSeries: the last observations up to each one, as a window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from mlpipeline.dataflow.layer import StatelessLayer
from mlpipeline.dataflow.layers.checking import check_axis, inner_axis
from mlpipeline.dataflow.spec import Array, Spec, shape_text
from mlpipeline.errors import DataError, PipelineError


class TimeSeries(StatelessLayer):
    """For each observation the window of those up to it; before the first there are zeros.

    Batches of one stream are taken as one sequence.

    Args:
        window_size: how many observations a window holds.
        time_axis: where the axis of time stands in the result; -1 is the last.
        reverse: the newest comes first instead of the oldest.
    """

    checks_itself = True

    def __init__(self, window_size: int, time_axis: int = 1, reverse: bool = False) -> None:
        if isinstance(window_size, bool) or not isinstance(window_size, int | np.integer) or window_size < 1:
            raise PipelineError(f"TimeSeries: expected window_size as an integer from 1, but got {window_size!r}")
        check_axis(time_axis, "TimeSeries")
        self.window_size = window_size
        self.time_axis = time_axis
        self.reverse = reverse

    def transform(self, x: Array) -> Array:
        return self._windows(x, self._nothing_before(x))

    def streamed(self) -> Callable[..., Any]:
        past: Array | None = None

        def transform_next(x: Array) -> Array:
            nonlocal past
            before = self._nothing_before(x) if past is None else past
            if before.shape[1:] != x.shape[1:]:
                raise DataError(f"expected {shape_text(before.shape[1:])} as in the batches before, but got {x.shape}")
            result = self._windows(x, before)
            past = np.concatenate([before, x])[len(x) :]
            return result

        return transform_next

    def infer(self, x: Spec) -> Spec:
        if x.shape is None:
            return Spec(None, x.dtype)
        axis = inner_axis(self.time_axis, len(x.shape) + 2, "TimeSeries") - 1
        return Spec((*x.shape[:axis], int(self.window_size), *x.shape[axis:]), x.dtype)

    def _nothing_before(self, x: Array) -> Array:
        return np.zeros((self.window_size - 1, *x.shape[1:]), dtype=x.dtype)

    def _windows(self, x: Array, before: Array) -> Array:
        axis = inner_axis(self.time_axis, x.ndim + 1, "TimeSeries")
        if not len(x):
            return np.empty((*x.shape[:axis], self.window_size, *x.shape[axis:]), dtype=x.dtype)
        sequence = np.concatenate([before, x])
        windows = np.lib.stride_tricks.sliding_window_view(sequence, self.window_size, axis=0)
        ordered = windows[..., ::-1] if self.reverse else windows
        return np.ascontiguousarray(np.moveaxis(ordered, -1, axis))
