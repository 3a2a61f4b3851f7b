"""MemberRun: one bag or fold as a run of its own, and the ensemble put together once all of them are there.

MemberRun.member      found in its folder, or trained and written there
MemberRun.gather      under the ensemble's lock: the other members, if they are of the same work
    assemble          out-of-fold and test predictions
    EnsembleFolder.write
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from mlpipeline.ensemble.ensemble_folder import EnsembleFolder, content_digest
from mlpipeline.ensemble.identity import DATA, Identity, differences, identity_of
from mlpipeline.ensemble.member import Member, Work, train_member
from mlpipeline.ensemble.member_files import MemberFiles
from mlpipeline.ensemble.observations import Observations
from mlpipeline.ensemble.result import EnsembleResult, assemble
from mlpipeline.ensemble.targets import as_targets, check_alike
from mlpipeline.ensemble.trainer import Report
from mlpipeline.errors import EnsembleError

FILES_BEGIN_WITH = "member"
RUN_AGAIN_FOR = ("script", "parameters")


class Missing(NamedTuple):
    """A member that the ensemble cannot be put together without.

    Args:
        why: in words.
        is_due: a run of it is still to come.
    """

    why: str
    is_due: bool


@dataclass(frozen=True, eq=False)
class RunFiles(MemberFiles):
    """The files of a member in the folder of its run.

    Args:
        known_as: what the work is known by: data, plan, trainer, and the run's code and parameters.
    """

    known_as: Identity = field(default_factory=dict)

    @property
    def identity(self) -> Identity:
        """What the work is known by."""
        return self.known_as

    def read_if_same(self, number: int) -> Member | Missing:
        """Return a member that is there and was trained in the same work, or why there is none.

        Raises: EnsembleError: its file is damaged.
        """
        name = self.work.splits.name(number)
        if not self.path(number).exists():
            return Missing(f"{name} is still to come", is_due=True)
        record, arrays = self._unpacked(number)
        kept = record["work"]
        if different := differences(kept, self.identity):
            # the queue runs a version again when its code or parameters change, but knows nothing of data
            is_due = any(kept.get(part) != self.identity.get(part) for part in RUN_AGAIN_FOR)
            return Missing(f"{name} was trained in other work: {'; '.join(different)}", is_due)
        return self._member(number, record, arrays)


@dataclass(frozen=True, eq=False)
class MemberRun:
    """A member that is to be trained in a folder of its own.

    Args:
        ensemble, suffix: the version that it is a member of, and the suffix of that version's folder.
        number: of the member.
        work: what all members have in common.
        known_as: what this work is known by.
        folder: of the ensemble.
        test: the test rows; None for none.
    """

    ensemble: str
    suffix: str
    number: int
    work: Work
    known_as: Identity
    folder: EnsembleFolder
    test: Observations | None = None

    @property
    def name(self) -> str:
        """What the member is called: `fold0`."""
        return self.work.splits.name(self.number)

    def files(self, number: int) -> RunFiles:
        """Return the files of a member."""
        folder = self.folder.member_dir(self.work.splits.name(number))
        return RunFiles(folder, FILES_BEGIN_WITH, self.work, self.known_as)

    def found(self) -> Member | None:
        """Return the member if a run of the same work, which was cut off later, has left it."""
        found = self.files(self.number).read_if_same(self.number)
        return found if isinstance(found, Member) else None

    def trained(self, report: Report) -> Member:
        """Train the member and write it. Raises: EnsembleError: it cannot be trained or written."""
        member = train_member(self.work, self.number, report)
        self.files(self.number).write(member)
        return member

    def gather(self) -> EnsembleResult | list[Missing]:
        """Put the ensemble together if all members are there; return it, or those that are not.

        Two members that end at once see one another: whoever comes second finds both.
        """
        with self.folder.lock():
            found = [self.files(number).read_if_same(number) for number in range(len(self.work.splits))]
            if missing := [each for each in found if isinstance(each, Missing)]:
                return missing
            result = assemble(self.work, [member for member in found if isinstance(member, Member)])
            summary = self._summary(result)
            kept = self.folder.summary() or {}
            if any(kept.get(name) != summary[name] for name in ("work", "ensemble", "predictions")):
                self.folder.write(result, self.test, summary)
        return result

    def test_scores(self, predictions: NDArray[Any] | None) -> dict[str, float]:
        """Return the scores of predictions of the test rows; none where their targets are not known."""
        if predictions is None or self.test is None or self.test.y is None:
            return {}
        y = read_test_targets(self.work, self.test)
        return {name: metric(self.work.targets, y, predictions) for name, metric in self.work.metrics.items()}

    def _summary(self, result: EnsembleResult) -> dict[str, Any]:
        classes = self.work.targets.classes
        return {
            "ensemble": self.ensemble,
            "suffix": self.suffix,
            "targets": self.work.targets.kind,
            "classes": None if classes is None else classes.tolist(),
            "scores": {
                "out_of_fold": result.oof_scores,
                "test": self.test_scores(result.test),
            },
            "members": {member.name: member.scores for member in result.members},
            "predictions": {member.name: content_digest(member.valid, member.test) for member in result.members},
            "work": self.known_as,
        }


def read_test_targets(work: Work, test: Observations) -> NDArray[Any]:
    """Return y of the test rows. Raises: EnsembleError: it does not fit that of the training rows."""
    y = as_targets(test.y, "y of the test part")
    check_alike(work.observations.y, y, ("y", "y of the test part"))
    if len(y) != len(test):
        raise EnsembleError(f"the test part has {len(test)} rows, but its y {len(y)}")
    return y


def trial_of(work: Work, number: int) -> Work:
    """Return work of one step on the rows of one member, which alone makes the ensemble."""
    splits = replace(work.splits, members=(work.splits.members[number],))
    return replace(work, splits=splits, is_trial=True)


def remove_member(model_dir: Path, member: str) -> None:
    """Remove what an earlier run has left of a member, while no other member looks at it."""
    paths = sorted(
        model_dir.glob(f"{FILES_BEGIN_WITH}_*"), key=lambda path: path.suffix != ".npz"
    )  # says that it is done
    if paths:
        with EnsembleFolder.beside(model_dir, member).lock():
            for path in paths:
                path.unlink(missing_ok=True)


def read_ensemble(folder: EnsembleFolder, work: Work) -> EnsembleResult:
    """Return a finished ensemble, to predict with.

    Args:
        folder: of the ensemble. work: what its members have in common, as the script says it now.
    Raises: EnsembleError: it is not finished, its members have been trained anew since, or what prepares rows cannot be
        fitted as it was, since the data or the preprocessing are others.
    """
    summary = folder.summary()
    if summary is None:
        raise EnsembleError(f"{folder.path} holds no finished ensemble; run its members first, with `mlpipeline -r -u`")
    needed = (*DATA, "preprocessing", "stopping_size", "seed")
    kept, now = ({name: each.get(name, {}) for name in needed} for each in (summary["work"], identity_of(work)))
    if different := differences(kept, now):
        raise EnsembleError(f"{folder.path} is of other work than the script says now: {'; '.join(different)}")
    members = []
    for number in range(len(work.splits)):
        model_dir = folder.member_dir(work.splits.name(number))
        member = RunFiles(model_dir, FILES_BEGIN_WITH, work, summary["work"]).read_if_same(number)
        if isinstance(member, Missing):
            raise EnsembleError(f"{folder.path} is being trained anew: {member.why}; let `mlpipeline -r -u` finish it")
        members.append(member)
    return assemble(work, members)
