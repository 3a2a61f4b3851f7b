"""Scikit-learn estimators as ONNX operators: native forms here, all else through skl2onnx."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from mlpipeline.dataflow.layers.sklearn_arrays import dense_result, method_of, tags_of, takes_tables
from mlpipeline.dataflow.layers.sklearn_layer import Sklearn
from mlpipeline.dataflow.layers.sklearn_maps import native_form
from mlpipeline.dataflow.onnx_export.builder import OPSETS, TEXT, NotExportable, Tensor
from mlpipeline.dataflow.onnx_export.call import FLOAT, INT, Call
from mlpipeline.dataflow.onnx_export.sklearn_native import native_outputs
from mlpipeline.dataflow.onnx_export.subgraphs import agree, inserted, outputs_of, raise_opsets
from mlpipeline.dataflow.spec import Array
from mlpipeline.errors import MlpError, PipelineError

NARROW = np.dtype(np.float32)
IN_FLOAT32 = ("sklearn.tree.", "sklearn.ensemble._forest", "sklearn.ensemble._gb", "sklearn.ensemble._iforest")
CHECKED_ROWS = 32


def _sklearn(call: Call) -> Tensor:
    estimator = call.layer.metadata["estimator"]
    method = method_of(estimator, call.layer.method)
    if not takes_tables(estimator):
        raise NotExportable(f"{type(estimator).__name__} takes no table of numbers or categories")
    table = _table(call)
    form = native_form(estimator, method) if table.dtype != TEXT else None
    if form is not None:
        return native_outputs(call, table, form, estimator)
    return _converted(call, table, estimator, method)


def _table(call: Call) -> Tensor:
    """Return the features beside each other."""
    columns = [
        tensor if shape else call.unsqueeze(tensor, 1) for tensor, shape in zip(call.inputs, call.shapes, strict=True)
    ]
    if len({each.dtype == TEXT for each in columns}) > 1:
        raise NotExportable("ONNX has no tables of texts and numbers")
    if len(columns) == 1:
        return columns[0]
    dtype = np.result_type(*(each.dtype for each in columns))
    return call.op("Concat", *(call.cast(each, dtype) for each in columns), axis=1)


def _converted(call: Call, table: Tensor, estimator: Any, method: str) -> Tensor:
    """Return what an estimator gives, by the first way in which skl2onnx writes it with the same results."""
    width = sum(int(np.prod(shape)) for shape in call.shapes)
    rows = _sample(estimator, width, table.dtype)
    reasons = []
    for dtype in _dtypes(estimator, table.dtype):
        try:
            model = raise_opsets(_skl2onnx(estimator, method, width, dtype))
            output = _same_output(model, rows.astype(object if dtype == TEXT else dtype), estimator, method)
        except MlpError as error:
            reasons.append(str(error))
        except Exception as error:  # skl2onnx and onnxruntime raise errors of any class
            reasons.append(f"{type(error).__name__}: {error}")
        else:
            checked = call.cast(_without_missing(call, table, estimator), dtype)
            (result,) = inserted(call.builder, call.label, model, [checked], [output])
            return call.reshape(result, call.result_shape)
    name = type(estimator).__name__
    raise NotExportable(f"skl2onnx does not write {method} of {name}: {reasons[0].splitlines()[0][:200]}")


def _dtypes(estimator: Any, dtype: np.dtype[Any]) -> list[np.dtype[Any]]:
    """Return the dtypes in which an estimator may take its table, best first."""
    if dtype == TEXT:
        return [TEXT]
    if type(estimator).__module__.startswith(IN_FLOAT32):
        return [NARROW, FLOAT]  # these compare in float32 themselves
    if hasattr(_first(estimator), "categories_") and dtype.kind != "f":
        return [INT]
    return [FLOAT, NARROW]


def _skl2onnx(estimator: Any, method: str, width: int, dtype: np.dtype[Any]) -> Any:
    try:
        with _quiet():
            from skl2onnx import convert_sklearn
            from skl2onnx.common import data_types
    except ImportError:
        raise PipelineError('skl2onnx is not installed: pip install "mlpipeline[onnx]"') from None
    kinds = {TEXT: "String", INT: "Int64", FLOAT: "Double", NARROW: "Float"}
    kind = getattr(data_types, f"{kinds[dtype]}TensorType")
    with _quiet():
        return convert_sklearn(
            estimator,
            initial_types=[("x", kind([None, width]))],
            target_opset=OPSETS[""],
            options=_options(estimator, method),
        )


def _options(estimator: Any, method: str) -> dict[int, dict[str, bool]] | None:
    if tags_of(estimator).estimator_type != "classifier":
        return None
    raw = {"raw_scores": True} if method == "decision_function" else {}
    return {id(estimator): {"zipmap": False, **raw}}


def _same_output(model: Any, rows: Array, estimator: Any, method: str) -> str:
    """Return the name of the output that gives what a method of an estimator gives.

    Raises: NotExportable: none does.
    """
    with _quiet():
        expected = dense_result(estimator, getattr(estimator, method)(rows), len(rows))
    outputs = outputs_of(model, {"x": rows})
    for name, values in outputs.items():
        if agree(values, expected):
            return name
    raise NotExportable("what it writes gives other results")


def _sample(estimator: Any, width: int, dtype: np.dtype[Any]) -> Array:
    """Return some rows that an estimator takes."""
    rng = np.random.default_rng(0)
    categories = getattr(_first(estimator), "categories_", None)
    if categories is not None:
        return np.stack([rng.choice(np.asarray(each), CHECKED_ROWS) for each in categories], axis=1)
    if dtype == TEXT:
        raise NotExportable(f"{type(estimator).__name__} on texts")
    return np.abs(rng.normal(scale=3, size=(CHECKED_ROWS, width)))


def _first(estimator: Any) -> Any:
    return estimator.steps[0][1] if getattr(estimator, "steps", None) else estimator


def _without_missing(call: Call, table: Tensor, estimator: Any) -> Tensor:
    if table.dtype.kind != "f" or tags_of(estimator).input_tags.allow_nan:
        return table
    return call.refuse_missing(table)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what skl2onnx warns of, deprecated names for the most part, from the caller."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


CONVERTERS: dict[type, Callable[[Call], Tensor]] = {Sklearn: _sklearn}
