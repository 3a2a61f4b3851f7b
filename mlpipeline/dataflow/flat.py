"""Flat: a pipeline as plain lists, for pickling between processes: however deep the graph is, the lists are not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlpipeline.dataflow.graph import Fitted
from mlpipeline.dataflow.layer import Layer, StatefulLayer
from mlpipeline.dataflow.node import Application, Input, Node
from mlpipeline.dataflow.spec import Spec
from mlpipeline.errors import PipelineError

if TYPE_CHECKING:
    from mlpipeline.dataflow.pipeline import Pipeline

ROLES = ("inputs", "outputs", "metrics", "explorers")


@dataclass
class FlatPipeline:
    """A pipeline, its nodes by number: the inputs first, then the outputs of each applied layer.

    Args:
        kind: the class of the pipeline.
        inputs: name and spec of each input.
        applications: layer, numbers of the nodes it was called on, names and specs of its outputs.
        roles: the numbers of the inputs, outputs, metrics and explorers.
        made_with: the other arguments of the pipeline.
        container: what `set_output` asked for.
        fitted: fitted layers by number of the application, specs by number of the node, and columns.
    """

    kind: type[Pipeline]
    inputs: list[tuple[str, Spec]]
    applications: list[tuple[Layer, list[int], list[str | None], list[Spec]]]
    roles: dict[str, list[int]]
    made_with: dict[str, Any]
    container: str | None
    fitted: tuple[dict[int, StatefulLayer], dict[int, Spec], Mapping[str, tuple[str, ...]]] | None


def flattened(pipeline: Pipeline) -> FlatPipeline:
    """Return a pipeline as plain lists.

    Raises: PipelineError: its storage is an open connection, which cannot leave the process.
    """
    made_with = pipeline.get_params(deep=False)
    nodes = {role: made_with.pop(role) for role in ROLES}
    if not isinstance(made_with["storage"], str | Path | None):
        raise PipelineError(
            "a pipeline whose storage is an open connection cannot be sent to another process; "
            "give the storage as a folder, a file or a URL"
        )
    number = {node: position for position, node in enumerate(pipeline.graph.nodes)}
    place = {application: position for position, application in enumerate(pipeline.graph.applications)}
    known = pipeline.fitted
    fitted = None
    if known is not None:
        layers = {place[application]: layer for application, layer in known.layers.items()}
        fitted = layers, {number[node]: spec for node, spec in known.specs.items()}, known.columns
    return FlatPipeline(
        type(pipeline),
        [(str(node.name), node.spec) for node in pipeline.graph.inputs],
        [_flat_application(application, number) for application in pipeline.graph.applications],
        {role: [number[node] for node in each] for role, each in nodes.items()},
        made_with,
        pipeline._container,
        fitted,
    )


def restored(flat: FlatPipeline) -> Pipeline:
    """Return the pipeline that was flattened."""
    nodes: list[Node] = [Input(name, spec.shape or (), spec.dtype) for name, spec in flat.inputs]
    applications = []
    for layer, inputs, names, specs in flat.applications:
        applications.append(Application(layer, [nodes[each] for each in inputs], names, specs))
        nodes += applications[-1].outputs
    roles: dict[str, Any] = {role: [nodes[each] for each in numbers] for role, numbers in flat.roles.items()}
    pipeline = flat.kind(**roles, **flat.made_with)
    pipeline.set_output(transform=flat.container)
    if flat.fitted is not None:
        layers, seen, columns = flat.fitted
        by_application = {applications[place]: layer for place, layer in layers.items()}
        pipeline.fitted = Fitted(by_application, {nodes[number]: spec for number, spec in seen.items()}, columns)
    return pipeline


def _flat_application(
    application: Application, number: Mapping[Node, int]
) -> tuple[Layer, list[int], list[str | None], list[Spec]]:
    return (
        application.layer,
        [number[node] for node in application.inputs],
        [node.name for node in application.outputs],
        [node.spec for node in application.outputs],
    )
