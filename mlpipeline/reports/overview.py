"""What the files say of a project: what runs now, and how each version ended last. No daemon is asked."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from mlpipeline.board import Board, EndedRow, RunningRow, process_started
from mlpipeline.project import PROGRESS_FILE, Project
from mlpipeline.records import RUNNING, Status
from mlpipeline.reports.history import History, Run


@dataclass(frozen=True)
class Overview:
    """The state of a project.

    Args:
        ended: the last end of each version, in the order in which they ended.
        board: what runs, and the counts of versions.
        is_running: whether a run goes on or a daemon has told of itself.
    """

    ended: list[EndedRow]
    board: Board
    is_running: bool


def read_overview(history: History) -> Overview:
    """Return what goes on and what has ended."""
    return overview_of(history.project, history.latest())


def overview_of(project: Project, latest: Sequence[Run]) -> Overview:
    """Return what goes on and what has ended. Args: latest: the last run of each version."""
    ended = [_ended_row(run) for run in latest if run.status != RUNNING]
    running = tuple(_running_row(project, run) for run in latest if run.status == RUNNING)
    told = _told_board(project)
    failed = sum(row.status not in (Status.SUCCEEDED, Status.PRUNED, Status.INTERRUPTED) for row in ended)
    done = sum(row.status in (Status.SUCCEEDED, Status.PRUNED) for row in ended)
    board = replace(told or Board(), running=running, done=done, failed=failed)
    return Overview(ended, board, bool(running) or told is not None)


def _ended_row(run: Run) -> EndedRow:
    return EndedRow(run.script, run.version, run.status, run.seconds, dict(run.metrics), run.error_summary)


def _running_row(project: Project, run: Run) -> RunningRow:
    folder = project.recorded_dir(run.model_dir) or project.outputs_dir
    try:
        since = datetime.fromisoformat(run.started).timestamp()
    except ValueError:
        since = time.time()
    since = min(since, time.time())  # the clock of another host may be ahead
    return RunningRow(run.run_id, run.script, run.version, since, str(folder / PROGRESS_FILE))


def _told_board(project: Project) -> Board | None:
    """Return what this host's daemon has told of itself, if it lives."""
    try:
        board = Board.from_json(project.status_file.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return board if process_started(board.pid) == board.pid_started else None
