"""Torch modules and Keras models on torch as ONNX operators, traced by torch.

`torch.onnx.export(dynamo=False)` needs no package beyond torch. What depends on values or on the
number of observations is lost in a trace, so each is compared with its model on other observations.
"""

from __future__ import annotations

import contextlib
import copy
import io
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mlpipeline.dataflow.layers.keras_layer import Keras, copied_model
from mlpipeline.dataflow.layers.torch_layer import Torch
from mlpipeline.dataflow.onnx_export.builder import OPSETS, NotExportable, Tensor, onnx_module
from mlpipeline.dataflow.onnx_export.call import INT, Call
from mlpipeline.dataflow.onnx_export.subgraphs import agree, inserted, outputs_of, raise_opsets
from mlpipeline.dataflow.spec import Array
from mlpipeline.errors import MlpError

NARROW = np.dtype(np.float32)
TRACED_ROWS = 2
CHECKED_ROWS = (1, 3)
Compute = Callable[[Sequence[Any]], Any]  # from torch tensors to one, or a list of them


def _torch(call: Call) -> list[Tensor]:
    from mlpipeline.dataflow.layers.torch_training import looks_up

    module = copy.deepcopy(call.layer.metadata["module"]).cpu().eval()
    takes_codes = looks_up(module)
    inputs = [call.cast(x, INT if takes_codes and x.dtype.kind in "iu" else NARROW) for x in call.inputs]
    outputs = _traced(call, module, tuple, inputs)
    return [_finished(call, each) for each in outputs]


def _finished(call: Call, output: Tensor) -> Tensor:
    """Return an output of a module by the method that was asked for."""
    tensor = call.cast(output, NARROW) if output.dtype == np.float16 else output
    if call.layer.method == "softmax":
        return call.op("Softmax", tensor, axis=1)
    if call.layer.method == "sigmoid":
        return call.op("Sigmoid", tensor)
    if call.layer.method == "classes":
        return call.op("ArgMax", tensor, dtype=INT, axis=1, keepdims=0)
    return tensor


def _keras(call: Call) -> list[Tensor]:
    from torch import nn

    model = call.layer.metadata["model"]
    if not isinstance(model, nn.Module):
        raise NotExportable("ONNX is written of Keras models on torch only: KERAS_BACKEND=torch")
    wanted = [np.dtype(each.dtype) for each in getattr(model, "inputs", None) or ()]
    if len(wanted) != len(call.inputs):
        raise NotExportable("the Keras model does not tell its inputs")
    inputs = [call.cast(x, dtype) for x, dtype in zip(call.inputs, wanted, strict=True)]
    return _traced(call, copied_model(model).eval(), lambda each: (each[0] if len(each) == 1 else list(each),), inputs)


def _traced(call: Call, module: Any, arguments: Compute, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Trace a module and put it into the file.

    Args:
        call: of the layer.
        module: in eval mode.
        arguments: what it is called with, from a list of torch tensors.
        inputs: in the dtypes that it takes.
    Raises: NotExportable: torch does not write it, or what it writes gives other results.
    """
    names = [f"x{i}" for i in range(len(inputs))], [f"y{i}" for i in range(len(call.results))]
    try:
        model = raise_opsets(_written(module, arguments(_tensors(call, inputs, TRACED_ROWS)), *names))
        for n in CHECKED_ROWS:
            tensors = _tensors(call, inputs, n)
            given = outputs_of(model, {name: each.numpy() for name, each in zip(names[0], tensors, strict=True)})
            expected = _computed(module, arguments(tensors))
            if not all(agree(given[name], each) for name, each in zip(names[1], expected, strict=True)):
                raise NotExportable("what torch writes gives other results")
    except MlpError:
        raise
    except Exception as error:  # torch and onnxruntime raise errors of any class
        told = str(error).strip().splitlines() or [""]
        raise NotExportable(f"torch does not write it: {type(error).__name__}: {told[0][:200]}") from error
    return inserted(call.builder, call.label, model, inputs, names[1])


def _written(module: Any, arguments: Any, inputs: Sequence[str], outputs: Sequence[str]) -> Any:
    """Return a module as an ONNX model of any number of observations."""
    import torch

    file = io.BytesIO()
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
        warnings.simplefilter("ignore")  # of tracing, and that there is a newer exporter
        torch.onnx.export(
            module,
            arguments,
            file,  # type: ignore[arg-type]
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes={name: {0: "n"} for name in (*inputs, *outputs)},
            opset_version=OPSETS[""],
            dynamo=False,
        )
    return onnx_module().load_from_string(file.getvalue())


def _computed(module: Any, arguments: Any) -> list[Array]:
    import torch

    with torch.no_grad():
        outputs = module(*arguments)
    return [each.cpu().numpy() for each in (outputs if isinstance(outputs, list | tuple) else [outputs])]


def _tensors(call: Call, inputs: Sequence[Tensor], n: int) -> list[Any]:
    """Return n observations as torch tensors: numbers from 0 to 1, or codes 0 and 1."""
    import torch

    rng = np.random.default_rng(n)
    arrays = [
        (rng.random((n, *shape)) * (2 if tensor.dtype.kind in "iu" else 1)).astype(tensor.dtype)
        for tensor, shape in zip(inputs, call.shapes, strict=True)
    ]
    return [torch.from_numpy(each) for each in arrays]


CONVERTERS: dict[type, Callable[[Call], list[Tensor]]] = {Keras: _keras, Torch: _torch}
