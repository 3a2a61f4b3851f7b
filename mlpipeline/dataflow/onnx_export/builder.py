"""Builder: the operators of an ONNX file, gathered one by one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlpipeline.dataflow.node import Node
from mlpipeline.dataflow.spec import Array, Spec
from mlpipeline.errors import PipelineError

OPSETS = {"": 18, "ai.onnx.ml": 3}
IR_VERSION = 8  # the oldest that has these operators
TEXT = np.dtype(np.str_)


class NotExportable(PipelineError):  # noqa: N818
    """ONNX cannot say this; the message is the reason, told together with the layer."""


@dataclass(frozen=True)
class Tensor:
    """A value in the file.

    Args:
        name: by which operators refer to it.
        dtype: as NumPy's; texts are `TEXT`, however long.
    """

    name: str
    dtype: np.dtype[Any]


class Builder:
    """Operators and constants. Each gets a name of its own, which begins with that of its layer.

    Args:
        taken: names that are given already.
    """

    def __init__(self, taken: Iterable[str]) -> None:
        self.onnx = onnx_module()
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.domains: set[str] = {""}
        self._taken = set(taken)
        self._counts: Counter[str] = Counter()

    def op(
        self,
        name: str,
        kind: str,
        inputs: Sequence[Tensor | Array],
        dtype: np.dtype[Any],
        domain: str = "",
        **attributes: Any,
    ) -> Tensor:
        """Add an operator; arrays among its inputs become constants.

        Args:
            name: what its name begins with.
            kind: as ONNX calls it.
            inputs: in order.
            dtype: of its result.
            domain: where the operator is defined.
            attributes: of the operator.
        """
        result = self.free_name(f"{name}/{kind}")
        sources = [each if isinstance(each, Tensor) else self.constant(name, each) for each in inputs]
        node = self.onnx.helper.make_node(kind, [each.name for each in sources], [result], result, domain=domain)
        node.attribute.extend(self.onnx.helper.make_attribute(key, value) for key, value in attributes.items())
        self.nodes.append(node)
        self.domains.add(domain)
        return Tensor(result, dtype)

    def cast(self, name: str, tensor: Tensor, dtype: np.dtype[Any]) -> Tensor:
        """Return a value in another dtype; the value itself where it has that already.

        Raises: NotExportable: it is a text and should be a number, or the other way round.
        """
        held = held_dtype(dtype)
        if tensor.dtype == held:
            return tensor
        if TEXT in (tensor.dtype, held):
            raise NotExportable(f"ONNX cannot turn {_kind(tensor.dtype)} into {_kind(held)} as NumPy does")
        return self.op(name, "Cast", [tensor], held, to=self.element_type(held))

    def constant(self, name: str, values: Array) -> Tensor:
        """Add an array as a constant."""
        dtype = held_dtype(values.dtype)
        result = self.free_name(f"{name}/constant")
        plain = np.ascontiguousarray(values).reshape(values.shape)
        proto = self.onnx.numpy_helper.from_array(plain.astype(object if dtype == TEXT else dtype), result)
        self.constants.append(proto)
        return Tensor(result, dtype)

    def rename(self, tensor: Tensor, name: str) -> None:
        """Give a value a name that was kept for it."""
        self.nodes.append(self.onnx.helper.make_node("Identity", [tensor.name], [name], name))

    def free_name(self, beginning: str) -> str:
        """Return a name that nothing has."""
        while True:
            self._counts[beginning] += 1
            name = f"{beginning}_{self._counts[beginning]}"
            if name not in self._taken:
                self._taken.add(name)
                return name

    def model(self, inputs: Sequence[tuple[Node, Spec]], outputs: Sequence[tuple[Node, Spec]]) -> Any:
        """Return the file's content.

        Raises: PipelineError: ONNX's own check refuses it.
        """
        helper = self.onnx.helper
        graph = helper.make_graph(
            self.nodes,
            "pipeline",
            [self._told(node, spec) for node, spec in inputs],
            [self._told(node, spec) for node, spec in outputs],
            self.constants,
        )
        opsets = [helper.make_opsetid(domain, OPSETS.get(domain, 1)) for domain in sorted(self.domains)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="mlpipeline")
        self.onnx.checker.check_model(model, full_check=True)
        return model

    def _told(self, node: Node, spec: Spec) -> Any:
        """Return what an input or output is; its first axis is the observations, of any number."""
        masks = "".join(f" where {mask.name or 'chosen'}" for mask in node.observations)
        shape = [f"n{masks}", *(spec.shape or ())]
        return self.onnx.helper.make_tensor_value_info(str(node.name), self.element_type(spec.dtype), shape)

    def element_type(self, dtype: Any) -> int:
        """Return ONNX's number for a dtype."""
        held = held_dtype(np.dtype(dtype))
        number: int = self.onnx.helper.np_dtype_to_tensor_dtype(np.dtype(object) if held == TEXT else held)
        return number


def held_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype in which a file holds values; objects are taken for texts.

    Raises: NotExportable: ONNX has no such values.
    """
    if dtype.kind in "UO":
        return TEXT
    if dtype.kind not in "biuf" or dtype.itemsize > 8:
        raise NotExportable(f"ONNX has no values of {dtype}")
    return dtype.newbyteorder("=")


def onnx_module() -> Any:
    """Return the library onnx.

    Raises: PipelineError: it is not installed.
    """
    try:
        import onnx
        import onnx.checker
        import onnx.compose
        import onnx.helper
        import onnx.numpy_helper
    except ImportError:
        raise PipelineError('onnx is not installed: pip install "mlpipeline[onnx]"') from None
    return onnx


def _kind(dtype: np.dtype[Any]) -> str:
    return "texts" if dtype == TEXT else f"values of {dtype}"
