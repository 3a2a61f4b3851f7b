"""What the sub-commands that look at records share."""

from __future__ import annotations

from pathlib import Path

import click

from mlpipeline.cli.tables import safe_text
from mlpipeline.project import load_project, require_configuration
from mlpipeline.reports.history import History
from mlpipeline.runner.mode import QUEUE_FILES


def open_history(directory: Path) -> History:
    """Return the records of the project in a folder; damaged lines are named on standard error.

    Raises: ConfigError: the folder is no project.
    """
    project = load_project(directory)
    require_configuration(project, QUEUE_FILES)
    return History(project, warn=lambda message: click.echo(f"warning: {safe_text(message)}", err=True))
