"""The runs of an ensemble's members, one after the other in this process."""

from __future__ import annotations

from pathlib import Path

from mlpipeline.ensemble import EnsembleModel
from mlpipeline.utils import ExecutionModeKeys


def run(model: EnsembleModel, name: str, root: Path, mode: str = ExecutionModeKeys.TRAIN) -> dict[str, float]:
    """Do what the runner does with one version; return its metrics."""
    version = model.versions.get(name)
    loader = version["dataloader"]()
    folder = root / f"script-{version['model_dir_suffix']}"
    folder.mkdir(parents=True, exist_ok=True)
    model._version = version.replacing(dataloader=loader)
    model.pre_execution_hook(model._version, str(folder), mode)
    model.train_model(loader.get_train_input(), 1)
    train, test = (model.evaluate_model(rows, 1) for rows in (loader.get_train_input(), loader.get_test_input()))
    return {**train, **{f"test_{metric}": score for metric, score in test.items()}}


def run_all(model: EnsembleModel, root: Path) -> dict[str, float]:
    """Run every version; return the metrics of the last."""
    return [run(model, name, root) for name in model.versions.names()][-1]
