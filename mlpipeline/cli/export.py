"""`mlpipeline export`: what is recorded, as files of other programs."""

from __future__ import annotations

from pathlib import Path

import click

from mlpipeline.cli.history import open_history
from mlpipeline.reports.choice import choose_runs
from mlpipeline.reports.export import FORMATS, export_file


@click.command(name="export")
@click.argument("arguments", nargs=-1, metavar="[FILE.csv|.json|.parquet] [SCRIPT[:VERSION]]...")
@click.option("--curves", is_flag=True, help="The metrics over steps, a row for each point, and not the runs.")
@click.option(
    "--tensorboard", "folder", type=click.Path(path_type=Path), metavar="DIR", help="Write event files there."
)
@click.option("--latest", is_flag=True, help="Only the last run of each version.")
@click.pass_obj
def command(directory: Path, arguments: tuple[str, ...], curves: bool, folder: Path | None, latest: bool) -> None:
    """Write all runs, or their curves, to a CSV, JSON, Parquet or TensorBoard file; an older file is replaced."""
    file = Path(arguments[0]) if arguments and arguments[0].lower().endswith(FORMATS) else None
    if file is None and folder is None:
        raise click.UsageError(f"name a file that ends with {', '.join(FORMATS)}, or --tensorboard DIR")
    if file is None and curves:
        raise click.UsageError("--curves goes with a file; --tensorboard writes the curves in any case")
    names = arguments if file is None else arguments[1:]
    with open_history(directory) as history:
        runs = choose_runs(history, names, every=not latest)
        if file is not None:
            count = export_file(history, runs, file, curves=curves)
            click.echo(f"{file}: {count} {'points' if curves else 'runs'}")
        if folder is not None:
            from mlpipeline.reports.tensorboard import export_tensorboard

            count = export_tensorboard(history, runs, folder)
            click.echo(f"{folder}: {count} runs; `tensorboard --logdir {folder}` shows them")
