"""Models of an earlier run, trained further or only predicted with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from mlpipeline.ensemble.ensemble import Ensemble
from mlpipeline.ensemble.observations import Observations
from mlpipeline.ensemble.plans import ComputedPlan
from mlpipeline.ensemble.run_folder import read_saved, run_path
from mlpipeline.ensemble.splits import Splits
from mlpipeline.ensemble.trainer import Assignment, Fitted, Trainer
from mlpipeline.errors import EnsembleError


@dataclass(frozen=True, eq=False)
class ContinuingTrainer:
    """Begins each member from a model that was trained before, on the same rows.

    Args:
        inner: trains it further.
        is_trained: False leaves the models as they are.
        saved: the models, by number of the member.
    """

    inner: Trainer
    is_trained: bool
    saved: Mapping[int, Fitted] = field(compare=False, repr=False)

    @property
    def suffix(self) -> str:
        return self.inner.suffix

    @property
    def accepts_missing(self) -> bool:
        return self.inner.accepts_missing

    @property
    def task(self) -> str | None:
        return self.inner.task

    def fit(self, assignment: Assignment) -> Fitted:
        assert assignment.number is not None
        initial = self.saved[assignment.number]
        return self.inner.fit(replace(assignment, initial=initial)) if self.is_trained else initial

    def predict(self, fitted: Fitted, X: Any, *, seed: int = 0, is_test: bool = False) -> NDArray[Any]:
        return self.inner.predict(fitted, X, seed=seed, is_test=is_test)

    def save(self, fitted: Fitted, path: Path) -> None:
        self.inner.save(fitted, path)

    def load(self, path: Path) -> Any:
        return self.inner.load(path)


def continuing(ensemble: Ensemble, run: str, observations: Observations, *, is_trained: bool) -> Ensemble:
    """Return an ensemble whose members begin from those of an earlier run.

    Rows and plan must be those of the run: a model that has seen a row would predict it too well out of fold.

    Args:
        ensemble: what is to be trained. run: the name of the earlier one, in the same `src_dir`.
        observations: the rows. is_trained: False leaves the models as they are.
    Raises: EnsembleError: there is no such run, it has no models, or it was trained on other rows.
    """
    work = ensemble.read_work(observations)
    saved = read_saved(run, ensemble.src_dir, work)
    trainer = ContinuingTrainer(work.trainer, is_trained, saved)
    return replace(ensemble, trainer=trainer, plan=ComputedPlan(work.splits))


def saved_seed(run: str, src_dir: str | Path) -> int:
    """Return the seed that an earlier run was drawn with.

    Raises: EnsembleError: there is no such run, or its plan is damaged.
    """
    path = run_path(run, src_dir) / f"{run}_plan.json"
    try:
        text = path.read_bytes()
    except OSError:
        raise EnsembleError(f"there is no run {run!r}: {path} cannot be read; train it first") from None
    return Splits.from_json(text, str(path)).seed
