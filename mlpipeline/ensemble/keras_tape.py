"""Tape: a computation as the list of torch's own operations that it came to, without the Python that called them."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import TreeSpec, tree_flatten, tree_leaves, tree_map, tree_unflatten


class NotRecordableError(Exception):
    """What is computed depends on values, and not on shapes alone."""


@dataclass(frozen=True)
class Tape:
    """A recorded computation.

    Args:
        graph: of tensors, one operation after the other.
        form: of what the function returned.
    """

    graph: fx.GraphModule
    form: TreeSpec

    def __call__(self, *arguments: Any) -> Any:
        """Compute the same from other arguments of the same form and shapes."""
        return tree_unflatten(self.graph(*tree_leaves(arguments)), self.form)


def record(function: Callable[..., Any], *arguments: Any, keeps_values: bool = False) -> Tape:
    """Call a function and keep the operations that it came to, below `vmap` and gradients.

    Args:
        arguments: tensors, or tuples and lists of them.
        keeps_values: each node of the graph has in `meta["value"]` the tensor that it came to.
    Raises: NotRecordableError: an operation hands a value to Python, which might decide by it.
    """
    recorder = _Recorder(tree_leaves(arguments))
    with recorder:
        result = function(*arguments)
    tensors, form = tree_flatten(result)
    graph = recorder.finish(tensors)
    for node in () if keeps_values else graph.graph.nodes:
        node.meta.clear()  # tensors as many as a step computes
    return Tape(graph, form)


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's class is not typed
    """Notes down each operation; what no operation has given is a constant."""

    def __init__(self, inputs: Sequence[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._graph, self._constants = fx.Graph(), torch.nn.Module()
        self._nodes: dict[int, fx.Node] = {}
        self._alive: list[Tensor] = []  # a tensor that is gone would give its identity to another
        for number, tensor in enumerate(inputs):
            self._keep(tensor, self._graph.placeholder(f"input_{number}"))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        nodes = tree_map(self._node, (args, kwargs or {}))
        node = self._graph.call_function(func, *nodes)
        if isinstance(result, Tensor):
            self._keep(result, node)
            return result
        given = list(result) if isinstance(result, (tuple, list)) else [result]
        if not any(isinstance(each, Tensor) for each in given) or torch.Tag.dynamic_output_shape in func.tags:
            raise NotRecordableError(f"{func} hands values to Python")
        for number, each in enumerate(given):
            if isinstance(each, Tensor):
                self._keep(each, self._graph.call_function(operator.getitem, (node, number)))
        return result

    def finish(self, outputs: Sequence[Tensor]) -> fx.GraphModule:
        """Return the graph, without what leads to no output."""
        self._graph.output([self._node(tensor) for tensor in outputs])
        self._graph.eliminate_dead_code()
        return fx.GraphModule(self._constants, self._graph)

    def _keep(self, tensor: Tensor, node: fx.Node) -> None:
        node.meta["value"] = tensor
        self._nodes[id(tensor)] = node
        self._alive.append(tensor)

    def _node(self, value: Any) -> Any:
        if not isinstance(value, Tensor):
            return value
        if id(value) not in self._nodes:
            name = f"constant_{len(self._nodes)}"
            self._constants.register_buffer(name, value)
            self._keep(value, self._graph.get_attr(name))
        return self._nodes[id(value)]
