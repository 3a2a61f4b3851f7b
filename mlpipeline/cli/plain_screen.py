"""Plain lines, for pipes, files and CI."""

from __future__ import annotations

import logging
from collections import Counter, deque

import click

from mlpipeline.board import Board, EndedRow
from mlpipeline.records import Result, Status

_LONGEST_TABLE = 500  # a daemon may run for weeks
_LOG = logging.getLogger("mlpipeline.screen")


class PlainScreen:
    """Prints a line when a run starts or ends, and a table at the end.

    Args:
        quiet: only warnings and failures.
    """

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._counts: Counter[str] = Counter()
        self._ended: deque[EndedRow] = deque(maxlen=_LONGEST_TABLE)
        self._last = Board()

    def say(self, message: str) -> None:
        _LOG.info("%s", message)
        if not self._quiet:
            self._print(message)

    def warn(self, message: str) -> None:
        _LOG.warning("%s", message)
        self._print(f"warning: {message}", is_problem=True)

    def started(self, script: str, version: str, *, resumed: bool) -> None:
        verb = "resumes" if resumed else "runs"
        _LOG.info("%s:%s %s", script, version, verb)
        if not self._quiet:
            self._show_started(f"{script}:{version} {verb}")

    def ended(self, script: str, version: str | None, result: Result) -> None:
        name = f"{script}:{version}" if version else script
        level = logging.INFO if Status(result.status).is_done else logging.ERROR
        detail = format_metrics(result.metrics) if level == logging.INFO else result.error_summary
        _LOG.log(level, "%s %s in %.2f s  %s", name, result.status, result.seconds, detail)
        self._counts[result.status] += 1
        self._ended.append(
            EndedRow(script, version or "", result.status, result.seconds, result.metrics, result.error_summary)
        )
        if result.status == Status.INTERRUPTED:
            self._print(f"{name} {result.status} in {result.seconds:.2f} s", is_problem=True)
        elif level == logging.ERROR:
            self._print(f"{name} {result.status} in {result.seconds:.2f} s: {result.error_summary}", is_problem=True)
            if result.error.strip() != result.error_summary:
                self._print_error(result.error)
        elif not self._quiet:
            self._print(f"{name} {result.status} in {result.seconds:.2f} s  {detail}")

    def printed(self, text: str, prefix: str) -> None:
        if not self._quiet:
            self._print("\n".join(prefix + line for line in text.removesuffix("\n").split("\n")))

    def show(self, board: Board) -> None:
        self._last = board

    def stop(self) -> None:
        """Leave the terminal as it was."""

    def close(self) -> None:
        """Print the counts."""
        self.stop()
        if self._quiet:
            return
        pruned, interrupted = self._counts[Status.PRUNED], self._counts[Status.INTERRUPTED]
        failed = self._counts.total() - self._counts[Status.SUCCEEDED] - pruned - interrupted
        counts = f"{self._counts[Status.SUCCEEDED]} succeeded, {failed} failed" + (
            f", {pruned} pruned" if pruned else ""
        )
        skipped = f", {self._last.skipped} skipped (succeeded before)" if self._last.skipped else ""
        left = f", {self._last.queued} left" if self._last.queued else ""
        resume = f", {interrupted} interrupted; `mlpipeline -r -u` resumes" if interrupted else ""
        self._print(f"{counts}{skipped}{left}{resume}")

    def _show_started(self, line: str) -> None:
        self._print(line)

    def _print(self, text: str, *, is_problem: bool = False) -> None:
        click.echo(printable(text), err=is_problem)

    def _print_error(self, error: str) -> None:
        if error.strip():
            self._print(error.rstrip("\n"), is_problem=True)


def printable(text: str) -> str:
    """Return a text that any stream takes: a script may raise with bytes that are no Unicode."""
    return text.encode(errors="backslashreplace").decode()


def format_metrics(metrics: dict[str, float]) -> str:
    """Return metrics in one line."""
    return "  ".join(f"{name}={float(value):.4g}" for name, value in metrics.items())


def format_seconds(seconds: float) -> str:
    """Return a duration as people read it: 12.3 s, 4 min 05 s, 3 h 20 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = int(seconds) // 60
    if minutes < 60:
        return f"{minutes} min {int(seconds) % 60:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
