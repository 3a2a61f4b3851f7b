"""Ensembles: bags and folds of a model, out-of-fold predictions, stacking and blending.

Names are loaded when they are first used: importing this package imports neither NumPy nor any library that trains.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlpipeline.lazy import lazy_names

if TYPE_CHECKING:
    from mlpipeline.ensemble.blending import Blend, blend
    from mlpipeline.ensemble.ensemble import Ensemble
    from mlpipeline.ensemble.images import ImageFiles
    from mlpipeline.ensemble.keras_pipelines import KerasDirectoryFlowPipeline, KerasFlowPipeline, KerasPipeline
    from mlpipeline.ensemble.keras_trainer import KerasTrainer
    from mlpipeline.ensemble.leaks import LeakReport, leak_report, row_codes
    from mlpipeline.ensemble.model import EnsembleModel
    from mlpipeline.ensemble.observations import Observations
    from mlpipeline.ensemble.observations_loader import ObservationsLoader
    from mlpipeline.ensemble.plans import (
        Bags,
        Folds,
        GivenSplits,
        GroupFolds,
        RepeatedFolds,
        StratifiedFolds,
        TimeSeriesFolds,
    )
    from mlpipeline.ensemble.result import EnsembleResult
    from mlpipeline.ensemble.scores import Metric
    from mlpipeline.ensemble.sklearn_trainer import SklearnTrainer
    from mlpipeline.ensemble.splits import Split, Splits
    from mlpipeline.ensemble.stacking import StackResult, stack
    from mlpipeline.ensemble.torch_trainer import TorchTrainer

_HOMES = {
    "Bags": "plans",
    "Blend": "blending",
    "Ensemble": "ensemble",
    "EnsembleModel": "model",
    "EnsembleResult": "result",
    "Folds": "plans",
    "GivenSplits": "plans",
    "GroupFolds": "plans",
    "ImageFiles": "images",
    "KerasDirectoryFlowPipeline": "keras_pipelines",
    "KerasFlowPipeline": "keras_pipelines",
    "KerasPipeline": "keras_pipelines",
    "KerasTrainer": "keras_trainer",
    "LeakReport": "leaks",
    "Metric": "scores",
    "Observations": "observations",
    "ObservationsLoader": "observations_loader",
    "RepeatedFolds": "plans",
    "SklearnTrainer": "sklearn_trainer",
    "Split": "splits",
    "Splits": "splits",
    "StackResult": "stacking",
    "StratifiedFolds": "plans",
    "TimeSeriesFolds": "plans",
    "TorchTrainer": "torch_trainer",
    "blend": "blending",
    "leak_report": "leaks",
    "row_codes": "leaks",
    "stack": "stacking",
}

__all__ = [
    "Bags",
    "Blend",
    "Ensemble",
    "EnsembleModel",
    "EnsembleResult",
    "Folds",
    "GivenSplits",
    "GroupFolds",
    "ImageFiles",
    "KerasDirectoryFlowPipeline",
    "KerasFlowPipeline",
    "KerasPipeline",
    "KerasTrainer",
    "LeakReport",
    "Metric",
    "Observations",
    "ObservationsLoader",
    "RepeatedFolds",
    "SklearnTrainer",
    "Split",
    "Splits",
    "StackResult",
    "StratifiedFolds",
    "TimeSeriesFolds",
    "TorchTrainer",
    "blend",
    "leak_report",
    "row_codes",
    "stack",
]

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
