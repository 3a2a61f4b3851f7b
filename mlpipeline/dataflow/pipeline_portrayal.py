"""PipelinePortrayal: a pipeline as a table, a picture, a flowchart, an ONNX model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlpipeline.dataflow.graph import Fitted, Graph
from mlpipeline.errors import PipelineError

if TYPE_CHECKING:
    from mlpipeline.dataflow.prepared import Prepared


class _Shown(str):
    """A text that a prompt or a notebook shows as it is, without quotes and escapes."""

    def __repr__(self) -> str:
        return str(self)


class PipelinePortrayal:
    """The part of `Pipeline` that shows it, and gives it to other tools."""

    graph: Graph
    name: str
    version: Any
    fitted: Fitted | None
    _prepared: Prepared

    def summary(self) -> str:
        """Return a table of the nodes: layer, parents, shape, and what was learned."""
        from mlpipeline.dataflow.drawing import summarize

        return _Shown(summarize(self.graph, self.fitted))

    def plot(self, path: str | Path) -> Path:
        """Draw the graph into a file, .svg or .png."""
        from mlpipeline.dataflow.drawing import draw

        return draw(self.graph, self.fitted, path, self._title)

    def to_mermaid(self) -> str:
        """Return the graph as a Mermaid flowchart, for documents."""
        from mlpipeline.dataflow.drawing import to_mermaid

        return to_mermaid(self.graph, self.fitted)

    def to_onnx(self, path: str | Path) -> Path:
        """Write what `transform` does as an ONNX model.

        Raises: PipelineError: not fitted; or some layers have no form in ONNX: names them.
        """
        from mlpipeline.dataflow.onnx_export import export_onnx

        if self.fitted is None:
            raise PipelineError("fit the pipeline first: an ONNX model holds what it has learned")
        return export_onnx(self.graph, self._prepared.layers, self._prepared.specs, path)

    def _repr_svg_(self) -> str | None:
        from mlpipeline.dataflow.drawing import to_svg

        try:
            return to_svg(self.graph, self.fitted, self._title)
        except PipelineError:  # the packages for pictures are not installed: a notebook shows the text below
            return None

    @property
    def _title(self) -> str:
        return self.name if self.version is None else f"{self.name} {self.version}"

    def __repr__(self) -> str:
        takes = ", ".join(str(node.name) for node in self.graph.inputs)
        gives = ", ".join(str(node.name) for node in self.graph.outputs)
        return f"<Pipeline {self._title}: {takes} -> {gives}{'' if self.fitted else ', not fitted'}>"
