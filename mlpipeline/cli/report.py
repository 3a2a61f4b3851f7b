"""`mlpipeline report`: one HTML file to look at and compare runs."""

from __future__ import annotations

from pathlib import Path

import click

from mlpipeline.cli.history import open_history


@click.command(name="report")
@click.argument("selections", nargs=-1, metavar="[SCRIPT[:VERSION]]...")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), default="report.html", help="The file to write."
)
@click.option("--all", "every", is_flag=True, help="Every run, not only the last one of each version.")
@click.pass_obj
def command(directory: Path, selections: tuple[str, ...], output: Path, every: bool) -> None:
    """Write one HTML file to look at and compare runs; it opens from disk and needs no network.

    Scripts and versions may be patterns, as in 'cnn_*' or 'mlp.py:wide*'.
    """
    from mlpipeline.reports.report import write_report

    with open_history(directory) as history:
        if not history.latest():
            click.echo("warning: nothing has been recorded yet; `mlpipeline -r` records runs", err=True)
        path = write_report(directory, output, selections, every=every, history=history)
    click.echo(f"{path}  {path.stat().st_size / 1e6:.1f} MB")
