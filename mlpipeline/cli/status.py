"""`mlpipeline status`: what is running, queued, done and failed, from a second terminal."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from mlpipeline.project import load_project, require_configuration
from mlpipeline.runner.mode import QUEUE_FILES
from mlpipeline.runner.status import Overview, read_overview


@click.command(name="status")
@click.pass_obj
def command(directory: Path) -> None:
    """Show what is running, queued, done and failed."""
    project = load_project(directory)
    require_configuration(project, QUEUE_FILES)
    overview = read_overview(project, warn=lambda message: click.echo(f"warning: {message}", err=True))
    if sys.stdout is not None and sys.stdout.isatty():
        _print_rich(overview)
    else:
        _print_plain(overview)


def _print_rich(overview: Overview) -> None:
    from rich.console import Console

    from mlpipeline.cli.live_screen import render_board, render_results

    console = Console(highlight=False, markup=False)
    if overview.ended:
        console.print(render_results(overview.ended))
    if not overview.is_running:
        console.print("no daemon is running", style="dim")
    console.print(render_board(overview.board))


def _print_plain(overview: Overview) -> None:
    from mlpipeline.cli.plain_screen import format_metrics

    for row in overview.ended:
        name = f"{row.script}:{row.version}" if row.version else row.script
        click.echo(f"{name}  {row.status}  {row.seconds:.2f} s  {format_metrics(row.metrics) or row.error}")
    board = overview.board
    for run in board.running:
        report = run.progress()
        step = f"step {report['step']}/{report['total'] or '?'}" if report else "working"
        click.echo(f"{run.script}:{run.version}  RUNNING  {step}  {format_metrics(report.get('metrics', {}))}")
    if not overview.is_running:
        click.echo("no daemon is running")
    click.echo(f"{len(board.running)} running, {board.queued} queued, {board.done} done, {board.failed} failed")
