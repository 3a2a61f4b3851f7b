"""Where data enters a pipeline: an Input of its own, or one for each column of a source."""

from mlpipeline.dataflow.io.sources import from_csv, from_dataframe, from_sql
from mlpipeline.dataflow.node import Input, Node

__all__ = ["Input", "Node", "from_csv", "from_dataframe", "from_sql"]
