"""RunFolder: the files of a run: its plan, each member as soon as it is ready, and what they give together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from mlpipeline.ensemble.member import Member, Work
from mlpipeline.ensemble.result import EnsembleResult


@dataclass(frozen=True, eq=False)
class RunFolder:
    """Where a run keeps its files; None keeps nothing."""

    folder: Path | None
    work: Work
    save_model: bool = True

    @classmethod
    def open(cls, name: str | None, src_dir: str | Path, work: Work, *, resume: bool, save_model: bool) -> Self:
        """Make the folder of a run, or go on with one."""
        return cls(None, work, save_model)

    def read_members(self) -> dict[int, Member]:
        """Return the members that an earlier process has finished."""
        return {}

    def keep(self, member: Member) -> None:
        """Write a member."""

    def finish(self, result: EnsembleResult) -> None:
        """Write what the members give together."""
