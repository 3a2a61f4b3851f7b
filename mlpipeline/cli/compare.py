"""`mlpipeline compare`: a table of versions, or two runs side by side."""

from __future__ import annotations

import csv
import gc
from pathlib import Path

import click

from mlpipeline.cli import tables
from mlpipeline.cli.history import open_history
from mlpipeline.errors import ReportError
from mlpipeline.reports.choice import choose_runs, is_of_one_version
from mlpipeline.reports.comparison import Comparison, Question, compare_runs
from mlpipeline.reports.history import History

_SHOWN = 50  # on a terminal
_PRINTERS = {"csv": tables.print_csv, "json": tables.print_json, "markdown": tables.print_markdown}


@click.command(name="compare")
@click.argument("names", nargs=-1, metavar="[SCRIPT[:VERSION[@RUN_ID]]]...")
@click.option("--metric", default="", metavar="NAME", help="Compare by it; accuracy means test.accuracy.")
@click.option("--minimize/--maximize", "minimizes", default=None, help="What is better; else told by the name.")
@click.option("--sort", default="", metavar="COLUMN", help="Sort by it; -COLUMN for falling values.")
@click.option("--where", default="", metavar="EXPRESSION", help="\"learning_rate < 0.1 and status == 'SUCCEEDED'\"")
@click.option("--columns", default="", metavar="A,B,...", help="Show these columns.")
@click.option("--all", "every", is_flag=True, help="All runs, not only the last of each version.")
@click.option("--group/--no-group", "groups", default=None, help="Repeated runs as one row; else where there are any.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help=f"Rows at most; {_SHOWN} on a terminal.")
@click.option("--csv", "form", flag_value="csv", help="Print CSV.")
@click.option("--json", "form", flag_value="json", help="Print JSON.")
@click.option("--markdown", "form", flag_value="markdown", help="Print a Markdown table.")
@click.pass_obj
def command(
    directory: Path,
    names: tuple[str, ...],
    metric: str,
    minimizes: bool | None,
    sort: str,
    where: str,
    columns: str,
    every: bool,
    groups: bool | None,
    limit: int | None,
    form: str | None,
) -> None:
    """Compare recorded versions: the parameters that differ, metrics, time and memory, the best first.

    Two versions, `compare A:v1 A:v2`, are shown side by side, unless an option asks for a table.

    Runs that differ only in the seed are one row: the mean, half the width of its 95 % confidence interval (ci95),
    the sample deviation (sd) and the p value of Welch's test against the best; * marks p < 0.05.
    """
    try:
        chosen = tuple(name for name in next(csv.reader([columns], skipinitialspace=True), []) if name)
    except csv.Error as error:
        raise ReportError(f"--columns expects names with commas between, but got {columns!r}: {error}") from None
    is_plain = not (metric or sort or where or chosen or every or groups or limit or form) and minimizes is None
    gc.disable()  # a hundred thousand records are no garbage, and looking for it takes a fifth of the time
    with open_history(directory) as history:
        if is_plain and len(names) == 2 and all(map(is_of_one_version, names)):
            _print_side_by_side(history, *names)
            return
        if limit is None and form is None and tables.is_terminal():
            limit = _SHOWN
        question = Question(metric, minimizes, sort, where, chosen, groups, limit)
        runs = choose_runs(history, names, every=every)
    if not runs:
        click.echo("nothing has been recorded; `mlpipeline -r` records runs", err=True)
    _print_table(compare_runs(runs, question), form, is_chosen=bool(chosen))


def _print_side_by_side(history: History, first: str, second: str) -> None:
    from mlpipeline.cli.diff import print_difference
    from mlpipeline.reports.difference import difference_of

    print_difference(difference_of(history, history.find(first), history.find(second)), shows_all=True)


def _print_table(table: Comparison, form: str | None, *, is_chosen: bool) -> None:
    if form is not None:
        _PRINTERS[form](table.columns, table.rows)
    elif not table.rows:
        click.echo("no run matches")
    elif tables.is_terminal():
        _print_rich(table, is_chosen=is_chosen)
    else:
        tables.print_plain(table.columns, table.rows)


def _print_rich(table: Comparison, *, is_chosen: bool) -> None:
    bold = None
    if table.best is not None and table.metric in table.columns:
        bold = table.best, table.columns.index(table.metric)
    kept = table.columns if is_chosen else ("name", "n", table.metric, "delta")
    unasked = tables.print_rich(table.columns, table.rows, bold=bold, kept=kept)
    if unasked:
        click.echo(f"too wide for {tables.safe_text(', '.join(unasked))}; --columns A,B,... chooses")
    if table.hidden:
        click.echo(f"{table.hidden} more rows are not shown; --limit N shows more")
