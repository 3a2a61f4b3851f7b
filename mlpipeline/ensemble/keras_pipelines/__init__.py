"""Keras pipelines: documented arguments in, predictions out; each is an `Ensemble` of Keras models."""

from mlpipeline.ensemble.keras_pipelines.array_pipelines import KerasFlowPipeline, KerasPipeline
from mlpipeline.ensemble.keras_pipelines.directory_pipeline import KerasDirectoryFlowPipeline

__all__ = ["KerasDirectoryFlowPipeline", "KerasFlowPipeline", "KerasPipeline"]
