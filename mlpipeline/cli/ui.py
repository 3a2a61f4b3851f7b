"""`mlpipeline ui`: the live page, served on this machine."""

from __future__ import annotations

import webbrowser
from importlib.util import find_spec
from pathlib import Path

import click

from mlpipeline.cli.tables import safe_text
from mlpipeline.errors import ReportError
from mlpipeline.project import load_project, require_configuration
from mlpipeline.runner.mode import EXECUTION, QUEUE_FILES

_PACKAGES = ("fastapi", "itables", "plotly", "sse_starlette", "uvicorn")


@click.command(name="ui")
@click.option("--port", type=click.IntRange(0, 65535), default=8350, show_default=True, help="0 for any that is free.")
@click.option("--host", default="127.0.0.1", show_default=True, help="On any but this, a token is demanded.")
@click.option("--edit", "edits", is_flag=True, help=f"Allow changes of {EXECUTION.queue_file}.")
@click.option("--token", default="", envvar="MLPIPELINE_UI_TOKEN", help="Demand this one; or MLPIPELINE_UI_TOKEN.")
@click.option("--open/--no-open", "opens", default=False, help="Open it in the browser.")
@click.pass_obj
def command(directory: Path, port: int, host: str, edits: bool, token: str, opens: bool) -> None:
    """Serve a live page: what runs, curves that grow, logs, and the queue. Ctrl-C ends it."""
    project = load_project(directory)
    require_configuration(project, QUEUE_FILES)
    if missing := [name for name in _PACKAGES if find_spec(name) is None]:
        raise ReportError(f"the page needs {', '.join(missing)}, not installed: pip install 'mlpipeline[ui]'")
    from mlpipeline.reports.live_server import serve

    def announce(address: str) -> None:
        state = "" if edits else " (read-only; --edit allows changes of the queue)"
        click.echo(f"{project.root.name} is shown at {address}{state}\nCtrl-C ends it.")
        if opens:
            webbrowser.open(address)

    serve(
        project,
        project.root / EXECUTION.queue_file,
        host=host,
        port=port,
        edits=edits,
        token=token,
        announce=announce,
        warn=lambda message: click.echo(safe_text(f"warning: {message}"), err=True),
    )
