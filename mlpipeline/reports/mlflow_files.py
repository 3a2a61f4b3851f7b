"""The files of a run that go to MLflow: what it saved, printed and was made of, and its model."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mlpipeline.locks import goes_on
from mlpipeline.project import ARTIFACTS_FOLDER, METRICS_FILE
from mlpipeline.records import Status
from mlpipeline.reports.difference import kept_code
from mlpipeline.reports.history import History, Run
from mlpipeline.reports.printed import OUTPUT_FILE
from mlpipeline.reports.run_log import LogTail

_LONGEST_OUTPUT = 5_000_000
_NO_MODEL = re.compile(r"\..*|checkpoint.*\.safetensors|.*\.tmp|" + re.escape(OUTPUT_FILE) + "|" + METRICS_FILE)


class Upload(NamedTuple):
    """A file, and the folder among a run's artifacts that it goes to; empty for the top."""

    path: Path
    folder: str


def files_of(history: History, run: Run, *, owns_model: bool) -> Iterator[Upload]:
    """Yield what a run has saved and its code and, if it succeeded, its model.

    Args:
        owns_model: no later run has written into the same model directory.
    """
    folder = history.folder(run)
    if folder is None:
        return
    if re.fullmatch(r"\w[\w.-]*", run.run_id):  # a journal may be written by anybody
        yield from _below(folder / ARTIFACTS_FOLDER / run.run_id)
    if re.fullmatch(r"[0-9a-f]+", run.source_digest):
        for name, path in (kept_code(history, run) or {}).items():
            yield Upload(path, f"code/{name}".rpartition("/")[0])
    has_model = owns_model and run.status in list(Status) and Status(run.status).is_done
    if has_model and not goes_on(history.project, run.model_dir):
        yield from (Upload(path, "model") for path in _files(folder) if not _NO_MODEL.fullmatch(path.name))


def printed_by(history: History, run: Run) -> str:
    """Return what a run has printed, or the end of it where it is long."""
    folder = history.folder(run)
    piece = LogTail(folder, run, most=_LONGEST_OUTPUT).read() if folder else None
    return piece.text if piece else ""


def _below(folder: Path) -> Iterator[Upload]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            inner = path.parent.relative_to(folder).as_posix()
            yield Upload(path, inner if inner != "." else "")


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_file() and not path.is_symlink())
    except OSError:
        return []
