"""Ensemble: train one model several times on different rows, and put together what the members say.

Ensemble.fit
    read_work              what was given, checked, and the plan computed
    RunFolder.open         the files of the run: refused, or resumed
    train_members          each member: assignment -> Trainer.fit -> predictions and scores
    RunFolder.keep         each member as soon as it is ready
    assemble               out-of-fold and test predictions
    RunFolder.finish       predictions, history, statistics, picture
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mlpipeline.ensemble.member import Work
from mlpipeline.ensemble.observations import Observations, as_inputs, check_finite, count_rows
from mlpipeline.ensemble.plans import as_plan
from mlpipeline.ensemble.result import EnsembleResult, assemble
from mlpipeline.ensemble.run_folder import RunFolder
from mlpipeline.ensemble.scores import read_metrics
from mlpipeline.ensemble.targets import CLASSES, as_targets, read_targets
from mlpipeline.ensemble.trainer import Trainer, as_trainer
from mlpipeline.ensemble.training import train_members
from mlpipeline.errors import EnsembleError


@dataclass(frozen=True, eq=False)
class Ensemble:
    """A model that is trained several times: bags or folds.

    Args:
        trainer: a `TorchTrainer`, a `KerasTrainer`, any other `Trainer`, or a scikit-learn estimator.
        plan: how rows are divided: `Bags`, `Folds`, `StratifiedFolds`, `GroupFolds`, `RepeatedFolds`,
            `TimeSeriesFolds`, a number of folds, a scikit-learn splitter, or pairs of row numbers.
        preprocessing: a transformer or data pipeline, fitted on each member's training rows alone.
        metrics: names, or functions of y and predictions; accuracy and log_loss, or rmse and mae, if None.
        task: "classes" or "values"; told by the trainer or by y if None.
        stopping_size: share of each member's training rows held back to stop early and choose the best epoch by;
            its validation rows are never looked at for that.
        class_weight: "balanced", or a mapping of labels to weights.
        seed: of everything that is drawn: splits, weights, order of rows, dropout, augmentation; from the
            system, and kept in the result's splits, if None.
        together: train all members at once; None where the trainer can, False never.
        workers: processes, each with one torch thread.
        run_save_name: keep the run's files in `<src_dir>/checkpoints/<run_save_name>`; None keeps nothing.
        src_dir: the folder of the project. resume: go on with a run of that name that is there.
        save_model: keep each member's weights too.
    """

    trainer: Any
    plan: Any
    preprocessing: Any = None
    metrics: Any = None
    task: str | None = None
    stopping_size: float = 0.0
    class_weight: Any = None
    seed: int | None = 0
    together: bool | None = None
    workers: int = 1
    run_save_name: str | None = None
    src_dir: str | Path = "."
    resume: bool = False
    save_model: bool = True

    def fit(self, X: Any, y: Any, X_test: Any = None, *, groups: Any = None, weights: Any = None) -> EnsembleResult:
        """Train all members.

        Args:
            X: [n, ...], an array, a frame, a sparse matrix, arrays by name, or a source of rows.
            y: [n] labels or values, [n, classes] one-hot, or [n, k] values.
            X_test: rows that every member predicts.
            groups: [n], rows of one group stay together. weights: [n], of the rows in the loss.
        Raises: EnsembleError: what was given does not fit together, or a run of this name exists.
        """
        return self.run(Observations(X, y, None, groups, weights), X_test)

    def run(self, observations: Observations, X_test: Any = None) -> EnsembleResult:
        """Train all members on observations, which may have ids, groups and weights; see `fit`."""
        work = self.read_work(observations, X_test)
        folder = RunFolder.open(self.run_save_name, self.src_dir, work, resume=self.resume, save_model=self.save_model)
        done = folder.read_members()
        pending = [number for number in range(len(work.splits)) if number not in done]
        for member in train_members(work, pending, together=self.together, workers=self.workers):
            folder.keep(member)
            done[member.number] = member
        result = assemble(work, list(done.values()))
        folder.finish(result)
        return result

    def read_work(self, observations: Observations, X_test: Any = None) -> Work:
        """Check what was given and compute the plan.

        Raises: EnsembleError: what does not fit together.
        """
        trainer, plan = as_trainer(self.trainer), as_plan(self.plan)
        observations = _checked(observations)
        X_test = None if X_test is None else as_inputs(X_test, "X_test")
        if not trainer.accepts_missing and self.preprocessing is None:
            check_finite(observations.X, "X")
            check_finite(X_test, "X_test") if X_test is not None else None
        y, targets = read_targets(observations.y, self.task or trainer.task)
        classes = targets.indices(y) if targets.kind == CLASSES else None
        seed = int(np.random.SeedSequence().generate_state(1)[0]) if self.seed is None else self.seed
        splits = plan.split(len(observations), classes, observations.groups, seed)
        if not 0 <= self.stopping_size < 1:
            raise EnsembleError(f"stopping_size must be a share from 0 to 1, but got {self.stopping_size!r}")
        return Work(
            trainer, replace(observations, y=y), targets, splits, X_test, read_metrics(self.metrics, targets),
            self.preprocessing, self.stopping_size, self.class_weight, seed,
        )  # fmt: skip


def _checked(observations: Observations) -> Observations:
    """Return observations as arrays of equal length. Raises: EnsembleError: they differ in length."""
    X, y = as_inputs(observations.X), as_targets(observations.y)
    count = count_rows(X)
    fields = {"y": y, "ids": observations.ids, "groups": observations.groups, "weights": observations.weights}
    arrays = {name: None if values is None else np.asarray(values) for name, values in fields.items()}
    for name, values in arrays.items():
        if values is not None and (values.ndim == 0 or len(values) != count):
            raise EnsembleError(f"X has {count} rows, but {name} has {len(values) if values.ndim else 'one value'}")
    weights = arrays["weights"]
    if weights is not None and (weights.dtype.kind not in "biuf" or not (np.isfinite(weights) & (weights >= 0)).all()):
        raise EnsembleError("weights must be finite numbers, none below 0")
    return Observations(X, y, arrays["ids"], arrays["groups"], weights)


__all__ = ["Ensemble", "Trainer"]
