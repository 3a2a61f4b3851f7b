"""Subgraphs: models that other libraries write as ONNX, compared with what they stand for and put into the file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mlpipeline.dataflow.onnx_export.builder import (
    IR_VERSION,
    OPSETS,
    Builder,
    NotExportable,
    Tensor,
    held_dtype,
    onnx_module,
)
from mlpipeline.dataflow.spec import Array
from mlpipeline.errors import PipelineError

SAME = {"rtol": 1e-4, "atol": 1e-5}  # some operators of machine learning know float32 only


def raise_opsets(model: Any) -> Any:
    """Return a copy of a model that says the file's versions of operators; whether they mean the same is checked.

    Raises: NotExportable: it has functions or operators that the file cannot take over.
    """
    onnx = onnx_module()
    domains = {each.domain for each in model.opset_import}
    if model.functions or not domains <= set(OPSETS):
        raise NotExportable(f"it needs operators that are not ONNX's own: {', '.join(sorted(domains - set(OPSETS)))}")
    raised = onnx.ModelProto()
    raised.CopyFrom(model)
    del raised.opset_import[:]
    raised.opset_import.extend(onnx.helper.make_opsetid(domain, version) for domain, version in OPSETS.items())
    raised.ir_version = IR_VERSION
    return raised


def outputs_of(model: Any, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Return what onnxruntime computes, by name.

    Raises: PipelineError: onnxruntime is not installed.
    """
    try:
        import onnxruntime
    except ImportError:
        raise PipelineError('onnxruntime is not installed: pip install "mlpipeline[onnx]"') from None
    onnx_module().checker.check_model(model, full_check=True)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what fails is told by the caller
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return dict(zip((each.name for each in session.get_outputs()), session.run(None, dict(inputs)), strict=True))


def agree(given: Any, expected: Array) -> bool:
    """Return whether values are those that are expected; a column (n, 1) may stand for (n,)."""
    if not isinstance(given, np.ndarray) or given.size != expected.size:
        return False
    values = given.reshape(expected.shape)
    if expected.dtype.kind in "fc" and values.dtype.kind in "fiub":
        return bool(np.allclose(values, expected, equal_nan=True, **SAME))
    if (expected.dtype.kind in "OU") != (values.dtype.kind in "OU"):
        return False
    return bool((values == expected).all())


def inserted(builder: Builder, name: str, model: Any, inputs: Sequence[Tensor], outputs: Sequence[str]) -> list[Tensor]:
    """Put a model into the file.

    Args:
        builder: of the file.
        name: what the names inside begin with.
        model: of the file's versions of operators.
        inputs: what takes the place of its inputs, in order.
        outputs: names of its outputs that are asked for.
    Returns: their values.
    """
    onnx = onnx_module()
    prefix = builder.free_name(f"{name}/model") + "/"
    graph = onnx.compose.add_prefix(model, prefix).graph
    builder.domains |= {node.domain for node in graph.node}
    for outer, inner in zip(inputs, graph.input, strict=True):
        builder.rename(outer, inner.name)
    builder.nodes += graph.node
    builder.constants += graph.initializer
    types = {each.name: each.type.tensor_type.elem_type for each in graph.output}
    wanted = [prefix + each for each in outputs]
    return [Tensor(each, _numpy_dtype(onnx, types[each])) for each in wanted]


def _numpy_dtype(onnx: Any, element_type: int) -> np.dtype[Any]:
    return held_dtype(np.dtype(onnx.helper.tensor_dtype_to_np_dtype(element_type)))
