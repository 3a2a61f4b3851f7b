"""What the command line may ask of the daemon, as values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from mlpipeline.errors import ScriptError, did_you_mean
from mlpipeline.selection import Selection, matches


@dataclass(frozen=True)
class Options:
    """How the queue is to be run.

    Args:
        uses_history: skip versions that succeeded before with the same code and parameters; resume unfinished ones.
        writes_logs: write the log and the outputs file.
        slots: how many runs at once.
        watches: stay alive when nothing is left.
        only: run nothing else, listed in the queue file or not; empty for the whole queue.
        timeout_seconds: the longest that a run may take; None for no limit.
        relays_output: show what runs print.
    """

    uses_history: bool = False
    writes_logs: bool = True
    slots: int = 1
    watches: bool = False
    only: tuple[Selection, ...] = ()
    timeout_seconds: float | None = None
    relays_output: bool = False

    def includes(self, script: str, version: str | None) -> bool:
        """Tell whether a version may run."""
        return not self.only or any(selection.includes(script, version) for selection in self.only)


class SelectedScripts:
    """The scripts that `--only` names, in the place of a queue file."""

    def __init__(self, only: Sequence[Selection], available: Callable[[], Sequence[str]]) -> None:
        self._only = only
        self._available = available
        self._last: list[str] = []
        self.missing: list[str] = []

    def read(self) -> list[str]:
        """Return the scripts. Raises: ScriptError: a selection means none, at the first reading."""
        try:
            self._last = select_scripts(self._only, self._available())
        except ScriptError:  # later it may just be saved
            if not self._last:
                raise
        return self._last

    def changed_at(self) -> float:
        """Return 0: a command line does not change."""
        return 0.0


def select_scripts(only: Sequence[Selection], available: Sequence[str]) -> list[str]:
    """Return the scripts that selections mean.

    Raises: ScriptError: one means none.
    """
    chosen: dict[str, None] = {}
    for selection in only:
        found = [script for script in available if matches(selection.script, script)]
        if not found:
            near = did_you_mean(selection.script, available)
            raise ScriptError(f"--only: no script with a MODEL is named {selection.script}{near}")
        chosen.update(dict.fromkeys(found))
    return list(chosen)


def check_versions(only: Sequence[Selection], script: str, versions: Sequence[str]) -> None:
    """Raises: ScriptError: a selection names a version that the script does not have."""
    for selection in only:
        wanted = selection.version
        if wanted is None or not matches(selection.script, script):
            continue
        if not any(fnmatchcase(name, wanted) for name in versions):
            near = did_you_mean(wanted, versions) or f"; it has {', '.join(versions[:10])}"
            raise ScriptError(f"--only: {script} has no version {wanted}{near}")
