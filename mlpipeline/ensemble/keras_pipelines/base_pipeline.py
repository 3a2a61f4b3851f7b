"""BasePipeline: the documented arguments, checked, and the run of an `Ensemble` that they stand for.

BasePipeline._run_bags, _run_folds, _run_all
    _run
        KerasTrainer      what trains, with the models of an earlier run where they are loaded
        Ensemble.run      the plan, the members, the files
        test_scores       of the test rows, where their targets are known
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np

from mlpipeline.ensemble.ensemble import Ensemble
from mlpipeline.ensemble.keras_callbacks import chooses_by_validation
from mlpipeline.ensemble.keras_loss import SPARSE, loss_name
from mlpipeline.ensemble.keras_pipelines.all_rows import AllRows
from mlpipeline.ensemble.keras_pipelines.rows import join
from mlpipeline.ensemble.keras_pipelines.saved_models import continuing, saved_seed
from mlpipeline.ensemble.keras_setup import own_random_state
from mlpipeline.ensemble.keras_trainer import KerasTrainer
from mlpipeline.ensemble.member import Member
from mlpipeline.ensemble.observations import Observations
from mlpipeline.ensemble.plans import Bags, Folds, GivenSplits, Plan, StratifiedFolds
from mlpipeline.ensemble.result import EnsembleResult
from mlpipeline.ensemble.scores import read_metrics
from mlpipeline.ensemble.tables import statistics_text
from mlpipeline.ensemble.targets import CLASSES
from mlpipeline.errors import EnsembleError
from mlpipeline.scripting import log

_STOPPING_SIZE = 0.1  # held back for callbacks that choose by rows which the model is not trained on


@dataclass(eq=False)
class BasePipeline:
    """What the pipelines of Keras models have in common; `KerasPipeline` explains the arguments.

    Attributes:
        result: of the last run that was finished, an `EnsembleResult`; None before.
        test_scores: of that run's test predictions, by metric; None where `y_test` was not given.
    """

    model_name: Callable[..., Any]
    model_params: Any = None
    predict_test: bool = False
    n_bags: int = 2
    n_folds: int = 5
    split_size: float = 0.2
    stratify: bool = False
    shuffle: bool = True
    user_split: bool = False
    seed: int | None = None
    verbose: bool = True
    number_epochs: int = 1
    batch_size: int = 32
    callbacks: Any = None
    run_save_name: str | None = None
    load_keras_model: bool = False
    save_model: bool = False
    save_history: bool = False
    save_statistics: bool = False
    output_statistics: bool = True
    src_dir: str | Path | None = None
    stopping_size: float | None = field(default=None, kw_only=True)
    class_weight: Any = field(default=None, kw_only=True)
    task: str | None = field(default=None, kw_only=True)
    metrics: Any = field(default=None, kw_only=True)
    resume: bool = field(default=False, kw_only=True)
    together: bool | None = field(default=None, kw_only=True)
    workers: int = field(default=1, kw_only=True)
    save_as: str | None = field(default=None, kw_only=True)
    result: EnsembleResult | None = field(default=None, init=False, repr=False)
    test_scores: Mapping[str, float] | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if not callable(self.model_name) or hasattr(self.model_name, "predict"):  # a model can be called too
            raise EnsembleError(
                "model_name must be a function of the parameters that returns a compiled Keras model, but got "
                f"{self.model_name!r:.80}"
                + ("; give getattr(module, name)" if isinstance(self.model_name, str) else "")
            )
        if self.model_params is not None and not isinstance(self.model_params, Mapping):
            raise EnsembleError(f"model_params must be a dict, or None, but got {self.model_params!r:.80}")
        least = {"n_bags": 1, "n_folds": 2, "number_epochs": 0 if self.load_keras_model else 1, "batch_size": 1}
        for name, lowest in {**least, "workers": 1}.items():
            check_whole(name, getattr(self, name), lowest)
        if not isinstance(self.split_size, Real) or not 0 < self.split_size < 1:
            raise EnsembleError(f"split_size must be a share between 0 and 1, but got {self.split_size!r}")
        self._check_names()

    def _check_names(self) -> None:
        """Raises: EnsembleError: something is to be kept or loaded, but it is not said under which name."""
        saves = [name for name in ("save_model", "save_history", "save_statistics") if getattr(self, name)]
        if self.load_keras_model and self.run_save_name is None:
            raise EnsembleError("load_keras_model=True needs run_save_name, the run whose models are loaded")
        if self.save_as is not None and not self.load_keras_model:
            raise EnsembleError("save_as is for load_keras_model=True; name a new run by run_save_name")
        if self.resume and not self.save_model:
            raise EnsembleError(
                "resume=True needs save_model=True: a run returns its last model, whenever it was trained"
            )
        if saves and self._kept_name is None:
            name = "save_as, a new name, since nothing is written over" if self.load_keras_model else "run_save_name"
            raise EnsembleError(f"{saves[0]}=True needs {name}")

    @property
    def _kept_name(self) -> str | None:
        """The name under which the run is kept; None where it is not."""
        return self.save_as if self.load_keras_model else self.run_save_name

    @property
    def _root(self) -> str | Path:
        """The folder of the project."""
        return "." if self.src_dir is None else self.src_dir

    def _run_bags(self, train: Observations, test: Observations | None, valid: Observations | None) -> EnsembleResult:
        """Train bags; the validation rows follow the training rows in the result."""
        if valid is None:
            return self._run(train, test, self._drawn_bags(len(train)))
        if self.stratify:
            raise EnsembleError("stratify=True divides rows, but user_split=True gives them divided; leave one out")
        rows = np.arange(len(train) + len(valid))
        both = rows[: len(train)], rows[len(train) :]
        return self._run(join(train, valid), test, GivenSplits([both] * self.n_bags))

    def _run_folds(self, train: Observations, test: Observations | None) -> EnsembleResult:
        kind = StratifiedFolds if self.stratify else Folds
        return self._run(train, test, kind(self.n_folds, self.shuffle))

    def _run_all(self, train: Observations, test: Observations | None) -> EnsembleResult:
        return self._run(train, test, AllRows())

    def _drawn_bags(self, count: int) -> Plan:
        if self.shuffle:
            return Bags(self.n_bags, self.split_size, self.stratify)
        if self.stratify:
            raise EnsembleError("stratify=True draws rows, but shuffle=False takes the last ones; leave one out")
        first = count - max(1, round(count * self.split_size))
        if first < 1:
            raise EnsembleError(f"split_size={self.split_size} of {count} rows leaves none to train on")
        rows = np.arange(count)
        return GivenSplits([(rows[:first], rows[first:])] * self.n_bags)

    def _run(self, train: Observations, test: Observations | None, plan: Plan) -> EnsembleResult:
        test = test if self.predict_test else None
        X_test = None if test is None else test.X
        ensemble = self._ensemble(plan)
        if self.load_keras_model:
            assert self.run_save_name is not None
            ensemble = continuing(ensemble, self.run_save_name, train, is_trained=self.number_epochs > 0)
        result = ensemble.run(train, X_test, on_member=self._tell if self.verbose else None)
        test_scores = self._scores_of(result, test)
        if self.output_statistics:
            log(statistics_text(result, self._kept_name or type(self).__name__).rstrip())
            if test_scores is not None:
                log("test rows: " + _text(test_scores))
        self.result, self.test_scores = result, test_scores
        return result

    def _ensemble(self, plan: Plan) -> Ensemble:
        seed = self.seed
        if seed is None and self.load_keras_model:
            seed = saved_seed(str(self.run_save_name), self._root)
        return Ensemble(
            self._trainer(),
            plan,
            task=self._told_task(),
            metrics=() if isinstance(plan, AllRows) else self.metrics,
            stopping_size=self._stopping_share(),
            class_weight=self.class_weight,
            seed=seed,
            together=self.together,
            workers=self.workers,
            run_save_name=self._kept_name,
            src_dir=self._root,
            resume=self.resume,
            save_model=self.save_model,
            save_history=self.save_history,
            save_statistics=self.save_statistics,
        )

    def _trainer(self) -> KerasTrainer:
        return KerasTrainer(
            self.model_name,
            self.model_params,
            epochs=max(1, self.number_epochs),  # none: only loaded models are predicted with
            batch_size=self.batch_size,
            callbacks=self.callbacks,
            shuffle=self.shuffle,
            **self._augmentation(),
        )

    def _told_task(self) -> str | None:
        """Return what y holds where the user or the loss says so; None where y tells."""
        return self.task or (CLASSES if loss_name(self._new_model()) == SPARSE else None)

    def _new_model(self) -> Any:
        """Return a model to look at; what it draws is drawn for it alone."""
        with own_random_state(0):
            return self._trainer().new_model()

    def _augmentation(self) -> dict[str, Any]:
        """Return arguments of the trainer that say how images are changed."""
        return {}

    def _stopping_share(self) -> float:
        if self.stopping_size is not None:
            return self.stopping_size
        listed = self.callbacks if isinstance(self.callbacks, (list, tuple)) else [self.callbacks]
        return _STOPPING_SIZE if any(chooses_by_validation(callback) for callback in listed) else 0.0

    def _tell(self, member: Member) -> None:
        epoch = "" if member.fitted.best_epoch is None else f", weights of epoch {member.fitted.best_epoch}"
        scores = f": {_text(member.scores)}" if member.scores else ""
        log(f"{member.name}{scores}{epoch}, {member.seconds:.1f} s")

    def _scores_of(self, result: EnsembleResult, test: Observations | None) -> dict[str, float] | None:
        if test is None or test.y is None or result.test is None:
            return None
        metrics = read_metrics(self.metrics, result.targets)
        return {name: metric(result.targets, test.y, result.test) for name, metric in metrics.items()}


def check_whole(name: str, value: Any, least: int) -> None:
    """Raises: EnsembleError: an argument is no whole number, or too small."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise EnsembleError(f"{name} must be a whole number of at least {least}, but got {value!r}")


def _text(scores: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {score:.4f}" for name, score in scores.items())
