"""Trainer: what an ensemble asks of whatever it trains; one small protocol for Keras, torch and scikit-learn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from numpy.typing import NDArray

from mlpipeline.ensemble.observations import Part
from mlpipeline.ensemble.targets import Targets
from mlpipeline.errors import EnsembleError

Report = Callable[[int, int | None, Mapping[str, float]], None]
History = dict[str, list[float]]


def silent(step: int, total: int | None, metrics: Mapping[str, float]) -> None:
    """Report nothing."""


@dataclass(frozen=True, eq=False)
class Assignment:
    """What one member is trained on and with.

    Args:
        number: of the member, from 0; None where one model is trained on all rows.
        name: of the member: `fold0`.
        seed: for weights, order of rows, dropout and augmentation: everything that is drawn.
        train: its training rows, less those of `stopping`.
        valid: its validation rows, for curves alone: nothing may be chosen by them.
        stopping: rows held back from its training rows, by which the best epoch is chosen; None for the last epoch.
        targets: what y says.
        is_trial: one step is enough; nothing is kept.
        report: told of progress: steps done, steps in all, metrics.
        initial: a fitted member to go on from; None to begin anew.
    """

    number: int | None
    name: str
    seed: int
    train: Part
    targets: Targets
    valid: Part | None = None
    stopping: Part | None = None
    is_trial: bool = False
    report: Report = silent
    initial: Fitted | None = None


@dataclass(frozen=True, eq=False)
class Fitted:
    """A trained member.

    Args:
        model: as the library has it.
        history: one number an epoch, by name: `loss`, `val_accuracy` of the validation rows, `stop_loss` of the rows
            held back.
        best_epoch: from 1, the epoch whose weights the model has; None for what knows no epochs.
        statistics: arrays that predicting needs besides the model: means of the training images, say.
    """

    model: Any
    history: History = field(default_factory=dict)
    best_epoch: int | None = None
    statistics: dict[str, NDArray[Any]] = field(default_factory=dict)


@runtime_checkable
class Trainer(Protocol):
    """Trains, predicts with, saves and loads one kind of model. It is never changed by that.

    Attributes:
        suffix: of files with weights: ".keras".
        accepts_missing: NaN in X is its own business.
        task: "classes", "values", or None where y tells.
        has_epochs: False where there are none to choose from: no rows are held back for that. True if it is missing.
    A trainer that can train many members at once also has `fit_together(assignments, forced) -> list[Fitted] | None`:
    None where these cannot be trained at once or, unless it is forced, where that would not be faster. Why is logged.
    """

    @property
    def suffix(self) -> str: ...

    @property
    def accepts_missing(self) -> bool: ...

    @property
    def task(self) -> str | None: ...

    def fit(self, assignment: Assignment) -> Fitted:
        """Train one member; the state of random generators outside is as before."""
        ...

    def predict(self, fitted: Fitted, X: Any, *, seed: int = 0, is_test: bool = False) -> NDArray[Any]:
        """Return float[n, outputs]: values; probabilities of the classes, of two classes that of the second alone.

        Args:
            fitted: what `fit` returned. X: rows, prepared as the training rows were.
            seed: of what is drawn, where predictions are averaged over augmented copies.
            is_test: the rows are test rows, which may be augmented in another way.
        """
        ...

    def save(self, fitted: Fitted, path: Path) -> None:
        """Write the model to a file that holds no pickle."""
        ...

    def load(self, path: Path) -> Any:
        """Read what `save` wrote: the model. Raises: EnsembleError: the file is damaged or of another model."""
        ...


def as_trainer(trainer: Any) -> Trainer:
    """Return a trainer for what stands for one: a trainer, or a scikit-learn estimator.

    Raises: EnsembleError: it is neither.
    """
    if isinstance(trainer, Trainer) and not isinstance(trainer, type):
        return trainer
    needed = ("suffix", "accepts_missing", "task", "fit", "predict", "save", "load")
    missing = [name for name in needed if not hasattr(trainer, name)]
    meant = len(missing) <= len(needed) // 2 and not isinstance(trainer, type) and not hasattr(trainer, "get_params")
    if meant:
        raise EnsembleError(f"{type(trainer).__name__} is no Trainer yet: it has no {', '.join(missing)}")
    from mlpipeline.ensemble.sklearn_trainer import SklearnTrainer

    return SklearnTrainer(trainer)
