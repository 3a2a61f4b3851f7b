"""Graph: all that leads to the nodes that a pipeline is asked for, checked and put in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter

from mlpipeline.dataflow.layer import Layer, StatefulLayer
from mlpipeline.dataflow.node import Application, Input, Node, apply_layer
from mlpipeline.dataflow.spec import Spec
from mlpipeline.errors import PipelineError, did_you_mean


@dataclass(frozen=True)
class Graph:
    """The nodes of a pipeline.

    Args:
        inputs: where data enters.
        outputs: what `transform` gives.
        metrics: what `evaluate` gives.
        explorers: what `explore` gives.
        applications: every layer that is applied, after those that it stands on.
        labels: a name for every node, its own or one made of its layer's.
    """

    inputs: tuple[Input, ...]
    outputs: tuple[Node, ...]
    metrics: tuple[Node, ...]
    explorers: tuple[Node, ...]
    applications: tuple[Application, ...]
    labels: Mapping[Node, str] = field(repr=False)

    @property
    def nodes(self) -> list[Node]:
        """Every node, after those that it is made from; inputs first."""
        return [*self.inputs, *(node for application in self.applications for node in application.outputs)]

    def label(self, application: Application) -> str:
        """Return the name under which a pipeline knows an applied layer: that of its first output."""
        return self.labels[application.outputs[0]]

    def find(self, name: str) -> Application:
        """Return the applied layer of a node.

        Raises: PipelineError: there is no such node, or it is an input.
        """
        for node, label in self.labels.items():
            if label == name and node.application is not None:
                return node.application
        known = [label for node, label in self.labels.items() if node.application is not None]
        raise PipelineError(
            f"there is no layer {name!r}{did_you_mean(name, known)}; expected one of {', '.join(known) or 'none'}"
        )


@dataclass(frozen=True)
class Fitted:
    """What a fit has learned; replaced as a whole, never changed.

    Args:
        layers: for each applied layer that learns, the copy that has learned.
        specs: what the fit has seen at each node.
        columns: of the frames that were given: by input, and under "" of one that was dealt out to the inputs.
    """

    layers: Mapping[Application, StatefulLayer]
    specs: Mapping[Node, Spec]
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def make_graph(
    inputs: Node | Sequence[Node],
    outputs: Node | Sequence[Node],
    metrics: Node | Sequence[Node],
    explorers: Node | Sequence[Node],
) -> Graph:
    """Return the graph from the inputs to what is asked for.

    Raises: PipelineError: an input is missing, unused or doubled, an output has no name, two nodes
        share one, or the nodes go in a circle; says which.
    """
    into = _nodes("inputs", inputs)
    out = _nodes("outputs", outputs)
    observers = {"metrics": _nodes("metrics", metrics), "explorers": _nodes("explorers", explorers)}
    if not out:
        raise PipelineError("outputs: expected at least one node")
    for node in into:
        if not isinstance(node, Input):
            raise PipelineError(f"inputs: expected an Input, but got {node}, which a layer gives")
    for role, nodes in {"outputs": out, **observers}.items():
        for node in nodes:
            _check_role(role, node)
    applications = tuple(ordered([*out, *observers["metrics"], *observers["explorers"]]))
    _check_inputs(into, applications, out)
    nodes = [*into, *(node for application in applications for node in application.outputs)]
    return Graph(
        tuple(node for node in into if isinstance(node, Input)),
        tuple(out),
        tuple(observers["metrics"]),
        tuple(observers["explorers"]),
        applications,
        _labels(nodes),
    )


def ordered(nodes: Iterable[Node], *, with_labels: bool = True) -> list[Application]:
    """Return the applied layers that lead to nodes, each after those that it stands on.

    Args:
        nodes: what is asked for.
        with_labels: follow the inputs that are there for fitting only, too.
    Raises: PipelineError: they go in a circle.
    """
    sorter: TopologicalSorter[Application] = TopologicalSorter()
    seen: set[Application] = set()
    waiting = [node.application for node in nodes if node.application is not None][::-1]
    while waiting:
        application = waiting.pop()
        if application in seen:
            continue
        seen.add(application)
        used = application.inputs if with_labels else application.features
        before = [node.application for node in used if node.application is not None]
        sorter.add(application, *before)
        waiting += before[::-1]
    try:
        return list(sorter.static_order())
    except CycleError as error:
        circle = " -> ".join(str(application) for application in error.args[1])
        raise PipelineError(f"the nodes go in a circle: {circle}") from None


def inputs_of(nodes: Iterable[Node], *, with_labels: bool) -> set[Node]:
    """Return the inputs that are needed to compute nodes; with the labels also those that are needed to fit."""
    wanted = list(nodes)
    found = {node for node in wanted if node.application is None}
    for application in ordered(wanted, with_labels=with_labels):
        used = application.inputs if with_labels else application.features
        found |= {node for node in used if node.application is None}
    return found


def rebuilt(graph: Graph, layer_of: Callable[[Application], Layer]) -> dict[Node, Node]:
    """Return for each node of a graph its counterpart in the same graph with other layers; inputs stay."""
    counterpart: dict[Node, Node] = {node: node for node in graph.inputs}
    for application in graph.applications:
        layer = layer_of(application)
        names = [node.name for node in application.outputs]
        made = apply_layer(layer, [counterpart[node] for node in application.inputs], None)
        for old, new in zip(application.outputs, [made] if isinstance(made, Node) else made, strict=True):
            new.name = names[old.position]
            counterpart[old] = new
    return counterpart


def _nodes(role: str, nodes: Node | Sequence[Node]) -> list[Node]:
    found = [nodes] if isinstance(nodes, Node) else nodes
    if isinstance(found, Mapping):  # what from_dataframe and its like return
        found = list(found.values())
    if not isinstance(found, list | tuple) or not all(isinstance(node, Node) for node in found):
        raise PipelineError(f"{role}: expected a node or a list of nodes, but got {nodes!r:.80}")
    if len(set(found)) != len(found):
        doubled = next(node for node, count in Counter(found).items() if count > 1)
        raise PipelineError(f"{role}: {doubled} is there twice")
    return list(found)


def _check_role(role: str, node: Node) -> None:
    observes = node.application is not None and node.application.layer.is_observer
    if node.name is None:
        raise PipelineError(
            f"{role}: {node} has no name; give it one as the second argument when the layer is called: "
            "layer(nodes, 'name')"
        )
    if observes != (role != "outputs"):
        fit = "metrics=[...] or explorers=[...]" if observes else "outputs"
        raise PipelineError(f"{role}: {node} does not belong there; pass it as {fit}")
    if observes and node.application is not None and getattr(node.application.layer, "role", role) != role:
        raise PipelineError(f"{role}: {node} belongs to the other of metrics and explorers")


def _check_inputs(into: Sequence[Node], applications: Sequence[Application], outputs: Sequence[Node]) -> None:
    reached = {node for application in applications for node in application.inputs if node.application is None}
    reached |= {node for node in outputs if node.application is None}
    given = ", ".join(repr(node.name) for node in into) or "none"
    for node in reached - set(into):
        raise PipelineError(f"the pipeline needs the input {node.name!r}, which is not among its inputs ({given})")
    for node in into:
        if node not in reached:
            raise PipelineError(f"input {node.name!r} is not used: nothing that the pipeline gives comes from it")


def _labels(nodes: Sequence[Node]) -> dict[Node, str]:
    taken: dict[str, Node] = {}
    for node in nodes:
        if node.name is not None:
            if node.name in taken:
                raise PipelineError(
                    f"two nodes have the name {node.name!r}: {_told(taken[node.name])} and {_told(node)}; rename one"
                )
            taken[node.name] = node
    labels = {node: name for name, node in taken.items()}
    counts: Counter[str] = Counter()
    for node in nodes:
        if node not in labels and node.application is not None:
            kind = type(node.application.layer).__name__
            counts[kind] += 1
            while f"{kind}_{counts[kind]}" in taken:
                counts[kind] += 1
            labels[node] = f"{kind}_{counts[kind]}"
    return {node: labels[node] for node in nodes}


def _told(node: Node) -> str:
    return "an input" if node.application is None else f"one of {type(node.application.layer).__name__}"
