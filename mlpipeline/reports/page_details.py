"""The details of one run for the page: environment, code, error, log and what it has kept to look at."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlpipeline.reports.difference import kept_code
from mlpipeline.reports.history import History, Run
from mlpipeline.reports.page_artifacts import artifacts_data
from mlpipeline.reports.run_log import LogTail

_LONGEST_LOG = 20_000
_LONGEST_CODE = 200_000


def details_data(history: History, run: Run, *, with_artifacts: bool = True) -> dict[str, Any]:
    """Return what is known of a run beyond its row.

    Args:
        with_artifacts: read figures, tables and predictions too.
    """
    record = history.details(run)
    folder = history.folder(run)
    libraries = record.get("libraries")
    return {
        "id": run.run_id,
        "python": _text(record.get("python")),
        "libraries": {str(key): str(value) for key, value in libraries.items()} if isinstance(libraries, dict) else {},
        "git_clean": record.get("git_clean") if isinstance(record.get("git_clean"), bool) else None,
        "fingerprint": run.fingerprint,
        "source_digest": run.source_digest,
        "model_dir": run.model_dir,
        "error": _text(record.get("error")),
        "code": code_data(kept_code(history, run) or {}),
        "log": log_data(folder, run) if folder else "",
        "artifacts": artifacts_data(folder, run.run_id) if folder and with_artifacts else [],
    }


def code_data(files: Mapping[str, Path]) -> list[dict[str, str]]:
    """Return `name` and `text` of each file of code, as much as there is room for."""
    found, room = [], _LONGEST_CODE
    for name, path in files.items():
        text = _read(path, room)
        room -= len(text)
        found.append({"name": name, "text": text})
    return found


def log_data(folder: Path, run: Run, most: int = _LONGEST_LOG) -> str:
    """Return the last part of what a run has printed."""
    piece = LogTail(folder, run, most).read()
    return piece.text if piece else ""


def _read(path: Path, most: int) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    text = content[:most].decode(errors="replace")
    return text if len(content) <= most else f"{text}\n... the rest is left out: {path.name} is long"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
