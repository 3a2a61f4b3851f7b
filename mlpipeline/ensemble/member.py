"""Member: one bag or fold, from its rows to its predictions and scores.

train_member
    assignment_of     its rows, what prepares them, weights, the rows held back
    Trainer.fit
    judged            predictions of validation and test rows, and the scores
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpipeline.ensemble.observations import Observations, Part, check_finite, count_rows, take
from mlpipeline.ensemble.preparation import Preparation, fit_and_prepare, fit_preparation
from mlpipeline.ensemble.scores import Metric
from mlpipeline.ensemble.splits import RowNumbers, Split, Splits
from mlpipeline.ensemble.targets import CLASSES, Targets
from mlpipeline.ensemble.trainer import Assignment, Fitted, Report, Trainer, silent
from mlpipeline.errors import EnsembleError


@dataclass(frozen=True, eq=False)
class Work:
    """What all members have in common; it can be sent to another process.

    Args:
        trainer: trains each.
        observations: all rows.
        targets: what y says.
        splits: the plan, computed.
        X_test: rows that every member predicts; None for none.
        metrics: by name.
        preprocessing: fitted on each member's training rows alone; None for none.
        stopping_size: share of a member's training rows held back to choose the best epoch by; 0 for none.
        class_weight: "balanced", weights by label, or None.
        seed: of the ensemble.
        is_trial: one step a member.
    """

    trainer: Trainer
    observations: Observations
    targets: Targets
    splits: Splits
    X_test: Any = None
    metrics: Mapping[str, Metric] = field(default_factory=dict)
    preprocessing: Any = None
    stopping_size: float = 0.0
    class_weight: Any = None
    seed: int = 0
    is_trial: bool = False


@dataclass(frozen=True, eq=False)
class Member:
    """A trained bag or fold.

    Args:
        number, name: from 0, `fold0`.
        fitted: the model, its history and best epoch.
        preparation: what was fitted on its training rows to prepare rows; None for nothing.
        valid: float[n_valid, outputs], its predictions of its validation rows.
        test: float[n_test, outputs]; None without test rows.
        scores: of `valid`, by metric.
        seconds: that training and predicting took.
    """

    number: int
    name: str
    fitted: Fitted
    preparation: Preparation | None
    valid: NDArray[Any]
    test: NDArray[Any] | None
    scores: dict[str, float]
    seconds: float

    def __repr__(self) -> str:
        scores = ", ".join(f"{name} {score:.4f}" for name, score in self.scores.items())
        return f"Member({self.name}: {scores or 'not scored'})"

    @property
    def model(self) -> Any:
        """The model, as its library has it."""
        return self.fitted.model


def train_member(work: Work, number: int, report: Report = silent, initial: Fitted | None = None) -> Member:
    """Train one member and predict with it.

    Args:
        work: what all members have in common. number: of the member.
        report: told of progress. initial: a fitted member to go on from.
    Raises: EnsembleError: its rows cannot be used.
    """
    started = time.perf_counter()
    preparation, assignment = assignment_of(work, number, report, initial)
    try:
        fitted = work.trainer.fit(assignment)
        return judged(work, number, preparation, fitted, started)
    except Exception as error:
        error.add_note(f"while {assignment.name} was trained or predicted")
        raise


def assignment_of(
    work: Work, number: int, report: Report = silent, initial: Fitted | None = None
) -> tuple[Preparation | None, Assignment]:
    """Return what a member is trained on, prepared by what was fitted on its training rows alone."""
    split, seed = work.splits.members[number], member_seed(work.seed, number)
    train_rows, stopping_rows = _held_back(work, split, seed)
    train, preparation = replace(_part(work, train_rows), weights=_weights(work, train_rows)), None
    if work.preprocessing is not None:
        preparation, prepared = fit_and_prepare(work.preprocessing, train, seed)
        train = replace(train, source=prepared, rows=None)
    valid, stopping = (
        None if rows is None or not len(rows) else _prepared(work, preparation, rows)
        for rows in (split.valid, stopping_rows)
    )
    name = work.splits.name(number)
    if preparation is not None and not work.trainer.accepts_missing:
        for part in filter(None, (train, valid, stopping)):
            check_finite(part.source, f"{name}: X after preprocessing")
    return preparation, Assignment(
        number, name, seed, train, work.targets, valid, stopping, work.is_trial, report, initial
    )


def preparation_of(work: Work, number: int) -> Preparation | None:
    """Return what prepares a member's rows, fitted to its training rows again, without training it."""
    seed = member_seed(work.seed, number)
    train_rows, _ = _held_back(work, work.splits.members[number], seed)
    return fit_preparation(work.preprocessing, _part(work, train_rows), seed)


