"""EnsembleResult: what an ensemble has learnt and predicted, put together from its members."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpipeline.ensemble.checks import check_test_rows
from mlpipeline.ensemble.leaks import LeakReport, leak_report
from mlpipeline.ensemble.member import Member, Work, member_seed, predict
from mlpipeline.ensemble.observations import as_inputs, check_finite
from mlpipeline.ensemble.scores import Summary, summarize
from mlpipeline.ensemble.splits import Split, Splits
from mlpipeline.ensemble.targets import Targets
from mlpipeline.ensemble.trainer import History
from mlpipeline.errors import EnsembleError


@dataclass(frozen=True, eq=False)
class EnsembleResult:
    """The members of a finished ensemble and what they say together.

    Args:
        work: what all members have in common: trainer, rows, plan.
        members: in the order of the plan.
        oof: float[n, outputs], for each training row the mean over the members that had it in their validation part;
            NaN where none had.
        test: float[n_test, outputs], the mean over all members; None without test rows.
    """

    work: Work
    members: tuple[Member, ...]
    oof: NDArray[Any]
    test: NDArray[Any] | None

    @property
    def splits(self) -> Splits:
        """The plan, computed."""
        return self.work.splits

    @property
    def targets(self) -> Targets:
        """What y says; `targets.classes` names the columns of predictions of classes."""
        return self.work.targets

    def __repr__(self) -> str:
        scores = ", ".join(f"{name} {summary}" for name, summary in self.scores.items())
        return f"EnsembleResult({len(self.members)} members of {self.splits.description}: {scores or 'not scored'})"

    @property
    def histories(self) -> dict[str, History]:
        """What was measured of each member in each epoch, by its name."""
        return {member.name: member.fitted.history for member in self.members}

    @property
    def models(self) -> list[Any]:
        """The model of each member, as its library has it."""
        return [member.model for member in self.members]

    @property
    def test_by_member(self) -> NDArray[Any] | None:
        """Each member's predictions of the test rows, float[members, n_test, outputs]."""
        tests = [member.test for member in self.members if member.test is not None]
        return np.stack(tests) if tests else None

    @property
    def seconds(self) -> dict[str, float]:
        """How long each member took, by name."""
        return {member.name: member.seconds for member in self.members}

    @cached_property
    def scores(self) -> dict[str, Summary]:
        """The members' scores of their own validation rows, by metric, with mean, deviation and interval."""
        share = float(np.mean([len(split.valid) / len(split.train) for split in self.splits]))
        return {name: summarize([member.scores[name] for member in self.members], share) for name in self.work.metrics}

    @cached_property
    def oof_scores(self) -> dict[str, float]:
        """The scores of the out-of-fold predictions as a whole, over the rows that were predicted."""
        rows = self.predicted_rows
        y = self.work.observations.y[rows]
        return {name: metric(self.targets, y, self.oof[rows]) for name, metric in self.work.metrics.items()}

    @property
    def predicted_rows(self) -> NDArray[np.int64]:
        """The numbers of the rows that have an out-of-fold prediction."""
        return np.flatnonzero(~np.isnan(self.oof).any(axis=1)).astype(np.int64)

    def leaks(self) -> LeakReport:
        """Look for what training rows know of the rows that judge the members: duplicates, split groups, scaling."""
        rows = self.work.observations
        return leak_report(rows.X, rows.y, self.splits, rows.groups, self.work.preprocessing)

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the mean of all members' predictions of raw rows, float[n, outputs].

        Raises: EnsembleError: the rows are not like those that it was trained on.
        """
        X, seed = as_inputs(X), self.work.seed
        check_test_rows(self.work.observations.X, X)
        if not self.work.trainer.accepts_missing and self.work.preprocessing is None:
            check_finite(X)
        parts = [
            predict(self.work, member.fitted, member.preparation, X, member_seed(seed, member.number), is_test=True)
            for member in self.members
        ]
        return mean_prediction(parts)


def assemble(work: Work, members: Sequence[Member]) -> EnsembleResult:
    """Put the members' predictions together.

    Raises: EnsembleError: a member is missing, or members have different numbers of outputs.
    """
    missing = sorted(set(range(len(work.splits))) - {member.number for member in members})
    if missing:
        raise EnsembleError(f"{work.splits.name(missing[0])} is missing; {len(missing)} of {len(work.splits)} are")
    ordered = tuple(sorted(members, key=lambda member: member.number))
    oof = assemble_oof(work.splits.members, [member.valid for member in ordered], work.splits.row_count)
    tests = [member.test for member in ordered if member.test is not None]
    return EnsembleResult(work, ordered, oof, mean_prediction(tests) if tests else None)


def assemble_oof(members: Sequence[Split], predictions: Sequence[NDArray[Any]], row_count: int) -> NDArray[Any]:
    """Place each member's validation predictions at their rows; a row of several members gets their mean.

    Args:
        members: their rows.
        predictions: per member float[n_valid, outputs].
        row_count: of all rows.
    Returns: float[row_count, outputs], NaN where a row was never predicted.
    Raises: EnsembleError: predictions of members differ in their outputs, or in number from their rows.
    """
    shapes = {part.shape[1:] for part in predictions}
    if len(shapes) != 1 or any(len(split.valid) != len(part) for split, part in zip(members, predictions, strict=True)):
        raise EnsembleError(
            f"the predictions of the members do not fit together: {[part.shape for part in predictions]}"
        )
    total = np.zeros((row_count, *shapes.pop()), dtype=np.float64)
    count = np.zeros(row_count, dtype=np.int64)
    for split, part in zip(members, predictions, strict=True):
        np.add.at(total, split.valid, part)
        np.add.at(count, split.valid, 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / count.reshape(-1, *[1] * (total.ndim - 1))
    return mean.astype(np.result_type(*predictions))


def mean_prediction(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Return the mean over members, float[n, outputs], summed in the order of the members."""
    total = np.zeros(parts[0].shape, dtype=np.float64)
    for part in parts:
        total += part
    return (total / len(parts)).astype(parts[0].dtype)
