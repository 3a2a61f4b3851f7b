"""The lines of a journal that are whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path


def whole_lines(path: Path, offset: int) -> Iterator[bytes]:
    """Yield the lines of a file from an offset on, each with its end.

    A line without an end is left for the next time: it is torn by a crash, or just being written.

    Raises: OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        file.seek(offset)
        for line in file:
            if not line.endswith(b"\n"):
                return
            yield line
