"""`mlpipeline new NAME`: a commented model script to start from."""

from __future__ import annotations

import importlib.util
import re
import sys
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
    stem = Path(name).stem
    if not re.fullmatch(r"[\w/-]+(\.py)?", name) or not stem:
        raise click.UsageError(f"{name!r} is no name for a script; use letters, digits, - and _, and / for a folder")
    if stem in sys.stdlib_module_names or importlib.util.find_spec(stem) is not None:
        raise click.UsageError(f"{stem} is the name of a library, which the script would hide; choose another")
    script = name if name.endswith(".py") else f"{name}.py"
    path = project.script_path(script)
    if path.exists():
        raise click.UsageError(f"{path} exists; choose another name, or edit that file")
    replace_file(path, NEW_SCRIPT)
    click.echo(f"wrote {path}")
    click.echo(f"Next: fill in the methods, then try it with `mlpipeline --only {script}`,")
    click.echo(
        f"and add the line `{script}` under [WHITELISTED_MODELS] in models.config to have it run with `mlpipeline -r`."
    )
