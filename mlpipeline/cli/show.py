"""`mlpipeline show`: one run whole, with its curves."""

from __future__ import annotations

import json
import os
import shutil
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from mlpipeline.cli.history import open_history
from mlpipeline.cli.plain_screen import format_seconds
from mlpipeline.cli.tables import cell_text, is_terminal, safe_text, status_colour
from mlpipeline.project import ARTIFACTS_FOLDER
from mlpipeline.records import RUNNING
from mlpipeline.reports.curves import CurveReader
from mlpipeline.reports.history import History, Run

_WIDEST = 100
_PIPED_WIDTH = 80
_PICTURES = 4
_EARLIER = 10
_ERROR_LINES = 25
_FILES = 30


@click.command(name="show")
@click.argument("name", metavar="SCRIPT:VERSION[@RUN_ID]")
@click.option("--curve", "names", multiple=True, metavar="NAME", help="Draw this metric; may be repeated.")
@click.pass_obj
def command(directory: Path, name: str, names: tuple[str, ...]) -> None:
    """Show one run whole: parameters, metrics, libraries, error, files, earlier runs and curves."""
    with open_history(directory) as history:
        run = history.find(name)
        details = history.details(run)
        status = click.style(run.status, fg=status_colour(run.status), bold=True)
        click.echo(f"{click.style(safe_text(run.name), bold=True)}  {status}")
        _print_pairs("", _facts(history, run, details))
        _print_pairs("parameters", run.parameters)
        _print_pairs("metrics", run.metrics)
        libraries = details.get("libraries")
        _print_pairs("libraries", libraries if isinstance(libraries, dict) else {})
        _print_error(run, details)
        _print_files(history, run)
        _print_earlier(history, run)
        _print_curves(history, run, names)


def _facts(history: History, run: Run, details: Mapping[str, Any]) -> dict[str, Any]:
    commit = run.git_commit + (" with changes" if details.get("git_clean") is False else "")
    folder = history.folder(run)
    facts = {
        "run": run.run_id + (", resumed" if run.resumed else ""),
        "started": _moment(run.started),
        "ended": _moment(run.ended),
        "took": format_seconds(run.seconds) if run.ended else "",
        "memory": f"{run.peak_memory_mb:.0f} MiB" if run.peak_memory_mb else "",
        "steps": run.steps or "",
        "host": run.host,
        "seed": run.seed,
        "git commit": commit if run.git_commit else "",
        "python": details.get("python", ""),
        "folder": os.path.relpath(folder, history.project.root) if folder and folder.is_dir() else "",
    }
    return {name: value for name, value in facts.items() if value != ""}


def _moment(text: str) -> str:
    return f"{text[:19].replace('T', ' ')} UTC" if text.endswith("+00:00") else text


def _width() -> int:
    return min(shutil.get_terminal_size().columns, _WIDEST) if is_terminal() else _PIPED_WIDTH


def _print_pairs(heading: str, pairs: Mapping[str, Any]) -> None:
    if not pairs:
        return
    _print_heading(heading)
    names = {safe_text(str(name)): _value(value) for name, value in pairs.items()}
    widest = min(max(map(len, names)), 30)
    for name, value in names.items():
        begin = f"  {name:<{widest}}  "
        width = max(_width(), widest + 24)
        lines = textwrap.wrap(begin + value, width, subsequent_indent=" " * 4, break_on_hyphens=False)
        click.echo("\n".join(lines))


def _print_heading(heading: str) -> None:
    if heading:
        click.echo(f"\n{click.style(heading, bold=True)}")


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    return "null" if value is None else cell_text(value)


def _print_error(run: Run, details: Mapping[str, Any]) -> None:
    error = details.get("error") or run.error_summary
    if not isinstance(error, str) or not error.strip():
        return
    _print_heading("error")
    lines = safe_text(error.rstrip(), spans_lines=True).splitlines()
    if len(lines) > _ERROR_LINES:
        click.echo(f"  ... {len(lines) - _ERROR_LINES} lines before these")
    for line in lines[-_ERROR_LINES:]:
        click.echo(click.style(f"  {line}", fg="red"))


def _print_files(history: History, run: Run) -> None:
    folder = history.folder(run)
    # what a record calls its run must not lead elsewhere
    if folder is None or not run.run_id.replace("-", "").replace("_", "").isalnum():
        return
    kept = folder / ARTIFACTS_FOLDER / run.run_id
    paths = [path for place in (kept, folder) if place.is_dir() for path in sorted(place.iterdir())]
    files = [path for path in paths if path.is_file() and not path.name.startswith(".")]
    if not files:
        return
    _print_heading("files")
    for path in files[:_FILES]:
        click.echo(f"  {safe_text(str(path.relative_to(folder)))}  {_size(path)}")
    if len(files) > _FILES:
        click.echo(f"  ... and {len(files) - _FILES} more")


def _size(path: Path) -> str:
    try:
        size = float(path.stat().st_size)
    except OSError:
        return ""
    for unit in ("bytes", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} GiB"


def _print_earlier(history: History, run: Run) -> None:
    others = [other for other in history.runs_of(run.script, run.version) if other.run_id != run.run_id]
    if not others:
        return
    _print_heading("other runs of this version")
    for other in reversed(others[-_EARLIER:]):
        metrics = "  ".join(f"{safe_text(name)}={value:.4g}" for name, value in list(other.metrics.items())[-1:])
        when = _moment(other.ended or other.started)[:16]
        click.echo(f"  {safe_text(other.run_id)}  {when}  {other.status}  {metrics}".rstrip())
    if len(others) > _EARLIER:
        click.echo(f"  ... and {len(others) - _EARLIER} before them; `mlpipeline compare --all` lists all")


def _print_curves(history: History, run: Run, names: tuple[str, ...]) -> None:
    from mlpipeline.cli.plots import draw, families
    from mlpipeline.errors import ReportError, did_you_mean

    curves = CurveReader(history).of(run)
    found = families(curves)
    unknown = [name for name in names if name not in curves and name not in found]
    if unknown:
        near = did_you_mean(unknown[0], [*curves, *found])
        raise ReportError(f"{run.name} has no curve {unknown[0]!r}{near}; there are {', '.join(curves) or 'none'}")
    chosen = [family for family in found if not names or family in names or set(found[family]) & set(names)]
    shown = chosen if names else chosen[:_PICTURES]
    if not shown:
        ends = "are none yet" if run.status == RUNNING else "were none reported"
        click.echo(f"\nno curves: there {ends}; Model.report(step, total, **metrics) reports them")
        return
    for family in shown:
        _print_heading(f"{safe_text(family)} over steps")
        click.echo(draw(found[family], _width() - 1, in_colours=is_terminal()))
    if hidden := [family for family in chosen if family not in shown]:
        click.echo(f"\nnot drawn: {safe_text(json.dumps(hidden, ensure_ascii=False)[1:-1])}; --curve NAME draws one")
