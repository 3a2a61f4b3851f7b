"""What has happened since the daemon was started, and which versions need no further run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from mlpipeline.records import Result, Status
from mlpipeline.runner.options import Options
from mlpipeline.runner.plan import Candidate, Outcome, is_done, is_settled

MOST_RESTLESS = 3

Key = tuple[str, str | None]


class Session:
    """Counts what ended, and remembers how each version ended last.

    Args:
        options: what the command line asked for.
        last: how a version ended last, in any session.

    Attributes:
        done: runs that succeeded.
        failed: runs and listings that did not, unless they were interrupted.
        seconds: of all runs together.
        skipped: versions that had succeeded before.
    """

    def __init__(self, options: Options, last: Callable[[str, str | None], Outcome | None]) -> None:
        self._options = options
        self._last = last
        self._outcomes: dict[Key, Outcome] = {}
        self._restless: Counter[Key] = Counter()
        self.done = 0
        self.failed = 0
        self.seconds = 0.0
        self.skipped: set[Key] = set()

    def is_settled(self, script: str, version: str | None, fingerprint: str) -> bool:
        """Tell whether a version needs no further run, as its code and parameters are now."""
        key = (script, version)
        if not self._options.includes(script, version) or self._restless[key] > MOST_RESTLESS:
            return True
        outcome = self._outcomes.get(key)
        if not self._options.uses_history:
            return is_settled(fingerprint, outcome)
        if outcome is None and is_done(fingerprint, self._last(script, version)):
            self.skipped.add(key)
            return True
        return outcome is not None and outcome.fingerprint == fingerprint

    def add(self, candidate: Candidate, result: Result, fingerprint_now: str) -> bool:
        """Take in how a run ended; return whether the version has become restless and is not to run again.

        A person who edits a script while it runs wants it to run again; a script that changes its own modules
        would run for ever.

        Args:
            candidate: what ran.
            result: how it ended.
            fingerprint_now: of the sources as they are at its end.
        """
        key = (candidate.script, candidate.name)
        self._outcomes[key] = Outcome(result.status, candidate.fingerprint)
        self.seconds += result.seconds
        self.count(result)
        if fingerprint_now == candidate.fingerprint:
            del self._restless[key]
            return False
        self._restless[key] += 1
        return self._restless[key] > MOST_RESTLESS

    def count(self, result: Result) -> None:
        """Count a run, or the listing of a script that could not be loaded."""
        if Status(result.status).is_done:
            self.done += 1
        elif result.status != Status.INTERRUPTED:
            self.failed += 1

    def is_empty(self) -> bool:
        """Tell whether nothing has run and nothing was skipped."""
        return not (self.done or self.failed or self.skipped)

    def mean_seconds(self) -> float:
        """Return the mean time of a run; 0 before the first has ended."""
        ended = self.done + self.failed
        return self.seconds / ended if ended else 0.0
