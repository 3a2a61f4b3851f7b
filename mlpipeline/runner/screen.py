"""What the daemon tells whoever watches; the command line decides how it looks."""

from __future__ import annotations

from typing import Protocol

from mlpipeline.board import Board
from mlpipeline.records import Result


class Screen(Protocol):
    """Told of everything that a person may want to see."""

    def say(self, message: str) -> None:
        """Something worth knowing has happened."""

    def warn(self, message: str) -> None:
        """Something is not as it should be; the work goes on."""

    def started(self, script: str, version: str, *, resumed: bool) -> None:
        """A run has begun."""

    def ended(self, script: str, version: str | None, result: Result) -> None:
        """A run has ended, or with version None a script could not be loaded."""

    def printed(self, text: str, prefix: str) -> None:
        """A run has printed this; the prefix tells it from others that run beside it."""

    def show(self, board: Board) -> None:
        """The state of things at this moment; called several times a second."""
