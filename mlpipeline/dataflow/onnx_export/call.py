"""Call: one applied layer that is being written as ONNX operators, and the few steps that many layers share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlpipeline.dataflow.onnx_export.builder import OPSETS, TEXT, Builder, NotExportable, Tensor, held_dtype
from mlpipeline.dataflow.spec import Array, Spec, working_dtype

INT = np.dtype(np.int64)
BOOL = np.dtype(np.bool_)
FLOAT = np.dtype(np.float64)


@dataclass(frozen=True)
class Call:
    """What the conversion of a layer is given.

    Args:
        builder: where operators are added.
        label: what the pipeline calls the layer.
        layer: fitted.
        inputs: the values of its features.
        shapes: of one observation of each input.
        results: what the fit has seen of each output.
    """

    builder: Builder
    label: str
    layer: Any
    inputs: tuple[Tensor, ...]
    shapes: tuple[tuple[int, ...], ...]
    results: tuple[Spec, ...]

    @property
    def x(self) -> Tensor:
        """The first input."""
        return self.inputs[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one observation of the first input."""
        return self.shapes[0]

    @property
    def result_shape(self) -> tuple[int, ...]:
        """The shape of one observation of the first output."""
        return tuple(length or 0 for length in self.results[0].shape or ())

    @property
    def result_dtype(self) -> np.dtype[Any]:
        """The dtype of the first output."""
        return held_dtype(np.dtype(self.results[0].dtype))

    def op(self, kind: str, *inputs: Tensor | Array, dtype: np.dtype[Any] | None = None, **attributes: Any) -> Tensor:
        """Add an operator; without a dtype its result has that of its first input."""
        known = held_dtype(inputs[0].dtype) if dtype is None else dtype
        return self.builder.op(self.label, kind, inputs, known, **attributes)

    def ml_op(self, kind: str, *inputs: Tensor, dtype: np.dtype[Any], **attributes: Any) -> Tensor:
        """Add an operator of ONNX's machine learning domain."""
        return self.builder.op(self.label, kind, inputs, dtype, next(reversed(OPSETS)), **attributes)

    def cast(self, tensor: Tensor, dtype: np.dtype[Any]) -> Tensor:
        """Return a value in another dtype; texts become no numbers here."""
        return self.builder.cast(self.label, tensor, dtype)

    def real(self, position: int = 0) -> Tensor:
        """Return an input as numbers in the dtype that `as_real` gives."""
        tensor = self._numbers(position)
        return self.cast(tensor, working_dtype(tensor.dtype))

    def operand(self, position: int = 0) -> Tensor:
        """Return an input in the dtype that `as_operand` gives."""
        return self.widened(self._numbers(position))

    def widened(self, tensor: Tensor) -> Tensor:
        """Return numbers in a dtype that every operator takes: int64, float32 or float64; texts as they are."""
        return self.cast(tensor, wide_dtype(tensor.dtype))

    def reshape(self, tensor: Tensor, shape: Sequence[int]) -> Tensor:
        """Return observations in another shape."""
        return self.op("Reshape", tensor, np.array([0, *shape]))  # 0 keeps the length of the axis

    def unsqueeze(self, tensor: Tensor, *axes: int) -> Tensor:
        """Return a value with new axes of length 1."""
        return self.op("Unsqueeze", tensor, np.array(axes)) if axes else tensor

    def where(self, condition: Tensor, then: Tensor | Array, otherwise: Tensor | Array) -> Tensor:
        """Return values of one kind where a condition holds, and of another elsewhere."""
        return self.op("Where", condition, then, otherwise, dtype=held_dtype(then.dtype))

    def product(self, values: Tensor, matrix: Array, shape: Sequence[int]) -> Tensor:
        """Return the product of each observation with a matrix.

        Args:
            values: array[n, ..., k].
            matrix: array[k, m] or array[k].
            shape: of one observation of the result.
        """
        rows = self.op("Reshape", values, np.array([-1, len(matrix)]))
        product = self.table_product(rows, matrix.reshape(len(matrix), -1))
        return self.op("Reshape", product, np.array([-1, *shape]))

    def table_product(self, table: Tensor, matrix: Array) -> Tensor:
        """Return the product of array[n, k] and array[k, m].

        onnxruntime puts a factor that stands beside a MatMul into it, rounded to float32; not so with
        Gemm, which it has for floats only.
        """
        return self.op("Gemm" if table.dtype.kind == "f" else "MatMul", table, matrix.astype(table.dtype))

    def equal(self, one: Tensor, other: Tensor | Array) -> Tensor:
        """Return where numbers of the same dtype are equal."""
        return self.op("Equal", one, other, dtype=BOOL)

    def is_nan(self, tensor: Tensor) -> Tensor:
        """Return where floats are NaN."""
        return self.op("IsNaN", tensor, dtype=BOOL)

    def is_not_finite(self, tensor: Tensor) -> Tensor:
        """Return where floats are NaN or infinite."""
        return self.is_nan(self.op("Sub", tensor, tensor))

    def refuse(self, values: Tensor, bad: Tensor, reason: str) -> Tensor:
        """Return numbers as they are, by an operator that fails where something is bad.

        ONNX has no errors of its own, but to gather from where nothing is fails, and tells the
        operator's name.

        Args:
            values: array[n, ...].
            bad: bool, of a shape that is broadcast to that of the values.
            reason: what the name of the operator says.
        """
        name = f"{self.label}: {reason}"
        code = self.cast(bad, INT)
        nothing = self.builder.op(name, "Gather", [np.zeros(1, values.dtype), code], values.dtype)
        return self.op("Add", values, nothing)

    def refuse_missing(self, values: Tensor) -> Tensor:
        """Return floats as they are, by an operator that fails for NaN and infinity."""
        return self.refuse(values, self.is_not_finite(values), "observations hold NaN or infinity")

    def _numbers(self, position: int) -> Tensor:
        tensor = self.inputs[position]
        if tensor.dtype == TEXT:
            raise NotExportable("expected numbers, but the file would give it texts")
        return tensor


def wide_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return a dtype that every operator takes: int64, float32 or float64; texts stay."""
    held = held_dtype(dtype)
    if held == TEXT:
        return TEXT
    return working_dtype(held) if held.kind == "f" else INT
