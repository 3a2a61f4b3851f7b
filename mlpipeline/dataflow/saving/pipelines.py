"""Pipelines as files: the graph and what was learned as a description, and a pipeline again from it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlpipeline.dataflow.graph import Fitted, Graph
from mlpipeline.dataflow.layer import Layer, StatefulLayer
from mlpipeline.dataflow.node import Application, Input, Node, apply_layer
from mlpipeline.dataflow.saving import archive
from mlpipeline.dataflow.saving.codec import Decoder, Encoder, Json
from mlpipeline.dataflow.saving.layer_kind import decode_layer, encode_layer, encode_metadata
from mlpipeline.dataflow.saving.trust import Trust
from mlpipeline.dataflow.spec import Spec
from mlpipeline.errors import MlpError, PipelineError

if TYPE_CHECKING:
    from mlpipeline.dataflow.pipeline import Pipeline

ROLES = ("outputs", "metrics", "explorers")
LONGEST_NAME = 200  # bytes; file systems allow 255, and the file aside has a longer name
_UNSAFE = re.compile(r'[%/\\:*?"<>|\x00-\x1f\x7f]|^[. ]|[. ]$')
# what a description without meaning makes Python and the libraries raise; RecursionError is a RuntimeError
_DAMAGED = (
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    RuntimeError,
    MemoryError,
)


def save_pipeline(pipeline: Pipeline, directory: str | Path, overwrite: bool = False) -> Path:
    """Save a pipeline with what it has learned as one file, `<name>-<version>.pkl` or `<name>.pkl`.

    The file is a zip archive of JSON and arrays; the ending is the one of a known tutorial, and
    there is no pickle in it. The same pipeline is the same bytes.

    Args:
        pipeline: fitted or not; what it keeps in its storage stays there.
        directory: is made if it is missing.
        overwrite: replace what another state of the pipeline has left there.
    Returns: the path of the file.
    Raises: PipelineError: something in the pipeline cannot be saved, says where; or the file is there
        with another content.
    """
    path = Path(directory) / file_name(pipeline.name, pipeline.version)
    encoder = Encoder()
    document = described(pipeline, encoder)
    try:
        aside = archive.write(path, document, encoder.parts)
        try:
            if path.exists() and not archive.same_bytes(path, aside):
                _check_replaceable(path, pipeline, overwrite)
            os.replace(aside, path)
        finally:
            aside.unlink(missing_ok=True)
    except OSError as error:
        raise PipelineError(f"cannot write {path}: {error.strerror or error}") from error
    return path


def load_pipeline(path: str | Path, storage_db: Any = None, trusted: Iterable[Any] = ()) -> Pipeline:
    """Load a pipeline that `pipeline.save` has written. Runs nothing that the file brings or names.

    Args:
        path: the file.
        storage_db: the storage that the pipeline goes on with, as `Pipeline(storage=...)` takes it.
        trusted: what the file may name beyond mlpipeline's own: import paths as text,
            `package.module.Class` or `package.module`; or the classes and functions themselves.
    Raises: PipelineError: the file is damaged, newer, or names what is not trusted; lists it.
    """
    path = Path(path)
    document, parts = archive.read(path)
    decoder = Decoder(parts, Trust(trusted))
    try:
        decoder.trust.check(_all_names(decoder, document), path)
        return rebuild(document, decoder, storage_db)
    except MlpError as error:
        raise type(error)(f"{path}: {error}") from error.__cause__
    except _DAMAGED as error:
        raise PipelineError(
            f"{path} is damaged, or what it names has changed: {type(error).__name__}: {error}"
        ) from error


def described(pipeline: Pipeline, encoder: Encoder) -> Json:
    """Return what pipeline.json says; the parts are left in the encoder."""
    graph = pipeline.graph
    numbers = {node: number for number, node in enumerate(graph.nodes)}
    applications = [_described_application(graph, each, numbers, encoder) for each in graph.applications]
    return {
        "format": archive.FORMAT,
        "written_by": f"mlpipeline {_version()}",
        "name": pipeline.name,
        "version": encoder.encode(pipeline.version, "version"),
        "set_output": pipeline._container,
        "columns": {name: list(each) for name, each in pipeline.fitted.columns.items()} if pipeline.fitted else {},
        "inputs": [{"name": node.name, **_described_spec(node.spec, encoder)} for node in graph.inputs],
        "applications": applications,
        **{role: [numbers[node] for node in getattr(graph, role)] for role in ROLES},
        "fitted": None if pipeline.fitted is None else _described_fit(graph, pipeline.fitted, numbers, encoder),
        "layers": encoder.layers,
    }


def rebuild(document: Json, decoder: Decoder, storage: Any = None) -> Pipeline:
    """Return the pipeline that is told about.

    Raises: KeyError, TypeError, ValueError, ...: the file is damaged.
    """
    from mlpipeline.dataflow.pipeline import Pipeline  # it stands on this module

    for told in document["layers"]:
        decoder.layers.append(decode_layer(decoder, told))
    nodes: list[Node] = [_input(told, decoder) for told in document["inputs"]]
    inputs = list(nodes)
    applications: list[Application] = []
    for told in document["applications"]:
        applications.append(_applied(told, nodes, decoder))
        nodes += applications[-1].outputs
    roles: dict[str, Any] = {role: [_at(nodes, number) for number in document[role]] for role in ROLES}
    version = decoder.decode(document["version"])
    pipeline = Pipeline(inputs, **roles, name=document["name"], version=version, storage=storage)
    pipeline.set_output(transform=document["set_output"])
    if document["fitted"] is not None:
        fitted = _fitted(document["fitted"], applications, nodes, decoder)
        columns = {str(name): tuple(map(str, each)) for name, each in document["columns"].items()}
        pipeline.fitted = replace(fitted, columns=columns)
    return pipeline


def file_name(name: str, version: Any) -> str:
    """Return the name of a pipeline's file. What a file system does not take is written as %2F.

    Raises: PipelineError: it would be too long.
    """
    full = name if version is None else f"{name}-{version}"
    safe = _UNSAFE.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), full)
    if len(os.fsencode(safe)) > LONGEST_NAME:
        raise PipelineError(f"the name {full!r:.60}... is too long for a file: expected up to {LONGEST_NAME} bytes")
    return f"{safe}.pkl"


def _all_names(decoder: Decoder, document: Json) -> Iterable[str]:
    for told in document["layers"]:
        yield from decoder.names({"is": "name", "name": told["class"]})
        yield from decoder.names([told["positional"], list(told["arguments"].values())])
        yield from decoder.names(list(told.get("metadata", {}).values()))
    for told in (document["fitted"] or {}).get("layers", ()):
        yield from decoder.names(list(told["metadata"].values()))


def _described_application(graph: Graph, application: Application, numbers: dict[Node, int], encoder: Encoder) -> Json:
    return {
        "layer": encode_layer(encoder, application.layer, _where(graph, application)),
        "inputs": [numbers[node] for node in application.inputs],
        "names": [node.name for node in application.outputs],
    }


def _described_fit(graph: Graph, fitted: Fitted, numbers: dict[Node, int], encoder: Encoder) -> Json:
    layers = []
    for number, application in enumerate(graph.applications):
        if application in fitted.layers:
            learned = encode_metadata(encoder, fitted.layers[application], _where(graph, application))
            layers.append({"application": number, "metadata": learned})
    seen = [(number, fitted.specs[node]) for node, number in numbers.items() if node in fitted.specs]
    specs = [{"node": number, **_described_spec(spec, encoder)} for number, spec in seen]
    return {"layers": layers, "specs": specs}


def _where(graph: Graph, application: Application) -> str:
    """Return what to call an applied layer in a message."""
    return f"node {graph.label(application)!r} ({type(application.layer).__name__})"


def _described_spec(spec: Spec, encoder: Encoder) -> Json:
    shape = None if spec.shape is None else list(spec.shape)
    return {"shape": shape, "dtype": encoder.encode(spec.dtype, "dtype")}


def _spec(told: Json, decoder: Decoder) -> Spec:
    shape, dtype = told["shape"], decoder.decode(told["dtype"])
    if shape is not None and not all(length is None or type(length) is int for length in shape):
        raise ValueError(f"{shape!r:.80} is no shape")
    if dtype is not None and not isinstance(dtype, np.dtype):
        raise ValueError(f"{dtype!r:.80} is no dtype")
    return Spec(None if shape is None else tuple(shape), dtype)


def _input(told: Json, decoder: Decoder) -> Input:
    spec = _spec(told, decoder)
    if spec.shape is None:
        raise ValueError("an input has no shape")
    return Input(told["name"], spec.shape, spec.dtype)


def _applied(told: Json, nodes: list[Node], decoder: Decoder) -> Application:
    layer: Layer = _at(decoder.layers, told["layer"])
    made = apply_layer(layer, [_at(nodes, number) for number in told["inputs"]], None)
    outputs = [made] if isinstance(made, Node) else made
    for node, name in zip(outputs, told["names"], strict=True):
        if name is not None and (not isinstance(name, str) or not name):
            raise ValueError(f"{name!r:.80} is no name of a node")
        node.name = name
    application = outputs[0].application
    assert application is not None
    return application


def _fitted(told: Json, applications: list[Application], nodes: list[Node], decoder: Decoder) -> Fitted:
    layers: dict[Application, StatefulLayer] = {}
    for each in told["layers"]:
        application = _at(applications, each["application"])
        if not isinstance(application.layer, StatefulLayer):
            raise ValueError(f"{application} cannot have learned anything")
        copied = application.layer.unfitted_copy()
        copied.metadata = {key: decoder.decode(value) for key, value in each["metadata"].items()}
        layers[application] = copied
    return Fitted(layers, {_at(nodes, each["node"]): _spec(each, decoder) for each in told["specs"]})


def _at(known: list[Any], number: object) -> Any:
    """Return what has a number; only what comes before can be meant, so that there are no circles."""
    if type(number) is not int or not 0 <= number < len(known):
        raise ValueError(f"number {number!r:.40} is not there, or comes later")
    return known[number]


def _check_replaceable(path: Path, pipeline: Pipeline, overwrite: bool) -> None:
    """Refuse to replace a file, but for an earlier state of the same pipeline that may be overwritten.

    Raises: PipelineError: says what to do instead.
    """
    if not overwrite:
        raise PipelineError(
            f"{path} is there already with another content; give the pipeline another version, or save it with "
            "overwrite=True"
        )
    try:
        found, _ = archive.read(path)
    except PipelineError:  # damaged, or no pipeline: nothing that could be loaded is lost
        return
    if found["name"] != pipeline.name or found["version"] != Encoder().encode(pipeline.version, "version"):
        raise PipelineError(
            f"{path} holds another pipeline, {found['name']!r} version {found['version']!r}, whose file has the same "
            "name; rename one of them"
        )


def _version() -> str:
    try:
        return metadata.version("mlpipeline")
    except metadata.PackageNotFoundError:  # run from a checkout that was never installed
        return "(not installed)"
