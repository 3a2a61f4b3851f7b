"""`mlpipeline blend SCRIPT:VERSION...`: the out-of-fold predictions of finished ensembles as one weighted mean."""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

import click

from mlpipeline.errors import EnsembleError, ScriptError, did_you_mean
from mlpipeline.project import Project, load_project, require_configuration
from mlpipeline.runner.mode import QUEUE_FILES
from mlpipeline.selection import Selection, parse_selection

if TYPE_CHECKING:
    from mlpipeline.ensemble.blended_runs import BlendedRuns

_METHODS = ("hill_climbing", "least_squares")
_LONGEST_NAME = 100
Ensembles = dict[tuple[str, str], Path]


@click.command(name="blend")
@click.argument("ensembles", nargs=-1, required=True, metavar="SCRIPT[:VERSION]...")
@click.option(
    "--metric", metavar="NAME", help="What to weigh by: accuracy, roc_auc, ...; log_loss or rmse if not given."
)
@click.option("--method", type=click.Choice(_METHODS), default=_METHODS[0], show_default=True)
@click.option("-o", "--output", type=click.Path(file_okay=False, path_type=Path), help="The folder to write to.")
@click.pass_obj
def command(directory: Path, ensembles: tuple[str, ...], metric: str | None, method: str, output: Path | None) -> None:
    """Blend finished ensembles by their out-of-fold predictions; a script alone stands for all of its ensembles.

    Rows are matched by their ids. The weights are chosen by the training rows alone.
    """
    project = load_project(directory)
    require_configuration(project, QUEUE_FILES)
    from mlpipeline.ensemble.blended_runs import blend_runs, find_ensembles, write_blend

    finished = find_ensembles(project.model_ckpts_dir)
    chosen = choose_ensembles([parse_selection(text) for text in ensembles], finished, project)
    folders = {_label(script, version): path for (script, version), path in chosen.items()}
    blended = blend_runs(folders, metric, method)
    folder = output or project.outputs_dir / "blends" / folder_name(list(folders))
    write_blend(blended, folder, {name: os.path.relpath(path, project.root) for name, path in folders.items()})
    _print_table(blended)
    click.echo(f"written to {folder}")


def choose_ensembles(selections: Sequence[Selection], finished: Ensembles, project: Project) -> Ensembles:
    """Return the finished ensembles that selections mean.

    Raises: EnsembleError: one of them is not finished. ScriptError: a selection means none.
    """
    chosen: Ensembles = {}
    for selection in selections:
        found = {
            (script, version): path
            for (script, version), path in finished.items()
            if fnmatchcase(script, selection.script) and fnmatchcase(version, selection.version or "*")
        }
        if not found:
            raise _not_found(selection, finished, project)
        chosen.update(found)
    return chosen


def folder_name(labels: Sequence[str]) -> str:
    """Return a name for the folder of a blend: that of its ensembles or, where it would be long, a hash behind it."""
    name = "+".join(label.replace("/", "-").replace(":", "-") for label in labels)
    if len(name.encode()) <= _LONGEST_NAME:
        return name
    beginning = name.encode()[: _LONGEST_NAME - 9].decode(errors="ignore")
    return f"{beginning}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _not_found(selection: Selection, finished: Ensembles, project: Project) -> Exception:
    wanted = _label(selection.script, selection.version or "")
    known = [_label(*key) for key in finished]
    if begun := _members_begun(selection, project):
        only = f"{selection.script}:{selection.version}-*"
        return EnsembleError(
            f"{wanted} is not finished: of its members {', '.join(begun)} have been begun; let `mlpipeline -r -u` go "
            f"on, or `mlpipeline -r --only '{only}'` train all of them on the data as they are now"
        )
    near = did_you_mean(wanted, known) or (f"; there are {', '.join(known[:10])}" if known else "; there is none")
    return ScriptError(f"no finished ensemble is named {wanted.removesuffix(':')}{near}")


def _members_begun(selection: Selection, project: Project) -> list[str]:
    if selection.version is None:
        return []
    folder = project.model_dir(selection.script, selection.version)
    beside = folder.parent.iterdir() if folder.parent.is_dir() else []
    names = [path.name.removeprefix(f"{folder.name}-") for path in beside if path.name.startswith(f"{folder.name}-")]
    return sorted(name for name in names if re.fullmatch(r"(bag|fold)\d+", name))


def _label(script: str, version: str) -> str:
    return f"{script.removesuffix('.py')}:{version}"


def _print_table(blended: BlendedRuns) -> None:
    made, tests = blended.blend, blended.test_scores
    headings = ["ensemble", "weight", f"out-of-fold {made.metric}", *([f"test {made.metric}"] if tests else [])]
    rows = [
        [name, f"{weight:.3f}", f"{made.scores[name]:.4f}", *_score(tests, name)]
        for name, weight in sorted(made.weights.items(), key=lambda item: -item[1])
    ]
    rows.append(["blend", "", f"{made.score:.4f}", *_score(tests, "")])
    if sys.stdout.isatty():
        _print_rich(headings, rows)
    else:
        widths = [max(map(len, column)) for column in zip(headings, *rows, strict=True)]
        for row in [headings, *rows]:
            click.echo("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    click.echo(f"blend, with weights chosen on other rows than those it is scored on: {made.cross_validated_score:.4f}")
    if made.left_out:
        click.echo(f"{made.left_out} of {len(made.oof)} rows were left out: not every ensemble has predicted them")


def _print_rich(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(heading, justify="left" if heading == "ensemble" else "right", overflow="fold")
    for row in rows:
        table.add_row(*row, style="bold" if row[0] == "blend" else "")
    Console(highlight=False, markup=False).print(table)


def _score(scores: Mapping[str, float] | None, name: str) -> list[str]:
    return [] if scores is None else [f"{scores[name]:.4f}"]
