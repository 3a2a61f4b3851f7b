"""Explorers: looks at the values of nodes; only `explore` computes them."""

from mlpipeline.dataflow.explorers.explorer import Correlate, Describe, Explorer, Histogram, Scatter

__all__ = ["Correlate", "Describe", "Explorer", "Histogram", "Scatter"]
