"""Shaping layers: dtypes, axes, parts and windows. Axes are counted as in NumPy: axis 0 is the observations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mlpipeline.dataflow.layer import StatelessLayer
from mlpipeline.dataflow.layers.casting import cast
from mlpipeline.dataflow.layers.checking import check_axis, inner_axis
from mlpipeline.dataflow.layers.indexing import as_index, select, selected_shape
from mlpipeline.dataflow.spec import Array, Shape, Spec, shape_text
from mlpipeline.dataflow.tables import as_columns
from mlpipeline.errors import DataError, PipelineError


class Cast(StatelessLayer):
    """The values in another dtype.

    What the dtype cannot hold is refused: NaN, infinity or a number out of range as integer, a text
    that is no number. Fractions are cut off towards zero.

    Args:
        dtype: as NumPy takes it: float, "int32", str, ...
    """

    checks_itself = True

    def __init__(self, dtype: Any) -> None:
        try:
            self.dtype = np.dtype(dtype).str
        except TypeError as error:
            raise PipelineError(f"Cast: expected a dtype like float or 'int32', but got {dtype!r}: {error}") from None

    def transform(self, x: Array) -> Array:
        return cast(x, np.dtype(self.dtype))

    def infer(self, x: Spec) -> Spec:
        dtype = np.dtype(self.dtype)
        return x.with_dtype(None if dtype.kind in "SU" and not dtype.itemsize else dtype)

    def feature_names(self, *names: Sequence[str]) -> Sequence[str]:
        return names[0]


class AddDim(StatelessLayer):
    """A new axis of length 1.

    Args:
        axis: where it stands in the result; -1 is the last.
    """

    checks_itself = True

    def __init__(self, axis: int = -1) -> None:
        check_axis(axis, "AddDim")
        self.axis = axis

    def transform(self, x: Array) -> Array:
        return np.expand_dims(x, inner_axis(self.axis, x.ndim + 1, "AddDim"))

    def infer(self, x: Spec) -> Spec:
        if x.shape is None:
            return Spec(None, x.dtype)
        axis = inner_axis(self.axis, len(x.shape) + 2, "AddDim") - 1
        return Spec((*x.shape[:axis], 1, *x.shape[axis:]), x.dtype)

    def feature_names(self, *names: Sequence[str]) -> Sequence[str]:
        return names[0]


class Reshape(StatelessLayer):
    """The values of each observation in another shape.

    Args:
        shape: of one observation, as a tuple or as several arguments; one length may be -1, for what is left.
    """

    checks_itself = True
    lengths: tuple[int, ...] = ()  # what was given as several arguments has become the shape

    def __init__(self, shape: Sequence[int] | int, *lengths: int) -> None:
        given = (shape, *lengths) if isinstance(shape, int | np.integer) else tuple(shape)
        if not all(isinstance(each, int | np.integer) and each >= -1 for each in given) or given.count(-1) > 1:
            raise PipelineError(f"Reshape: expected lengths like 4, 5 or one -1 among them, but got {given}")
        self.shape: Sequence[int] = tuple(int(each) for each in given)

    def transform(self, x: Array) -> Array:
        inner = self._resolved(x.shape[1:])
        if isinstance(inner, str):
            raise DataError(inner)
        return x.reshape(len(x), *inner)

    def infer(self, x: Spec) -> Spec:
        if x.shape is None or None in x.shape:
            return Spec(tuple(None if length == -1 else length for length in self.shape), x.dtype)
        inner = self._resolved(tuple(length or 0 for length in x.shape))
        if isinstance(inner, str):
            raise PipelineError(inner)
        return Spec(inner, x.dtype)

    def feature_names(self, *names: Sequence[str]) -> Sequence[str]:
        return names[0]

    def _resolved(self, shape: tuple[int, ...]) -> tuple[int, ...] | str:
        """Return the new shape of observations, or why there is none."""
        size = int(np.prod(shape))
        rest = int(np.prod([length for length in self.shape if length != -1]))
        if -1 in self.shape and rest and size % rest == 0:
            return tuple(size // rest if length == -1 else length for length in self.shape)
        if -1 not in self.shape and rest == size:
            return tuple(self.shape)
        return f"observations of shape {shape_text(shape)} hold {size} values and cannot become {tuple(self.shape)}"


class Flatten(StatelessLayer):
    """All values of an observation along one axis: (n, k)."""

    checks_itself = True

    def transform(self, x: Array) -> Array:
        return as_columns(x)

    def infer(self, x: Spec) -> Spec:
        return Spec((x.size,), x.dtype)

    def feature_names(self, *names: Sequence[str]) -> Sequence[str]:
        return names[0]


class Concatenate(StatelessLayer):
    """Arrays joined along an axis. One value an observation, (n,), counts as a column, (n, 1).

    Args:
        axis: of the arrays; -1 is the last.
    """

    checks_itself = True

    def __init__(self, axis: int = -1) -> None:
        check_axis(axis, "Concatenate")
        self.axis = axis

    @property
    def joins_columns(self) -> bool:
        """Whether rows give their columns beside each other."""
        return self.axis == -1

    def transform(self, *arrays: Array) -> Array:
        parts = [array if array.ndim > 1 else array[:, None] for array in arrays]
        axis = self.axis
        if axis < -1:
            axis = inner_axis(axis, parts[0].ndim, "Concatenate")
        try:
            joined = np.concatenate(parts, axis)
        except ValueError:
            shapes = " and ".join(str(array.shape) for array in arrays)
            raise DataError(f"expected arrays that differ along axis {axis} only, but got {shapes}") from None
        if joined.dtype.kind in "SUO" and any(array.dtype.kind not in "SUO" for array in arrays):
            raise DataError("expected texts only or numbers only, for numbers beside texts would become texts")
        return joined

    def infer(self, *specs: Spec) -> Spec:
        dtype = _common_dtype([spec.dtype for spec in specs])
        shapes = [spec.shape or (1,) for spec in specs if spec.shape is not None]
        if len(shapes) < len(specs):
            return Spec(None, dtype)
        axis = inner_axis(self.axis, len(shapes[0]) + 1, "Concatenate") - 1
        return Spec(_joined(shapes, axis), dtype)

    def feature_names(self, *names: Sequence[str]) -> Sequence[str]:
        return [name for each in names for name in each]


class Slice(StatelessLayer):
    """A part of each observation, as in `x[:, *slices]`.

    Args:
        slices: one for each axis behind the observations: an integer, a slice, a list of positions or of
            truth values, or Ellipsis. Lists pick along their own axis, each for itself.
    """

    checks_itself = True

    def __init__(self, *slices: Any) -> None:
        as_index(slices)
        self.slices = slices

    @classmethod
    def _parameter_names(cls) -> list[str]:
        return ["slices"]

    def set_params(self, **parameters: Any) -> Slice:
        """Change the slices, a tuple."""
        slices = parameters.pop("slices", self.slices)
        super().set_params(**parameters)  # refuses any other name
        self.__dict__ |= vars(Slice(*slices))
        return self

    def transform(self, x: Array) -> Array:
        return select(x, as_index(self.slices))

    def infer(self, x: Spec) -> Spec:
        return x if x.shape is None else Spec(selected_shape(x.shape, as_index(self.slices)), x.dtype)


class Filter(StatelessLayer):
    """The observations for which a mask is true: called on `[x, mask]`, with bool[n] as mask."""

    changes_observations = True

    def transform(self, x: Array, mask: Array) -> Array:
        if mask.dtype != bool or mask.shape != x.shape[:1]:
            raise DataError(f"expected a mask of truth values, ({len(x)},), but got {mask.dtype} {mask.shape}")
        return x[mask]

    def infer(self, x: Spec, mask: Spec) -> Spec:
        if mask.dtype not in (None, np.dtype(bool)) or mask.shape not in (None, ()):
            raise PipelineError(f"expected a mask of truth values, (n,), as last input, but got {mask}")
        return x

    def feature_names(self, *names: Sequence[str]) -> Sequence[str]:
        return names[0]


def _common_dtype(dtypes: Sequence[np.dtype[Any] | None]) -> np.dtype[Any] | None:
    known = [dtype for dtype in dtypes if dtype is not None]
    if any(dtype.kind in "SU" for dtype in known) and any(dtype.kind not in "SUO" for dtype in known):
        raise PipelineError(f"expected texts only or numbers only, but got {' and '.join(map(str, known))}")
    return np.result_type(*known) if len(known) == len(dtypes) else None


def _joined(shapes: Sequence[Shape], axis: int) -> Shape:
    """Return the shape of observations joined along an axis, the first behind the observations being 0."""
    told = " and ".join(map(shape_text, shapes))
    if len({len(shape) for shape in shapes}) > 1:
        raise PipelineError(f"expected arrays of as many axes each, but got {told}")
    result: list[int | None] = []
    for position, lengths in enumerate(zip(*shapes, strict=True)):
        known = [length for length in lengths if length is not None]
        if position == axis:
            result.append(sum(known) if len(known) == len(lengths) else None)
        elif len(set(known)) > 1:
            raise PipelineError(f"expected arrays that differ along axis {axis + 1} only, but got {told}")
        else:
            result.append(known[0] if known else None)
    return tuple(result)
