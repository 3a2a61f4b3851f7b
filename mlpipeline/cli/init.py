"""`mlpipeline init`: a project skeleton with a working example script."""

from __future__ import annotations

from pathlib import Path

import click

from mlpipeline.cli.templates import EXAMPLE_SCRIPT, GITIGNORE, MLP_CONFIG, QUEUE_FILE
from mlpipeline.files import replace_file


@click.command(name="init")
@click.pass_obj
def command(directory: Path) -> None:
    """Write a project skeleton into the project folder; files that exist stay as they are."""
    files = {
        "mlp.config": MLP_CONFIG,
        "models.config": QUEUE_FILE.format(mode="execution mode (mlpipeline -r)"),
        "models_test.config": QUEUE_FILE.format(mode="test mode (mlpipeline)"),
        "models/example.py": EXAMPLE_SCRIPT,
        ".gitignore": GITIGNORE,
    }
    for name, content in files.items():
        path = directory / name
        if path.exists():
            click.echo(f"kept   {path}")
        else:
            replace_file(path, content)
            click.echo(f"wrote  {path}")
    place = "" if directory == Path() else f" -C {directory}"
    click.echo(f"\nNext: `mlpipeline{place}` tests the example, `mlpipeline{place} -r` runs and records it.")
