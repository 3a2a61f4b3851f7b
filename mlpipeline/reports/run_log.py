"""What a run has printed and goes on printing, piece by piece."""

from __future__ import annotations

import stat
from collections import deque
from pathlib import Path
from typing import NamedTuple

from mlpipeline.reports.history import Run
from mlpipeline.reports.printed import OUTPUT_FILE, Printed


class LogPiece(NamedTuple):
    """What came since the last time. Args: is_anew: it takes the place of all that came before."""

    text: str
    is_anew: bool


class _File(NamedTuple):
    device: int
    inode: int
    size: int


class LogTail:
    """Follows what a run prints.

    Args:
        folder: the model directory.
        run: whose part of the output is meant.
        most: characters that are given at once; of more, only the last ones.
    """

    def __init__(self, folder: Path, run: Run, most: int = 200_000) -> None:
        self._path = folder / OUTPUT_FILE
        self._run = run
        self._most = most
        self._printed: Printed | None = None
        self._file: _File | None = None

    def read(self) -> LogPiece | None:
        """Return what was printed since the last time; None where that is nothing. The first piece is always given."""
        before, self._file = self._file, self._found()
        is_other = self._file is None or before is None or self._file[:2] != before[:2] or self._file.size < before.size
        is_anew = self._printed is None or (is_other and before != self._file)
        if self._printed is None or is_other:  # the script may have removed it, and begun another
            self._printed = Printed(self._path, self._run)
        text, is_cut = self._come() if self._file is not None and self._file != before else ("", False)
        return LogPiece(text, is_anew or is_cut) if text or is_anew or is_cut else None

    def _found(self) -> _File | None:
        try:
            status = self._path.stat()
        except OSError:  # nothing was printed yet
            return None
        # a pipe in its place would be waited for
        return _File(status.st_dev, status.st_ino, status.st_size) if stat.S_ISREG(status.st_mode) else None

    def _come(self) -> tuple[str, bool]:
        """Return the last of what has come, and whether something before it was left out."""
        assert self._printed is not None
        lines: deque[str] = deque()
        size, is_cut = 0, False
        for line in self._printed.lines(with_rest=True):
            lines.append(line[-self._most :])
            size += len(lines[-1])
            while size > self._most:
                size, is_cut = size - len(lines.popleft()), True
        return "".join(lines), is_cut
