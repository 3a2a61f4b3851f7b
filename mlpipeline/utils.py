"""Door: what a model script uses besides the classes that it extends."""

from mlpipeline.metrics import Metric, MetricContainer
from mlpipeline.model import DataLoader, Dataloader, Model
from mlpipeline.scripting import add_script_dir_to_PATH, console_colors, log
from mlpipeline.versions import ExecutionModeKeys, ModeKeys, Version, Versions, version_parameters

__all__ = [
    "DataLoader",
    "Dataloader",
    "ExecutionModeKeys",
    "Metric",
    "MetricContainer",
    "ModeKeys",
    "Model",
    "Version",
    "Versions",
    "add_script_dir_to_PATH",
    "console_colors",
    "log",
    "version_parameters",
]
