"""Node and Input: the graph. A node is one output of a layer that was applied to other nodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mlpipeline.dataflow.spec import Array, Shape, Spec, shape_text
from mlpipeline.dataflow.tables import as_array
from mlpipeline.errors import DataError, PipelineError

if TYPE_CHECKING:
    from mlpipeline.dataflow.layer import Layer


class Node:
    """A place in the graph where an array will be. Calling a layer or an input makes one.

    A node describes and is never changed by a pipeline, so that pipelines may share it. Its
    `observations` are the masks that axis 0 went through: () are the observations of the inputs.
    """

    def __init__(self, name: str | None, application: Application | None, spec: Spec, position: int = 0) -> None:
        self.name = name
        self.application = application
        self.spec = spec
        self.position = position
        self.observations: tuple[Node, ...] = application.observations if application else ()
        self._value: Array | None = None

    @property
    def value(self) -> Array:
        """The array, where the graph was built eagerly: an input was called with data.

        Raises: PipelineError: there is no array.
        """
        if self._value is None:
            raise PipelineError(f"{self} has no value: call the inputs that it comes from with data first")
        return self._value

    @property
    def has_value(self) -> bool:
        """Whether the graph was built eagerly up to here."""
        return self._value is not None

    def __str__(self) -> str:
        if self.name is not None:
            return f"node {self.name!r}"
        layer = type(self.application.layer).__name__ if self.application else "Input"
        return f"the output of {layer}"

    def __repr__(self) -> str:
        shown = Spec.of(self._value) if self._value is not None else self.spec
        return f"<{type(self).__name__} {self.name or '(no name)'}: {shown}>"


class Input(Node):
    """Where data enters a pipeline.

    Called with an array it makes the graph eager: each node that is built from it is computed at
    once, for looking at.

    Args:
        name: the key of the data.
        shape: of one observation; () is one value each, None stands for a length that is not known.
        dtype: checked where it is given.
    """

    def __init__(self, name: str, shape: Sequence[int | None] | int = (), dtype: Any = None) -> None:
        if not isinstance(name, str) or not name:
            raise PipelineError(f"Input: expected a name as text, but got {name!r}")
        super().__init__(name, None, Spec(_checked_shape(name, shape), None if dtype is None else np.dtype(dtype)))

    def __call__(self, values: Any) -> Input:
        """Give the input its data, so that what is built from it is computed at once.

        Args:
            values: array[n, *shape].
        Returns: the input itself.
        Raises: DataError: the array is not what the input describes.
        """
        self._value = self.checked(values)
        return self

    def checked(self, values: Any) -> Array:
        """Return data as an array, after a look at its shape and dtype.

        Raises: DataError: it is not what the input describes.
        """
        try:
            array = as_array(values)
        except (ValueError, DataError) as error:
            raise DataError(f"input {self.name!r}: expected an array, but got {_described(values)}: {error}") from None
        if array.ndim == 0 or not self.spec.admits(array.shape[1:]):
            hint = ""
            if array.ndim and array.shape[1:] == (1,) and self.spec.shape == ():
                hint = "; pass array[:, 0]"
            elif array.ndim == 1 and self.spec.shape == (1,):
                hint = "; pass array[:, None]"
            raise DataError(
                f"input {self.name!r}: expected an array of shape {shape_text(self.spec.shape)}, "
                f"but got {array.shape}{hint}"
            )
        expected = self.spec.dtype
        if expected is not None and array.dtype != expected and not np.can_cast(array.dtype, expected, "same_kind"):
            raise DataError(f"input {self.name!r}: expected values of {expected}, but got {array.dtype}")
        return array


class Application:
    """One call of a layer: the layer, the nodes it was called on, and the nodes that came out."""

    def __init__(self, layer: Layer, inputs: Sequence[Node], names: Sequence[str | None], specs: Sequence[Spec]):
        self.layer = layer
        self.inputs = tuple(inputs)
        count = layer.label_count(len(self.inputs))
        self.features = self.inputs[: len(self.inputs) - count]
        self.labels = self.inputs[len(self.inputs) - count :]  # there for fitting only
        self.observations = self.inputs[0].observations + (self.inputs[-1:] if layer.changes_observations else ())
        self.outputs = tuple(
            Node(name, self, spec, position) for position, (name, spec) in enumerate(zip(names, specs, strict=True))
        )

    def __str__(self) -> str:
        names = [output.name for output in self.outputs if output.name is not None]
        kind = type(self.layer).__name__
        return f"{kind} {', '.join(map(repr, names))}" if names else f"{kind} on {', '.join(map(str, self.inputs))}"


def apply_layer(layer: Layer, nodes: Node | Sequence[Node], name: str | Sequence[str] | None) -> Any:
    """Call a layer on nodes; return the node that comes out, or a list of them.

    Raises: PipelineError: these are not nodes, the names are not names, or the layer does not fit.
    """
    kind = type(layer).__name__
    inputs = [nodes] if isinstance(nodes, Node) else nodes
    if not isinstance(inputs, list | tuple) or not inputs or not all(isinstance(node, Node) for node in inputs):
        raise PipelineError(
            f"{kind}: expected a node or a list of nodes, but got {_described(nodes)}; "
            "for an array use .transform(array), or make an Input and call it with the array"
        )
    names = _checked_names(kind, layer.n_outputs, name)
    _check_combination(kind, inputs)
    count = layer.label_count(len(inputs))
    features = inputs[: len(inputs) - count]
    try:
        specs = layer.infer(*(node.spec for node in features))
    except PipelineError as error:
        raise PipelineError(f"{kind} on {', '.join(map(str, features))}: {error}") from None
    except TypeError as error:
        raise PipelineError(f"{kind} cannot be called on {len(features)} nodes: {error}") from None
    application = Application(layer, inputs, names, [specs] if isinstance(specs, Spec) else specs)
    if all(node.has_value for node in inputs) and not layer.is_observer:
        compute_eagerly(application)
    return application.outputs[0] if layer.n_outputs == 1 else list(application.outputs)


def compute_eagerly(application: Application) -> None:
    """Fit a copy of the layer on the values of its nodes, and keep what it gives."""
    from mlpipeline.dataflow.running import applied, fitted  # they stand on nodes

    values = [node.value for node in application.inputs]
    layer = fitted(application, values, epochs=1)
    results = applied(application, layer, values[: len(application.features)])
    for node, value in zip(application.outputs, results, strict=True):
        node._value = value


def _checked_shape(name: str, shape: Sequence[int | None] | int) -> Shape:
    lengths = (shape,) if isinstance(shape, int) else shape
    if not isinstance(lengths, list | tuple) or not all(
        length is None or (isinstance(length, int | np.integer) and length > 0) for length in lengths
    ):
        raise PipelineError(f"input {name!r}: expected a shape like (48, 48, 3), of one observation, but got {shape!r}")
    return tuple(None if length is None else int(length) for length in lengths)


def _checked_names(kind: str, n_outputs: int, name: str | Sequence[str] | None) -> Sequence[str | None]:
    if name is None:
        return [None] * n_outputs
    names = [name] if isinstance(name, str) else list(name)
    if not all(isinstance(each, str) and each for each in names):
        raise PipelineError(f"{kind}: expected the name of the node as text, but got {name!r}")
    if len(names) != n_outputs:
        raise PipelineError(f"{kind} has {n_outputs} outputs: expected as many names, but got {name!r}")
    return names


def differing_observations(nodes: Sequence[Node]) -> tuple[Node, Node] | None:
    """Return two nodes over other observations, which do not go together; None where all do."""
    one, *others = {node.observations: node for node in nodes}.values()
    return (one, others[0]) if others else None


def _check_combination(kind: str, inputs: Sequence[Node]) -> None:
    for node in inputs:
        if node.application is not None and node.application.layer.is_observer:
            raise PipelineError(
                f"{kind}: {node} is a metric or an explorer, whose value is no array of observations; "
                "call the layer on the nodes that it looks at"
            )
    differing = differing_observations(inputs)
    if differing:
        one, other = differing
        raise PipelineError(
            f"{kind}: expected nodes over the same observations, but {one} and {other} differ: "
            "a Filter lies above one of them. Filter both with the same mask, or combine them first"
        )


def _described(value: object) -> str:
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of {', '.join(sorted({type(each).__name__ for each in value})) or 'nothing'}"
    return f"an array of shape {value.shape}" if isinstance(value, np.ndarray) else type(value).__name__
