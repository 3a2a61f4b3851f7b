"""Boxes and links: a graph as it is drawn, one box for an input or an applied layer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from mlpipeline.dataflow.drawing.captions import layer_caption, spec_caption, spec_of, state_caption
from mlpipeline.dataflow.graph import Fitted, Graph
from mlpipeline.dataflow.layer import StatefulLayer
from mlpipeline.dataflow.node import Application, Input, Node


@dataclass(frozen=True)
class Role:
    """What a box is in its pipeline, and how that looks.

    Light fills with dark strokes read on white and on black; the hues are those of Okabe and Ito,
    which people with any colour vision tell apart.
    """

    caption: str
    fill: str
    stroke: str


INK = "#1a1a1a"
LINE = "#767676"  # as far from white as from black
ROLES = {
    "metric": Role("metric", "#f6d9ea", "#a8467f"),
    "explorer": Role("explorer", "#faf3b0", "#857a00"),
    "output": Role("output", "#ffdfa6", "#b26a00"),
    "state": Role("learns", "#c4ebdd", "#007a59"),
    "input": Role("input", "#d3e9fb", "#0072b2"),
    "layer": Role("layer", "#efefef", "#6a6a6a"),
}


@dataclass(frozen=True)
class Box:
    """What is said of an input or an applied layer.

    Args:
        roles: the first gives the colour; a second one is there for an output that learns.
        name: of its node, or of its nodes.
        kind: the layer with its parameters.
        details: shapes, and what was learned.
    """

    roles: tuple[str, ...]
    name: str
    kind: str
    details: tuple[str, ...]


@dataclass(frozen=True)
class Link:
    """An arrow between two boxes, by their numbers.

    Args:
        port: which output of the source it starts from.
        for_fitting: the target needs it to be fitted only.
    """

    source: int
    target: int
    port: int
    for_fitting: bool


def make_boxes(graph: Graph, fitted: Fitted | None) -> list[Box]:
    """Return the boxes of a graph, each after those that it stands on; inputs first."""
    inputs = [_input_box(graph, node, fitted) for node in graph.inputs]
    return inputs + [_layer_box(graph, application, fitted) for application in graph.applications]


def make_links(graph: Graph) -> list[Link]:
    """Return the arrows between the boxes of a graph."""
    origins: list[Node | Application] = [*graph.inputs, *graph.applications]
    number = {origin: i for i, origin in enumerate(origins)}
    links = []
    for application in graph.applications:
        features = len(application.features)
        for i, node in enumerate(application.inputs):
            source = number[node.application or node]
            links.append(Link(source, number[application], node.position, i >= features))
    return links


def _input_box(graph: Graph, node: Input, fitted: Fitted | None) -> Box:
    roles = ("output", "input") if node in graph.outputs else ("input",)
    return Box(roles, graph.labels[node], "Input", (spec_caption(spec_of(node, fitted)),))


def _layer_box(graph: Graph, application: Application, fitted: Fitted | None) -> Box:
    names = [graph.labels[node] for node in application.outputs]
    details = []
    if not application.layer.is_observer:
        shapes = [spec_caption(spec_of(node, fitted)) for node in application.outputs]
        several = len(shapes) > 1
        details = [f"{name}: {shape}" for name, shape in zip(names, shapes, strict=True)] if several else shapes
    state = state_caption(application, fitted)
    roles = tuple(_roles(graph, application))
    return Box(roles, ", ".join(names), layer_caption(application.layer), (*details, *filter(None, [state])))


def _roles(graph: Graph, application: Application) -> Iterator[str]:
    if application.layer.is_observer:
        yield "metric" if application.outputs[0] in graph.metrics else "explorer"
        return
    is_output = any(node in graph.outputs for node in application.outputs)
    learns = isinstance(application.layer, StatefulLayer)
    if is_output:
        yield "output"
    if learns:
        yield "state"
    if not is_output and not learns:
        yield "layer"
