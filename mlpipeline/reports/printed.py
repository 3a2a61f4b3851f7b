"""What a run has printed: its part of `stdout.log`, which the runs of a model directory share."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mlpipeline.reports.history import History, Run

OUTPUT_FILE = "stdout.log"
_HEADER = re.compile(rb"--- [^\n]+\.py:[^\n]* \d{8}T\d{6}-[0-9a-f]+ ---\n\Z")


class Printed:
    """Reads the part of one run, also while it grows.

    Args:
        path: of the file.
        run: whose part it is.
    """

    def __init__(self, path: Path, run: Run) -> None:
        self._path = path
        self._header = f"--- {run.name} {run.run_id} ---\n".encode(errors="backslashreplace")
        self._offset = 0
        self._is_inside = False
        self._is_over = False

    def lines(self, *, with_rest: bool = False) -> Iterator[str]:
        """Yield the lines that have come since, each with its end. Args: with_rest: also one that has no end yet."""
        try:
            file = self._path.open("rb")
        except OSError:
            return
        with file:
            file.seek(self._offset)
            for line in file:
                if self._is_over or not (with_rest or line.endswith(b"\n")):
                    return
                self._offset += len(line)
                before = self._before_header(line)
                if self._is_inside and before:
                    yield before.decode(errors="backslashreplace")
                self._turn(line)

    def _before_header(self, line: bytes) -> bytes:
        """Return what stands before a header: the run before it may have ended without the end of its line."""
        header = _HEADER.search(line)
        return line[: header.start()] if header else line.removesuffix(self._header)

    def _turn(self, line: bytes) -> None:
        is_own = line.endswith(self._header)
        self._is_over = self._is_inside and not is_own and _HEADER.search(line) is not None
        self._is_inside = self._is_inside or is_own

    @property
    def was_found(self) -> bool:
        """Whether the part has begun."""
        return self._is_inside


def printed_by(history: History, run: Run) -> Printed | None:
    """Return what reads the output of a run; None where its record names no folder of this project."""
    folder = history.folder(run)
    return None if folder is None else Printed(folder / OUTPUT_FILE, run)
