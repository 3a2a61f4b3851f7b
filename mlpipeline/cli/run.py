"""Run the queue, or say what would run: from flags to a daemon, a screen and an exit status."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import click

from mlpipeline.cli.plain_screen import PlainScreen
from mlpipeline.errors import ConfigError, RecordError
from mlpipeline.project import Project, load_project, require_configuration
from mlpipeline.queue_file import available_scripts
from mlpipeline.runner.daemon import Daemon
from mlpipeline.runner.engine import local_engine
from mlpipeline.runner.mode import EXECUTION, QUEUE_FILES, TEST, Mode
from mlpipeline.runner.options import Options, SelectedScripts
from mlpipeline.runner.preview import preview
from mlpipeline.runner.queue import QueueReader, ScriptSource
from mlpipeline.runner.screen import Screen
from mlpipeline.runner.workplace import Kept, Scratch, Viewed, Workplace

_LOG = logging.getLogger("mlpipeline")
_LOG.addHandler(logging.NullHandler())


def run_queue(directory: Path, options: Options, *, executes: bool, quiet: bool) -> int:
    """Run the queue of a project folder; return the exit status.

    Raises: MlpError: see `Daemon.run`.
    """
    mode = EXECUTION if executes else TEST
    project = load_project(directory)
    screen = _screen(quiet=quiet)
    try:
        workplace = Kept(project, writes_logs=options.writes_logs) if mode.keeps_records else Scratch()
        daemon = _daemon(project, mode, options, screen, workplace)
        if options.writes_logs:
            _log_to(project.log_file)
        _LOG.info("started in %s", mode.name)
        status = daemon.run()
    except BaseException as error:
        screen.stop()
        _LOG.error("stopped: %s: %s", type(error).__name__, error)
        raise
    screen.close()
    _LOG.info("ended with status %d", status)
    return status


def print_plan(directory: Path, options: Options, *, executes: bool) -> int:
    """Print what would run, what would be skipped and why; nothing is recorded. Return the exit status."""
    screen = PlainScreen(quiet=False)
    project = load_project(directory)
    mode = EXECUTION if executes else TEST
    daemon = _daemon(project, mode, options, screen, Viewed(project) if executes else Scratch())
    try:
        lines = preview(daemon)
    except KeyboardInterrupt:
        return 130
    for line in lines:
        click.echo(f"{line.verb:<5} {line.script}{':' + line.version if line.version else ''}  ({line.reason})")
    return 1 if any(line.verb == "fail" for line in lines) else 0


def _daemon(project: Project, mode: Mode, options: Options, screen: Screen, workplace: Workplace) -> Daemon:
    queue_file = project.root / mode.queue_file
    return Daemon(
        project=project,
        mode=mode,
        options=options,
        engine=local_engine(),
        workplace=workplace,
        screen=screen,
        queue=_queue(project, queue_file, options, screen),
    )


def _queue(project: Project, queue_file: Path, options: Options, screen: Screen) -> ScriptSource:
    require_configuration(project, QUEUE_FILES)
    if options.only:
        return SelectedScripts(options.only, lambda: _selectable(project, options))
    if not queue_file.exists():
        raise ConfigError(
            f"expected {queue_file.name} in {project.root}; write one with [WHITELISTED_MODELS] and the names of "
            "scripts, or let `mlpipeline init` add what is missing"
        )
    if not project.models_dir.is_dir():
        raise ConfigError(f"models_dir is {project.models_dir}, which is not a folder; make it, or correct mlp.config")
    return QueueReader(queue_file, project, screen.warn)


def _selectable(project: Project, options: Options) -> list[str]:
    """Return what `--only` chooses from: the scripts that a pattern may mean, and any file that is named."""
    named = [selection.script for selection in options.only if (project.models_dir / selection.script).is_file()]
    return [*available_scripts(project), *named]


def _log_to(path: Path) -> None:
    logging.raiseExceptions = False  # a full disk is reported where the record cannot be written
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise RecordError(
            f"{path} cannot be written: {error.strerror}; "
            "mend it, or name another folder with outputs_dir in mlp.config"
        ) from error
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    _LOG.addHandler(handler)
    _LOG.setLevel(logging.INFO)


def _screen(*, quiet: bool) -> PlainScreen:
    if sys.stdout is not None and sys.stdout.isatty() and not quiet:
        from mlpipeline.cli.live_screen import LiveScreen

        return LiveScreen()
    return PlainScreen(quiet=quiet)
