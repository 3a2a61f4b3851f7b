"""Layer tools: one layer on many nodes, many layers on one node, functions of one observation, and chance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mlpipeline.dataflow.layer import Lambda, Layer, StatelessLayer
from mlpipeline.dataflow.layers.checking import agree
from mlpipeline.dataflow.node import Node
from mlpipeline.dataflow.spec import Array, Spec
from mlpipeline.errors import DataError, PipelineError


def map(layer: Layer, nodes: Sequence[Node], names: Sequence[str] | None = None) -> list[Any]:  # noqa: A001
    """Call a layer on each of some nodes; what it learns, it learns for each node apart.

    Args:
        layer: with one input.
        nodes: what it is called on.
        names: of the results, one for each node.
    Returns: a node for each node.
    Raises: PipelineError: there are more or fewer names than nodes.
    """
    if isinstance(nodes, Node):
        raise PipelineError("map: expected a list of nodes, but got one node; call the layer on it")
    if names is None:
        return [layer(node) for node in nodes]
    if isinstance(names, str) or len(names) != len(nodes):
        raise PipelineError(f"map: expected a name for each of {len(nodes)} nodes, but got {names!r}")
    return [layer(node, name) for node, name in zip(nodes, names, strict=True)]


def apply(layers: Sequence[Layer], node: Any, name: str | Sequence[str] | None = None) -> Any:
    """Call layers one after the other, each on what the one before gave.

    Args:
        layers: in order.
        node: what the first is called on; a list of nodes where it takes several.
        name: of the result of the last.
    Returns: what the last layer gives.
    Raises: PipelineError: there is no layer.
    """
    if isinstance(layers, Layer) or not layers:
        raise PipelineError(f"apply: expected a list of layers, but got {layers!r}")
    for layer in layers[:-1]:
        node = layer(node)
    return layers[-1](node, name)


def vectorize(function: Callable[..., Any], **kwargs: Any) -> Vectorized:
    """Return a layer that calls a function on one observation after the other.

    Args:
        function: is given one observation of each node, and the keyword arguments; returns a number, a text
            or an array, of the same shape for every observation.
        kwargs: keyword arguments of the function.
    """
    return Vectorized(function, **kwargs)


def maybe(layer: StatelessLayer | Callable[[Array], Array], p: float = 0.5, seed: int = 0) -> Maybe:
    """Return a layer that applies another to some observations, drawn by chance, as to augment data.

    Args:
        layer: one without state, or a function of an array; keeps the shape of observations.
        p: how probable it is that an observation is drawn.
        seed: the draw depends on the seed and on where an observation stands, and on nothing else.
    """
    return Maybe(layer, p, seed)


class Vectorized(Lambda):
    """A function of one observation as a layer. Slow: Python calls it for each observation."""

    checks_itself = True

    def transform(self, *arrays: Array) -> Array:
        results = [self.function(*each, **self.kwargs) for each in zip(*arrays, strict=True)]
        try:
            return np.asarray(results)
        except ValueError:
            shapes = sorted({str(np.shape(result)) for result in results})
            raise DataError(f"expected results of one shape, but the function gave {' and '.join(shapes)}") from None


class Maybe(StatelessLayer):
    """A layer applied to each observation with a probability; the others stay as they are.

    Which are drawn depends on the seed and on their position: the same data gives the same result, and
    the batches of a stream what the whole gives. It is done whenever the pipeline runs: leave it out of what is
    used for predicting, or set p to 0 there.

    Args:
        layer: one without state, or a function of an array; keeps the shape of observations.
        p: from 0 to 1.
        seed: of the draw.
    """

    checks_itself = True

    def __init__(self, layer: StatelessLayer | Callable[[Array], Array], p: float = 0.5, seed: int = 0) -> None:
        if not isinstance(layer, StatelessLayer) and (isinstance(layer, Layer | type) or not callable(layer)):
            raise PipelineError(
                f"maybe: expected a layer without state or a function of an array, but got {layer!r}; "
                "put a layer that learns before it"
            )
        if not 0 <= p <= 1:
            raise PipelineError(f"maybe: expected p from 0 to 1, but got {p!r}")
        self.layer = layer
        self.p = p
        self.seed = seed

    def transform(self, x: Array) -> Array:
        return self._applied(x, np.random.default_rng(self.seed).random(len(x)) < self.p)

    def streamed(self) -> Callable[..., Any]:
        generator = np.random.default_rng(self.seed)
        return lambda x: self._applied(x, generator.random(len(x)) < self.p)

    def infer(self, x: Spec) -> Spec:
        result = self.layer.infer(x) if isinstance(self.layer, StatelessLayer) else Spec()
        if not isinstance(result, Spec) or not agree(result.shape, x.shape):
            raise PipelineError(f"maybe: expected a layer that keeps the shape of {x}, but it gives {result}")
        return x.with_dtype(None)

    def _applied(self, x: Array, drawn: Array) -> Array:
        if not len(x):
            return x
        function = self.layer.compute if isinstance(self.layer, StatelessLayer) else self.layer
        chosen = drawn if drawn.any() else slice(0, 1)  # one is tried, for the dtype
        changed = np.asarray(function(x[chosen]))
        if changed.shape != x[chosen].shape:
            raise DataError(f"maybe: expected a result of shape {x[chosen].shape}, but got {changed.shape}")
        result = x.astype(np.result_type(x, changed))
        result[drawn] = changed  # nothing, where none was drawn
        return result
