"""`mlpipeline status`: what is running, queued, done and failed, from a second terminal."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlpipeline.cli.history import open_history
from mlpipeline.cli.tables import safe_text
from mlpipeline.reports.history import History
from mlpipeline.reports.overview import Overview, read_overview

if TYPE_CHECKING:
    from rich.console import Group, RenderableType

_REFRESH_SECONDS = 1.0
_SHOWN = 40  # on a terminal: what ended last


@click.command(name="status")
@click.option("--follow", "-f", is_flag=True, help="Stay, and show it anew each second until Ctrl-C.")
@click.option("--all", "shows_all", is_flag=True, help=f"Show every version, not only the last {_SHOWN}.")
@click.pass_obj
def command(directory: Path, follow: bool, shows_all: bool) -> None:
    """Show what is running, queued, done and failed."""
    with open_history(directory) as history:
        if follow:
            _follow(history)
        elif sys.stdout is not None and sys.stdout.isatty():
            _print_rich(read_overview(history), None if shows_all else _SHOWN)
        else:
            _print_plain(read_overview(history))


def _follow(history: History) -> None:
    if not sys.stdout.isatty():
        _follow_plainly(history)
    from rich.console import Console
    from rich.live import Live

    console = Console(highlight=False, markup=False)
    try:
        with Live(console=console, auto_refresh=False, screen=True) as live:
            while True:
                history.refresh()
                # what does not fit the screen would be cut off at its end, where the counts stand
                overview = read_overview(history)
                shown = max(0, console.height - len(overview.board.running) - 4)
                live.update(_rendered(overview, shown, wraps=False), refresh=True)
                time.sleep(_REFRESH_SECONDS)
    except KeyboardInterrupt:
        _print_rich(read_overview(history), _SHOWN)


def _follow_plainly(history: History) -> None:
    """Print the counts whenever they change."""
    last = None
    while True:
        history.refresh()
        counts = _counts(overview := read_overview(history))
        if counts != last:
            last = counts
            _print_running(overview)
            click.echo(counts)
        time.sleep(_REFRESH_SECONDS)


def _print_rich(overview: Overview, shown: int | None) -> None:
    from rich.console import Console

    Console(highlight=False, markup=False).print(_rendered(overview, shown))


def _rendered(overview: Overview, shown: int | None, *, wraps: bool = True) -> Group:
    from rich.console import Group
    from rich.text import Text

    from mlpipeline.cli.live_screen import render_board, render_results

    ended = overview.ended if shown is None else overview.ended[max(0, len(overview.ended) - shown) :]
    parts: list[RenderableType] = [render_results(ended, wraps=wraps)] if ended else []
    if hidden := len(overview.ended) - len(ended):
        parts.insert(0, Text(f"... {hidden} before these; `mlpipeline status --all` shows them", style="dim"))
    if not overview.is_running:
        parts.append(Text("no daemon is running", style="dim"))
    return Group(*parts, render_board(overview.board))


def _print_plain(overview: Overview) -> None:
    from mlpipeline.cli.plain_screen import format_metrics

    lines = []
    for row in overview.ended:
        name = f"{row.script}:{row.version}" if row.version else row.script
        detail = format_metrics(row.metrics) or row.error
        lines.append(safe_text(f"{name}  {row.status}  {row.seconds:.2f} s  {detail}"))
    if lines:
        click.echo("\n".join(lines))
    _print_running(overview)
    if not overview.is_running:
        click.echo("no daemon is running")
    click.echo(_counts(overview))


def _print_running(overview: Overview) -> None:
    from mlpipeline.cli.plain_screen import format_metrics, format_seconds

    for run in overview.board.running:
        report = run.progress()
        step = f"step {report['step']}/{report['total'] or '?'}" if report else "working"
        left = run.seconds_left(report)
        rest = f"  about {format_seconds(left)} left" if left else ""
        metrics = format_metrics(report.get("metrics", {}))
        click.echo(safe_text(f"{run.script}:{run.version}  RUNNING  {step}  {metrics}{rest}"))


def _counts(overview: Overview) -> str:
    board = overview.board
    unread = f", {board.unlisted} scripts not read yet" if board.unlisted else ""
    return f"{len(board.running)} running, {board.queued} queued{unread}, {board.done} done, {board.failed} failed"
