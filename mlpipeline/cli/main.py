"""`mlpipeline`: without a sub-command it runs the queue.

main
    Commands.get_command      a sub-command is loaded only when it is called
    queue                     flags -> values -> run.run_queue
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import click

from mlpipeline.errors import EngineError, MlpError, RecordError, TrackingError

_SUBCOMMANDS = {
    "blend": "Blend the out-of-fold predictions of finished ensembles.",
    "compare": "Compare recorded versions: parameters, metrics, time, memory.",
    "diff": "Show how two runs differ: parameters, code, packages, commit.",
    "export": "Write all runs, or their curves, to a CSV, JSON, Parquet or TensorBoard file.",
    "init": "Write a project skeleton with a working example script.",
    "logs": "Show what a run has printed.",
    "mlflow-sync": "Upload what is recorded, and not there yet, to an MLflow server.",
    "new": "Write a new model script, commented.",
    "report": "Write one HTML file to look at and compare runs.",
    "show": "Show one run whole, with its curves.",
    "status": "Show what is running, queued, done and failed.",
    "ui": "Serve a live page: what runs, curves, logs and the queue.",
}


class Commands(click.Group):
    """Sub-commands in files of their own, so that `--help` loads none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _SUBCOMMANDS:
            return None
        command: click.Command = importlib.import_module(f"mlpipeline.cli.{cmd_name.replace('-', '_')}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_SUBCOMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0].endswith(".py"):
            ctx.fail(f"No such command '{args[0]}'. To run one script: mlpipeline --only {args[0]}")
        return super().resolve_command(ctx, args)


@click.group(cls=Commands, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-r", "--run", "executes", is_flag=True, help="Execution mode: run models.config and record everything.")
@click.option("-u", "--use-history", is_flag=True, help="Skip versions that succeeded before; resume unfinished ones.")
@click.option("-n", "--no-log", is_flag=True, help="Write neither the log nor the outputs file.")
@click.option("-j", "--jobs", type=click.IntRange(min=1), default=1, metavar="N", help="Run N versions at once.")
@click.option("--watch", is_flag=True, help="Stay alive when nothing is left, and run what is added.")
@click.option("--only", multiple=True, metavar="SCRIPT[:VERSION]", help="Run nothing else; may be repeated.")
@click.option("--timeout", type=click.FloatRange(min=0, min_open=True), metavar="SECONDS", help="Stop runs after it.")
@click.option("--dry-run", is_flag=True, help="Print what would run, what would be skipped, and why.")
@click.option(
    "-C", "directory", type=click.Path(file_okay=False, path_type=Path), default=".", help="The project folder."
)
@click.option("-v", "--verbose", is_flag=True, help="Show what runs print.")
@click.option("-q", "--quiet", is_flag=True, help="Show only warnings and failures.")
@click.version_option(package_name="mlpipeline")
@click.pass_context
def queue(
    context: click.Context,
    executes: bool,
    use_history: bool,
    no_log: bool,
    jobs: int,
    watch: bool,
    only: tuple[str, ...],
    timeout: float | None,
    dry_run: bool,
    directory: Path,
    verbose: bool,
    quiet: bool,
) -> None:
    """Train and evaluate every version of every queued model script, each in a process of its own.

    Without -r in test mode: models_test.config, one step each, nothing kept, stop at the first error.

    Exit status: 0 all succeeded, 1 a run failed, 2 wrong use, 130 interrupted.
    """
    context.obj = directory
    if context.invoked_subcommand is not None:
        if executes or use_history or no_log or watch or only or timeout or dry_run or jobs != 1:
            raise click.UsageError(f"options for running the queue have no effect on {context.invoked_subcommand}")
        return
    if use_history and not executes:
        raise click.UsageError("-u goes with -r: test mode keeps no history")
    from mlpipeline.cli import run
    from mlpipeline.runner.options import Options
    from mlpipeline.selection import parse_selection

    options = Options(
        uses_history=use_history,
        writes_logs=executes and not no_log,
        slots=jobs,
        watches=watch,
        only=tuple(map(parse_selection, only)),
        timeout_seconds=timeout,
        relays_output=verbose or not executes,
    )
    if dry_run:
        context.exit(run.print_plan(directory, options, executes=executes))
    context.exit(run.run_queue(directory, options, executes=executes, quiet=quiet))


def main() -> None:
    """Run the command line; an error of the pipeline's own is one message, without a traceback."""
    try:
        queue(prog_name="mlpipeline")
    except MlpError as error:
        click.echo(f"mlpipeline: {error}", err=True)
        sys.exit(1 if isinstance(error, (RecordError, EngineError, TrackingError)) else 2)
    except OSError as error:
        click.echo(f"mlpipeline: {error}", err=True)
        sys.exit(1)
