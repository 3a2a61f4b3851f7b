"""The graph of a pipeline as a picture, as a Mermaid flowchart, and as a table."""

from mlpipeline.dataflow.drawing.mermaid import to_mermaid
from mlpipeline.dataflow.drawing.summary import summarize
from mlpipeline.dataflow.drawing.svg import draw, to_svg

__all__ = ["draw", "summarize", "to_mermaid", "to_svg"]