def judged(work: Work, number: int, preparation: Preparation | None, fitted: Fitted, started: float) -> Member:
    """Return a fitted member with its predictions and scores."""
    split, seed = work.splits.members[number], member_seed(work.seed, number)
    rows = split.valid if len(split.valid) else split.train[:1]  # which tells the number of outputs, if nothing else
    valid = predict(work, fitted, preparation, take(work.observations.X, rows), seed, is_test=False)[: len(split.valid)]
    test = None if work.X_test is None else predict(work, fitted, preparation, work.X_test, seed, is_test=True)
    y = work.observations.y[split.valid]
    scores = {name: metric(work.targets, y, valid) for name, metric in work.metrics.items()}
    seconds = time.perf_counter() - started
    return Member(number, work.splits.name(number), fitted, preparation, valid, test, scores, seconds)


def predict(
    work: Work,
    fitted: Fitted,
    preparation: Preparation | None,
    X: Any,
    seed: int,
    *,
    is_test: bool,
) -> NDArray[Any]:
    """Return a member's predictions of raw rows, float[n, outputs].

    Raises: EnsembleError: they have another shape, or are no finite numbers.
    """
    prepared = X if preparation is None else preparation.transform(X)
    if preparation is not None and not work.trainer.accepts_missing:
        check_finite(prepared, "X after preprocessing")
    predictions = np.asarray(work.trainer.predict(fitted, prepared, seed=seed, is_test=is_test))
    count = count_rows(X)
    if predictions.ndim == 1:
        predictions = predictions[:, None]
    if predictions.dtype.kind != "f":  # whole numbers would cut off their mean
        predictions = predictions.astype(np.float64)
    if predictions.ndim != 2 or len(predictions) != count:
        raise EnsembleError(f"expected predictions [{count}, outputs], but the model gave {predictions.shape}")
    if work.targets.kind == CLASSES and work.targets.classes is not None:
        expected = len(work.targets.classes)
        if predictions.shape[1] not in (expected, 1 if expected == 2 else expected):
            raise EnsembleError(
                f"there are {expected} classes, but the model has {predictions.shape[1]} outputs; "
                f"its last layer needs {expected}" + (", or 1 for the second class alone" if expected == 2 else "")
            )
    if not np.isfinite(predictions).all():
        raise EnsembleError(
            "the model predicts numbers that are not finite: training diverged; lower the learning rate"
        )
    return predictions


def member_seed(seed: int, number: int) -> int:
    """Return the seed of one member, far from those of its neighbours."""
    return int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint32)[0])


def _held_back(work: Work, split: Split, seed: int) -> tuple[RowNumbers, RowNumbers | None]:
    """Return a member's training rows and those held back from them, by groups, or with the shares of the classes.

    Raises: EnsembleError: there are too few rows or groups.
    """
    if not work.stopping_size or not getattr(work.trainer, "has_epochs", True):  # rows held back would be lost
        return split.train, None
    from sklearn.model_selection import GroupShuffleSplit, ShuffleSplit, StratifiedShuffleSplit

    rows = split.train
    groups, strata = _groups_of(work, rows), None
    if groups is None and work.targets.kind == CLASSES:
        strata = work.targets.indices(work.observations.y[rows])
    kinds = [ShuffleSplit] if groups is None else [GroupShuffleSplit]
    message = ""
    for kind in kinds if strata is None else [StratifiedShuffleSplit, *kinds]:
        splitter = kind(1, test_size=work.stopping_size, random_state=seed)
        try:
            train, stopping = next(splitter.split(rows, strata, groups))
        except ValueError as error:  # a class too rare to be on both sides: then without regard to classes
            message = str(error)
        else:
            return rows[np.sort(train)], rows[np.sort(stopping)]
    raise EnsembleError(f"stopping_size={work.stopping_size} cannot hold back some of {len(rows)} rows: {message}")


def _groups_of(work: Work, rows: RowNumbers) -> NDArray[Any] | None:
    """Return what must not be on both sides: the user's groups, or copies of a row that a bag has several times."""
    if work.observations.groups is not None:
        return np.asarray(work.observations.groups[rows])
    return rows if len(np.unique(rows)) < len(rows) else None


def _part(work: Work, rows: RowNumbers) -> Part:
    weights = work.observations.weights
    return Part(work.observations.X, rows, work.observations.y[rows], None if weights is None else weights[rows])


def _prepared(work: Work, preparation: Preparation | None, rows: RowNumbers) -> Part:
    part = _part(work, rows)
    return part if preparation is None else replace(part, source=preparation.transform(part.X), rows=None)


def _weights(work: Work, rows: RowNumbers) -> NDArray[np.float64] | None:
    """Return the weights of training rows: the user's own, times those of their classes."""
    own = work.observations.weights
    if work.class_weight is None:
        return None if own is None else np.asarray(own[rows], dtype=np.float64)
    assert work.targets.classes is not None
    numbers = work.targets.indices(work.observations.y[rows])
    if isinstance(work.class_weight, Mapping):
        by_class = np.array([work.class_weight.get(label, 1.0) for label in work.targets.classes.tolist()], np.float64)
    else:  # balanced: each class that is there counts as much as any other
        counts = np.bincount(numbers, minlength=len(work.targets.classes))
        by_class = len(rows) / (np.count_nonzero(counts) * np.maximum(counts, 1))
    weights = np.asarray(by_class[numbers], dtype=np.float64)
    return weights if own is None else weights * own[rows]
