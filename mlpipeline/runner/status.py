"""What the files say of a project: what runs now, and how each version ended last. No daemon is asked."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from mlpipeline.project import PROGRESS_FILE, Project
from mlpipeline.records import Record, Status
from mlpipeline.runner.board import Board, EndedRow, RunningRow, process_started
from mlpipeline.runner.journal import Journal, Key


@dataclass(frozen=True)
class Overview:
    """The state of a project.

    Args:
        ended: the last end of each version, in the order of the journal.
        board: what runs, and the counts of versions.
        is_running: whether a run goes on or a daemon has told of itself.
    """

    ended: list[EndedRow]
    board: Board
    is_running: bool


def read_overview(project: Project, warn: Callable[[str], None]) -> Overview:
    """Read journals, locks and progress files.

    Raises: RecordError: a journal cannot be read.
    """
    ends: dict[Key, EndedRow] = {}
    journal = Journal(project, warn, on_end=lambda record: _put_last(ends, record))
    journal.refresh()
    running = tuple(_running_row(project, start) for start in journal.open.values() if _goes_on(project, start))
    for start in journal.open.values():
        if not any(row.run_id == start.run_id for row in running):
            _put_last(ends, replace(start, status=Status.INTERRUPTED))
    told = _told_board(project)
    failed = sum(row.status not in (Status.SUCCEEDED, Status.INTERRUPTED) for row in ends.values())
    done = sum(row.status == Status.SUCCEEDED for row in ends.values())
    board = replace(told or Board(), running=running, done=done, failed=failed)
    return Overview(list(ends.values()), board, bool(running) or told is not None)


def _put_last(ends: dict[Key, EndedRow], record: Record) -> None:
    ends.pop((record.script, record.version), None)
    ends.pop((record.script, None), None)  # the script could not be loaded once; it can now, or fails anew
    metrics = record.details.get("metrics", {})
    seconds = float(record.details.get("seconds", 0.0))
    error = str(record.details.get("error_summary", ""))
    row = EndedRow(record.script, record.version or "", record.status, seconds, metrics, error)
    ends[record.script, record.version] = row


def _goes_on(project: Project, start: Record) -> bool:
    from mlpipeline.runner.claims import goes_on  # only where something was left open: file locks take long to import

    return goes_on(project, start)


def _running_row(project: Project, start: Record) -> RunningRow:
    folder = project.recorded_dir(start.details.get("model_dir")) or project.outputs_dir
    progress = folder / PROGRESS_FILE
    try:
        since = datetime.fromisoformat(str(start.details["started"])).timestamp()
    except (KeyError, ValueError):
        since = time.time()
    return RunningRow(start.run_id, start.script, str(start.version), since, str(progress))


def _told_board(project: Project) -> Board | None:
    """Return what this host's daemon has told of itself, if it lives."""
    try:
        board = Board.from_json(project.status_file.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return board if process_started(board.pid) == board.pid_started else None
