"""`mlpipeline logs`: what a run has printed."""

from __future__ import annotations

import time
from pathlib import Path

import click

from mlpipeline.cli.history import open_history
from mlpipeline.cli.tables import safe_text
from mlpipeline.records import RUNNING
from mlpipeline.reports.history import History, Run
from mlpipeline.reports.printed import Printed, printed_by

_REFRESH_SECONDS = 0.2


@click.command(name="logs")
@click.argument("name", metavar="SCRIPT:VERSION[@RUN_ID]")
@click.option("--follow", "-f", is_flag=True, help="Go on until the run ends, or Ctrl-C.")
@click.pass_obj
def command(directory: Path, name: str, follow: bool) -> None:
    """Print what a run has printed; of a version, its last run."""
    with open_history(directory) as history:
        run = history.find(name)
        printed = printed_by(history, run)
        if printed is None:
            click.echo(f"{safe_text(run.name)} has no folder in this project", err=True)
            return
        if follow:
            try:
                _follow(history, run, printed)
            except KeyboardInterrupt:  # the usual way to stop looking
                return
        _print(printed, with_rest=True)
        if not printed.was_found:
            click.echo(f"no output of {safe_text(run.name)} {safe_text(run.run_id)} is kept", err=True)


def _follow(history: History, run: Run, printed: Printed) -> None:
    while True:
        # asked before its output is read: what it prints at the very end must not be missed
        now = history.with_id(run.run_id)
        goes_on = now is not None and now.status == RUNNING
        _print(printed, with_rest=False)
        if not goes_on:
            return
        time.sleep(_REFRESH_SECONDS)
        history.refresh()


def _print(printed: Printed, *, with_rest: bool) -> None:
    for line in printed.lines(with_rest=with_rest):
        # of a progress bar that was drawn over itself, the last state is what a terminal would show
        text = line.rstrip("\r\n").rpartition("\r")[2]
        click.echo(safe_text(text, spans_lines=True, keeps_colours=True), nl=line.endswith("\n"))
