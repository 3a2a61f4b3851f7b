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

from collections.abc import Callable
from dataclasses import dataclass, replace
from numbers import Real
from pathlib import Path
from typing import Any

from mlpipeline.ensemble.checks import check_class_weight, check_test_rows, checked_observations, checked_seed
from mlpipeline.ensemble.member import Member, Work
from mlpipeline.ensemble.observations import Observations, as_inputs, check_finite
from mlpipeline.ensemble.plans import as_plan
from mlpipeline.ensemble.result import EnsembleResult, assemble
from mlpipeline.ensemble.run_folder import Keeping, RunFolder
from mlpipeline.ensemble.scores import read_metrics
from mlpipeline.ensemble.targets import CLASSES, read_targets
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
        together: train all members at once wherever that can be done; None where it is also faster, False never.
        workers: processes, each with one torch thread.
        run_save_name: keep the run's files in `<src_dir>/checkpoints/<run_save_name>`; None keeps nothing.
        src_dir: the folder of the project. resume: go on with a run of that name that is there.
        save_model: keep each member's weights too. save_history: and the history, as a table and as a picture.
        save_statistics: and a readable account of scores and times.
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
    save_history: bool = True
    save_statistics: bool = True

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

    def run(
        self, observations: Observations, X_test: Any = None, *, on_member: Callable[[Member], object] | None = None
    ) -> EnsembleResult:
        """Train all members on observations, which may have ids, groups and weights; see `fit`.

        Args:
            observations: the rows. X_test: rows that every member predicts.
            on_member: called with each member as soon as it is ready.
        """
        if self.resume and self.run_save_name is None:
            raise EnsembleError("resume=True needs run_save_name, the run that is to go on")
        work = self.read_work(observations, X_test)
        keeping = Keeping(self.save_model, self.save_history, self.save_statistics)
        with RunFolder.open(self.run_save_name, self.src_dir, work, resume=self.resume, keeping=keeping) as folder:
            done = folder.read_members()
            pending = [number for number in range(len(work.splits)) if number not in done]
            for member in train_members(work, pending, together=self.together, workers=self.workers):
                folder.keep(member)
                done[member.number] = member
                on_member(member) if on_member is not None else None
            result = assemble(work, list(done.values()))
            folder.finish(result)
        return result

    def read_work(self, observations: Observations, X_test: Any = None) -> Work:
        """Check what was given and compute the plan.

        Raises: EnsembleError: what does not fit together.
        """
        if isinstance(self.workers, bool) or not isinstance(self.workers, int) or self.workers < 1:
            raise EnsembleError(f"workers must be a whole number from 1, but got {self.workers!r}")
        trainer, plan, seed = as_trainer(self.trainer), as_plan(self.plan), checked_seed(self.seed)
        if self.task is not None and trainer.task not in (None, self.task):
            raise EnsembleError(f"task is {self.task!r}, but the trainer predicts {trainer.task}")
        if not isinstance(self.stopping_size, Real) or not 0 <= self.stopping_size < 1:
            raise EnsembleError(f"stopping_size must be a share from 0 to 1, but got {self.stopping_size!r}")
        observations = checked_observations(observations)
        X_test = None if X_test is None else as_inputs(X_test, "X_test")
        check_test_rows(observations.X, X_test) if X_test is not None else None
        if not trainer.accepts_missing and self.preprocessing is None:
            check_finite(observations.X, "X")
            check_finite(X_test, "X_test") if X_test is not None else None
        y, targets = read_targets(observations.y, self.task or trainer.task)
        check_class_weight(self.class_weight, targets)
        classes = targets.indices(y) if targets.kind == CLASSES else None
        splits = plan.split(len(observations), classes, observations.groups, seed)
        return Work(
            trainer, replace(observations, y=y), targets, splits, X_test, read_metrics(self.metrics, targets),
            self.preprocessing, self.stopping_size, self.class_weight, seed,
        )  # fmt: skip


__all__ = ["Ensemble", "Trainer"]
