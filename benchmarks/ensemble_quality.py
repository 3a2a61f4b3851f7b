"""How good the shipped ensembles are on test rows that no member has seen, beside single models.

Usage: python -m benchmarks.ensemble_quality [--quick]

Each seed is another random 67/33 split and another beginning of the training. A single model is trained on all training
rows; a member of an ensemble has fewer of them, since it leaves some out to be judged by. The weights of the blend are
chosen by the out-of-fold predictions of the training rows alone.
"""

from __future__ import annotations

import argparse
import os
import statistics
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.model_quality import PROJECT, script, spread
from benchmarks.table import print_table
from mlpipeline.ensemble import Ensemble, EnsembleModel, ObservationsLoader
from mlpipeline.ensemble.blending import METHODS, blend
from mlpipeline.ensemble.member import Work, predict
from mlpipeline.ensemble.observations import Part
from mlpipeline.ensemble.preparation import fit_preparation
from mlpipeline.ensemble.scores import CLASS_METRICS
from mlpipeline.ensemble.trainer import Assignment
from mlpipeline.utils import Version

SCRIPTS = ("ensemble_ionosphere", "ensemble_digits")
METRICS = ("accuracy", "log_loss")
Scores = dict[str, tuple[float, ...]]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="2 seeds")
    seeds = 2 if parser.parse_args().quick else 10
    os.chdir(PROJECT)
    torch.set_num_threads(1)
    rows = [row for name in SCRIPTS for row in rows_of(name, seeds)]
    header = ["script", "what predicts", "accuracy", "log loss", "accuracy beyond the best single model"]
    print_table(f"Ensembles on the test part, mean and deviation over {seeds} seeds", header, rows)


def rows_of(name: str, seeds: int) -> list[list[str]]:
    """Return a row of the table for each single model, each ensemble and the blend of a script."""
    module = script(name)
    outcomes = [scores_of(module.MODEL, module.load(seed), seed) for seed in range(seeds)]
    accuracies = {what: [outcome[what][0] for outcome in outcomes] for what in outcomes[0]}
    singles = [what for what in accuracies if what.startswith("single")]
    best = max(singles, key=lambda what: statistics.fmean(accuracies[what]))
    rows = []
    for what, found in accuracies.items():
        gain = spread(np.subtract(found, accuracies[best]).tolist()) if what not in singles else ""
        losses = spread(outcome[what][1] for outcome in outcomes)
        rows.append([name, what, spread(found), losses, gain])
    return rows


def scores_of(model: EnsembleModel, loader: ObservationsLoader, seed: int) -> Scores:
    """Return accuracy and log loss of the test rows, by what has predicted them."""
    singles: Scores = {}
    ensembles: Scores = {}
    oof, test = {}, {}
    for version in first_members(model).values():
        name = version["ensemble"]
        trained = Ensemble(model.trainer(version), version["plan"], model.preprocessing(version), seed=seed)
        result = trained.run(loader.train, loader.test.X)
        assert result.test is not None
        oof[name], test[name] = result.oof, result.test
        singles[f"single {name}"] = judged(result.work, single(result.work, loader.test.X), loader.test.y)
        ensembles[f"ensemble {name}"] = judged(result.work, result.test, loader.test.y)
    blends = {
        f"blend, {method.replace('_', ' ')}": blend(oof, loader.train.y, method=method).predict(test)
        for method in METHODS
    }
    scores = {name: judged(result.work, predictions, loader.test.y) for name, predictions in blends.items()}
    return {**singles, **ensembles, **scores}


def first_members(model: EnsembleModel) -> Mapping[str, Version]:
    """Return a version of each ensemble, by its name."""
    return {version["ensemble"]: version for version in reversed(list(model.versions))}


def single(work: Work, test_rows: Any) -> NDArray[Any]:
    """Return what one model predicts that is trained on all training rows."""
    rows = Part(work.observations.X, None, work.observations.y)
    preparation = fit_preparation(work.preprocessing, rows)
    if preparation is not None:
        rows = Part(preparation.transform(rows.X), None, rows.y)
    fitted = work.trainer.fit(Assignment(None, "all", work.seed, rows, work.targets))
    return predict(work, fitted, preparation, test_rows, work.seed, is_test=True)


def judged(work: Work, predictions: NDArray[Any], y: Any) -> tuple[float, ...]:
    return tuple(CLASS_METRICS[name](work.targets, np.asarray(y), predictions) for name in METRICS)


if __name__ == "__main__":
    main()
