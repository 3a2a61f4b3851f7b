"""`mlpipeline diff`: how two runs differ."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from mlpipeline.cli.history import open_history
from mlpipeline.cli.tables import cell_text, is_terminal, print_plain, print_rich, safe_text
from mlpipeline.reports.difference import Difference, Line, difference_of

_LONGEST = 1000  # what differs may be the end of a long value
_CODE_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


@click.command(name="diff")
@click.argument("first", metavar="SCRIPT:VERSION[@RUN_ID]")
@click.argument("second", metavar="SCRIPT:VERSION[@RUN_ID]")
@click.pass_obj
def command(directory: Path, first: str, second: str) -> None:
    """Show only what differs between two runs: parameters, metrics, code, packages, git commit."""
    with open_history(directory) as history:
        difference = difference_of(history, history.find(first), history.find(second))
    print_difference(difference, shows_all=False)


def print_difference(difference: Difference, *, shows_all: bool) -> None:
    """Print two runs side by side. Args: shows_all: what is equal too."""
    first, second = difference.first, difference.second
    names = (first.name, second.name)
    if first.name == second.name:
        names = (f"{first.name}@{first.run_id}", f"{second.name}@{second.run_id}")
    if not shows_all:
        click.echo(safe_text(f"{names[0]}  ->  {names[1]}"))
    parts = {"run": difference.facts, "parameters": difference.parameters, "metrics": difference.metrics}
    for heading, lines in {**parts, "packages": difference.packages}.items():
        _print_lines(heading, names if shows_all else ("first", "second"), lines, shows_all=shows_all)
    _print_code(difference, shows_all=shows_all)


def _print_lines(heading: str, names: tuple[str, str], lines: Sequence[Line], *, shows_all: bool) -> None:
    shown = [line for line in lines if shows_all or line.differs]
    if not shown:
        return
    has_delta = any(line.delta for line in shown)
    columns = (heading, *names, "difference") if has_delta else (heading, *names)
    rows = []
    for line in shown:
        cells = (line.name, _text(line.first), _text(line.second))
        rows.append((*cells, _delta(line)) if has_delta else cells)
    click.echo()
    if is_terminal():
        print_rich(columns, rows, kept=columns, longest=_LONGEST)
    else:
        print_plain(columns, rows, longest=_LONGEST)


def _text(value: object) -> str:
    return "-" if value is None else f"{value:.6g}" if isinstance(value, float) else cell_text(value)


def _delta(line: Line) -> str:
    if line.delta is None:
        return "differs" if line.differs else ""
    return f"{line.delta:+.4g}" if line.delta else ""


def _print_code(difference: Difference, *, shows_all: bool) -> None:
    if not difference.code:
        if difference.code_note or shows_all:
            click.echo(f"\ncode: {safe_text(difference.code_note) or 'the same'}")
        return
    click.echo("\ncode")
    for line in difference.code.split("\n"):
        click.echo(click.style(safe_text(line, spans_lines=True), fg=_CODE_COLOURS.get(line[:1])))
