"""Exporting a fitted pipeline to an ONNX file.

Call tree:

    export_onnx     inputs -> each layer that the outputs need -> outputs
      CONVERTERS    by the layer's class: what adds its operators to a Builder
      Builder       gathers operators and constants, and makes the model of them
    replace_file    written aside and moved into place

A file holds what `transform` computes. Its inputs and outputs have the dtypes that the fit has
seen, and the shapes, but for the number of observations. Numbers are computed in float64 where
NumPy does; some models that skl2onnx or torch write know float32 only. What `transform` refuses,
as NaN before a model that takes none, fails in onnxruntime on the CPU too, and the name of the
operator says why. Texts in an array of objects are texts, and None cannot be among them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from mlpipeline.dataflow.graph import Graph, inputs_of, ordered
from mlpipeline.dataflow.layer import Layer
from mlpipeline.dataflow.node import Application, Input, Node
from mlpipeline.dataflow.onnx_export import (
    functions,
    image,
    missing,
    numeric,
    onehot,
    shaping,
    sklearn_models,
    traced_models,
)
from mlpipeline.dataflow.onnx_export.builder import Builder, NotExportable, Tensor, held_dtype
from mlpipeline.dataflow.onnx_export.call import Call
from mlpipeline.dataflow.plan import fitted_layer
from mlpipeline.dataflow.spec import Spec
from mlpipeline.errors import PipelineError
from mlpipeline.files import replace_file

Converter = Callable[[Call], Any]  # gives a Tensor, or one for each output of the layer
CONVERTERS: dict[type, Converter] = {
    **functions.CONVERTERS,
    **image.CONVERTERS,
    **missing.CONVERTERS,
    **numeric.CONVERTERS,
    **onehot.CONVERTERS,
    **shaping.CONVERTERS,
    **sklearn_models.CONVERTERS,
    **traced_models.CONVERTERS,
}


def export_onnx(
    graph: Graph, layers: Mapping[Application, Layer], specs: Mapping[Node, Spec], path: str | Path
) -> Path:
    """Write what computes the outputs of a pipeline as an ONNX file.

    Args:
        graph: of the pipeline; labels, metrics and explorers are left out.
        layers: the fitted layers.
        specs: what the fit has seen at each node.
        path: of the file; replaced if it is there.
    Returns: the path.
    Raises: PipelineError: a layer cannot be written as ONNX, and all such are named; or nothing was fitted.
    """
    export = _Export(graph, layers, specs)
    needed = inputs_of(graph.outputs, with_labels=False)
    inputs = [node for node in graph.inputs if node in needed]
    for node in inputs:
        export.add_input(node)
    for application in ordered(graph.outputs, with_labels=False):
        export.add_layer(application)
    if export.refused:
        raise PipelineError(
            f"cannot be written as ONNX: {'; '.join(export.refused)}. "
            "Export a pipeline of the other layers, whose inputs are what these give"
        )
    replace_file(Path(path), export.model(inputs).SerializeToString(deterministic=True))
    return Path(path)


class _Export:
    """A file in the making.

    Args:
        graph: of the pipeline.
        layers: the fitted layers.
        specs: what the fit has seen at each node.
    """

    def __init__(self, graph: Graph, layers: Mapping[Application, Layer], specs: Mapping[Node, Spec]) -> None:
        self.refused: list[str] = []
        self._graph = graph
        self._layers = layers
        self._specs = specs
        self._builder = Builder(graph.labels.values())
        self._tensors: dict[Node, Tensor] = {}

    def add_input(self, node: Input) -> None:
        """Make an input's values known, or note that ONNX has no such values."""
        try:
            self._tensors[node] = self._named(node)
        except NotExportable as error:
            self.refused.append(f"Input {node.name!r} ({error})")

    def add_layer(self, application: Application) -> None:
        """Add the operators of a layer, or note that it has none.

        What a refused layer gives is known by name, so that the layers behind it are looked at too.
        """
        layer = fitted_layer(application, self._layers)
        try:
            convert = CONVERTERS.get(type(layer))
            if convert is None:
                raise NotExportable("no operators stand for it")
            if all(node in self._tensors for node in application.features):
                self._add_outputs(application, convert(self._call(application, layer)))
        except NotExportable as error:
            self.refused.append(f"{application} ({error})")
            with suppress(NotExportable):
                self._tensors |= {node: self._named(node) for node in application.outputs}

    def model(self, inputs: Sequence[Input]) -> Any:
        """Return the file's content.

        Args:
            inputs: what the outputs need.
        """
        outputs = self._graph.outputs
        for node in outputs:
            if node.application is not None:
                self._builder.rename(self._tensors[node], str(node.name))
        return self._builder.model(
            [(node, self._spec(node)) for node in inputs], [(node, self._spec(node)) for node in outputs]
        )

    def _call(self, application: Application, layer: Layer) -> Call:
        features = application.features
        return Call(
            self._builder,
            self._graph.label(application),
            layer,
            tuple(self._tensors[node] for node in features),
            tuple(tuple(length or 0 for length in self._spec(node).shape or ()) for node in features),
            tuple(self._spec(node) for node in application.outputs),
        )

    def _add_outputs(self, application: Application, given: Tensor | Sequence[Tensor]) -> None:
        """Keep what a layer gives, in the dtypes that the fit has seen."""
        results = [given] if isinstance(given, Tensor) else given
        label = self._graph.label(application)
        for node, tensor in zip(application.outputs, results, strict=True):
            self._tensors[node] = self._builder.cast(label, tensor, self._named(node).dtype)

    def _named(self, node: Node) -> Tensor:
        return Tensor(self._graph.labels[node], held_dtype(np.dtype(self._spec(node).dtype)))

    def _spec(self, node: Node) -> Spec:
        """Return the shape and dtype that a node has in the file.

        Raises: PipelineError: they are not known.
        """
        spec = self._specs.get(node, node.spec)
        if spec.shape is None or spec.dtype is None or None in spec.shape:
            raise PipelineError(f"cannot be written as ONNX: of {node} only {spec} is known; call pipeline.fit first")
        if 0 in spec.shape:
            raise PipelineError(f"cannot be written as ONNX: {node} has no values, {spec}")
        return spec
