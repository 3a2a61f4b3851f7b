"""Where data enters a pipeline: an Input of its own, or one for each column of a source."""

from mlpipeline.dataflow.node import Input, Node
from mlpipeline.dataflow.sources import from_csv, from_dataframe, from_sql

__all__ = ["Input", "Node", "from_csv", "from_dataframe", "from_sql"]
