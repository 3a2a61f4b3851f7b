"""Ensembles: bags and folds of a model, out-of-fold predictions, stacking and blending.

Names are loaded when they are first used: importing this package imports neither NumPy nor any library that trains.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlpipeline.ensemble.ensemble import Ensemble
    from mlpipeline.ensemble.observations import Observations
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
    from mlpipeline.ensemble.sklearn_trainer import SklearnTrainer
    from mlpipeline.ensemble.splits import Split, Splits

_HOMES = {
    "Bags": "plans",
    "Ensemble": "ensemble",
    "EnsembleResult": "result",
    "Folds": "plans",
    "GivenSplits": "plans",
    "GroupFolds": "plans",
    "Observations": "observations",
    "RepeatedFolds": "plans",
    "SklearnTrainer": "sklearn_trainer",
    "Split": "splits",
    "Splits": "splits",
    "StratifiedFolds": "plans",
    "TimeSeriesFolds": "plans",
}

__all__ = [
    "Bags",
    "Ensemble",
    "EnsembleResult",
    "Folds",
    "GivenSplits",
    "GroupFolds",
    "Observations",
    "RepeatedFolds",
    "SklearnTrainer",
    "Split",
    "Splits",
    "StratifiedFolds",
    "TimeSeriesFolds",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
