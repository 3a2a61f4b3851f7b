"""The live display on a terminal: running versions, counts, time left, and a table at the end."""

from __future__ import annotations

import time

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from mlpipeline.board import Board, EndedRow, RunningRow
from mlpipeline.cli.plain_screen import PlainScreen, format_metrics, format_seconds, printable
from mlpipeline.cli.tables import safe_text
from mlpipeline.records import Status

_REFRESH_SECONDS = 0.2
_COLOURS = {Status.SUCCEEDED: "green", Status.INTERRUPTED: "yellow", Status.PRUNED: "cyan"}


class LiveScreen(PlainScreen):
    """Redraws a few lines at the bottom of the terminal; what happens scrolls past above them."""

    def __init__(self) -> None:
        super().__init__(quiet=False)
        self._console = Console(highlight=False, markup=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._live.start()
        self._next = 0.0

    def show(self, board: Board) -> None:
        super().show(board)
        moment = time.monotonic()
        if moment >= self._next:
            self._next = moment + _REFRESH_SECONDS
            self._live.update(render_board(board), refresh=True)

    def stop(self) -> None:
        self._live.stop()

    def close(self) -> None:
        self.stop()
        if self._ended:
            self._console.print(render_results(list(self._ended)))
            if (left_out := self._counts.total() - len(self._ended)) > 0:
                self._console.print(f"... and {left_out} before them", style="dim")
        super().close()

    def _show_started(self, line: str) -> None:
        pass  # the display shows it

    def _print(self, text: str, *, is_problem: bool = False) -> None:
        self._console.print(Text.from_ansi(printable(text), style="red" if is_problem else ""))


def render_board(board: Board) -> RenderableType:
    """Return what is running, and the counts, as it fits the width of a terminal."""
    table = Table.grid(padding=(0, 2))
    for row in board.running:
        table.add_row(*_cells(row))
    return Group(table, Text(_counts(board), style="bold"))


def render_results(ended: list[EndedRow], *, wraps: bool = True) -> Table:
    """Return the table of the runs that have ended.

    Args:
        ended: a row for each.
        wraps: a long row takes several lines; else each takes one, with the metrics of the test part first.
    """
    table = Table(box=None, pad_edge=False, header_style="bold", expand=not wraps)
    for heading in ("script", "version", "status", "seconds", "metrics"):
        table.add_column(
            heading,
            justify="right" if heading == "seconds" else "left",
            overflow="fold" if wraps else "ellipsis",
            no_wrap=heading in ("status", "seconds") or not wraps,
            ratio=1 if heading == "metrics" and not wraps else None,  # what the others leave
        )
    for row in ended:
        status = Text(row.status, style=_COLOURS.get(Status(row.status), "red"))
        metrics = (
            row.metrics if wraps else dict(sorted(row.metrics.items(), key=lambda item: item[0].startswith("train")))
        )
        detail = Text(safe_text(format_metrics(metrics) or row.error))
        table.add_row(Text(safe_text(row.script)), Text(safe_text(row.version)), status, f"{row.seconds:.2f}", detail)
    return table


def _cells(row: RunningRow) -> list[RenderableType]:
    report = row.progress()
    step, total = report.get("step"), report.get("total")
    bar = ProgressBar(total=total, completed=step or 0, width=24) if total else Text("working", style="dim")
    done = f"{step}/{total}" if total else str(step or "")
    done = "evaluating" if total and step == total else done
    left = row.seconds_left(report)
    spent = format_seconds(time.time() - row.started) + (f", {format_seconds(left)} left" if left else "")
    name = Text(safe_text(f"{row.script}:{row.version}"), overflow="ellipsis", no_wrap=True)
    metrics = Text(safe_text(format_metrics(report.get("metrics", {}))), overflow="ellipsis", no_wrap=True)
    return [name, bar, done, spent, metrics]


def _counts(board: Board) -> str:
    unread = f"  {board.unlisted} scripts not read yet" if board.unlisted else ""
    counts = f"{len(board.running)} running  {board.queued} queued{unread}  {board.done} done  {board.failed} failed"
    skipped = f"  {board.skipped} skipped" if board.skipped else ""
    left = board.seconds_left()
    return f"{counts}{skipped}" + (f"  about {format_seconds(left)} left" if left is not None else "")
