"""Data from frames, CSV files and databases: whole, or in batches."""

from mlpipeline.dataflow.io.csv_files import CSVData, CSVGenerator
from mlpipeline.dataflow.io.frames import PandasData, PandasGenerator
from mlpipeline.dataflow.io.sql import SQLData, SQLGenerator

__all__ = ["CSVData", "CSVGenerator", "PandasData", "PandasGenerator", "SQLData", "SQLGenerator"]
