"""`mlpipeline mlflow-sync`: upload what is recorded, and not there yet, to an MLflow server."""

from __future__ import annotations

import os
import select
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import click

from mlpipeline.cli.history import open_history
from mlpipeline.cli.plain_screen import printable
from mlpipeline.reports.history import History
from mlpipeline.reports.mlflow_upload import LARGEST_FILE_MB, Counts, MlflowUploads
from mlpipeline.selection import Selection, parse_selection

_PAUSE_SECONDS = 5.0
_LARGEST_SHARE = 0.2  # of the time may go into uploads while runs go on


@click.command(name="mlflow-sync")
@click.argument("scripts", nargs=-1, metavar="[SCRIPT[:VERSION]]...")
@click.option("--uri", default="", metavar="URI", help="Upload there; otherwise to mlflow_uri of mlp.config.")
@click.option("--again", is_flag=True, help="Ask the server for every record; restore what was deleted there.")
@click.option("--largest-file", type=float, default=LARGEST_FILE_MB, show_default=True, metavar="MB", help="Limit.")
@click.option("--follow", "-f", is_flag=True, help="Stay, and upload what comes until standard input ends.")
@click.option("--quiet", "-q", is_flag=True, help="Print only what goes wrong.")
@click.pass_obj
def command(
    directory: Path, scripts: tuple[str, ...], uri: str, again: bool, largest_file: float, follow: bool, quiet: bool
) -> None:
    """Upload what is recorded, and not there yet, to an MLflow server.

    Exit status: 0 all is there, 1 the server cannot be reached or has refused a run, 2 wrong use.
    """
    selections = [parse_selection(text) for text in scripts]
    history = open_history(directory)
    say = (lambda message: None) if quiet else click.echo
    uploads = MlflowUploads(history.project, uri, warn=_warn, say=say, again=again, largest_file_mb=largest_file)
    with history:
        has_failed = _follow(uploads, history, selections) if follow else _once(uploads, history, selections, quiet)
    if has_failed:
        sys.exit(1)


def _once(uploads: MlflowUploads, history: History, selections: list[Selection], quiet: bool) -> bool:
    counts = uploads.catch_up(history, selections)
    if not quiet:
        click.echo(f"{_in_words(counts)}; {uploads.place}")
    return counts.failed > 0


def _follow(uploads: MlflowUploads, history: History, selections: list[Selection]) -> bool:
    """Upload until standard input ends; return whether the server has refused a run."""
    failed = 0
    goes_on = True
    is_open = True
    while True:
        began = time.monotonic()
        if history.refresh() or goes_on or not is_open:
            counts = uploads.catch_up(history, selections)
            failed += counts.failed
            goes_on = counts.going_on > 0
        if not is_open:
            return failed > 0
        is_open = _wait((time.monotonic() - began) / _LARGEST_SHARE)


def _wait(least_seconds: float) -> bool:
    """Wait a moment, or less where standard input says so; return whether it has not ended."""
    until = time.monotonic() + max(_PAUSE_SECONDS, least_seconds)
    try:
        while (rest := until - time.monotonic()) > 0:
            if select.select([0], [], [], rest)[0]:
                if not os.read(0, 65536):
                    return False
                until = min(until, time.monotonic() + least_seconds)
    except KeyboardInterrupt:
        return False
    except OSError:  # it is closed
        return False
    return True


def _warn(message: str) -> None:
    click.echo(printable(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}Z warning: {message}"), err=True)


def _in_words(counts: Counts) -> str:
    words = {
        "uploaded": "uploaded",
        "present": "were there already",
        "going_on": "go on",
        "deleted": "were deleted there (--again restores them)",
        "failed": "failed",
    }
    told = [f"{getattr(counts, name)} {text}" for name, text in words.items() if getattr(counts, name)]
    return ", ".join(told) or "nothing new"
