"""Export of a fitted pipeline to ONNX, as a graph that needs none of this library."""

from mlpipeline.dataflow.onnx_export.exporting import export_onnx

__all__ = ["export_onnx"]
