"""`mlpipeline new NAME`: a commented model script to start from."""

from __future__ import annotations

from pathlib import Path

import click

from mlpipeline.cli.templates import NEW_SCRIPT
from mlpipeline.files import replace_file
from mlpipeline.project import load_project


@click.command(name="new")
@click.argument("name")
@click.pass_obj
def command(directory: Path, name: str) -> None:
    """Write a commented model script NAME into the models folder."""
    project = load_project(directory)
    script = name if name.endswith(".py") else f"{name}.py"
    path = project.script_path(script)
    if path.exists():
        raise click.UsageError(f"{path} exists; choose another name, or edit that file")
    replace_file(path, NEW_SCRIPT)
    click.echo(f"wrote {path}")
    click.echo(f"Next: fill in the two methods, then try it with `mlpipeline --only {script}`,")
    click.echo(f"and add the line `{script}` to models.config to have it run with `mlpipeline -r`.")
