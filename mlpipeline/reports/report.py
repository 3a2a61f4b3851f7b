"""`write_report`: one HTML file that shows all runs, opens from disk and needs no network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mlpipeline.errors import ReportError, did_you_mean
from mlpipeline.files import replace_file
from mlpipeline.project import load_project
from mlpipeline.records import dumps
from mlpipeline.reports.columns import listed
from mlpipeline.reports.curves import CurveReader, Curves
from mlpipeline.reports.history import History, Run
from mlpipeline.reports.page_artifacts import keeps_artifacts
from mlpipeline.reports.page_data import curve_data, figures_data, metrics_to_explain, run_data
from mlpipeline.reports.page_details import details_data
from mlpipeline.reports.page_files import static_page
from mlpipeline.selection import parse_selection

_CURVE_NUMBERS = 600_000  # in all; a number takes about seven bytes
_MOST_POINTS, _FEWEST_POINTS = 400, 12
_ARTIFACT_BYTES = 3_000_000  # in all
_LOG_CHARACTERS = 1_000_000  # in all
_LIBRARY_NAMES = 200


def write_report(
    project: str | Path = ".",
    path: str | Path = "report.html",
    names: Sequence[str] = (),
    *,
    every: bool = False,
    history: History | None = None,
) -> Path:
    """Write the report of a project and return the file.

    Args:
        project: the project folder.
        path: the file.
        names: `SCRIPT` or `SCRIPT:VERSION`, which may be patterns; none means all.
        every: every run, not only the last one of each version.
        history: the records, where they have been opened already.
    Raises: ReportError: none of the selected runs is recorded, or Plotly or itables is not installed.
    """
    if history is None:
        with History(load_project(Path(project))) as opened:
            return write_report(project, path, names, every=every, history=opened)
    chosen = [parse_selection(text) for text in names]
    runs = history.runs(chosen) if every else history.latest(chosen)
    if names and not runs:
        raise _none_of(history, names)
    target = Path(path)
    if not target.name or target.is_dir():
        raise ReportError(f"expected the name of a file, but got {str(path)!r}")
    replace_file(target, static_page(history.project.root.name, report_data(history, runs)))
    return target


def report_data(history: History, runs: Sequence[Run]) -> dict[str, Any]:
    """Return what the page holds of runs, by the id of the element that holds it."""
    figures = {metric: figures_data(runs, metric) for metric in metrics_to_explain(runs)}
    details, codes = _details(history, runs)
    return {
        "runs": [run_data(run) for run in runs],
        "curves": _curves(history, runs),
        "figures": figures,
        "details": details,
        "codes": codes,
    }


def _curves(history: History, runs: Sequence[Run]) -> dict[str, Any]:
    """Return the curves of all runs, thinned so far that the page stays small."""
    found: dict[str, Curves] = {}
    reader, folder = CurveReader(history), ""
    for run in sorted(runs, key=lambda run: run.model_dir):
        if run.model_dir != folder:  # the files of other folders need not be kept
            reader, folder = CurveReader(history), run.model_dir
        if curves := reader.of(run):
            found[run.run_id] = {name: curve.thinned(_MOST_POINTS) for name, curve in curves.items()}
    count = sum(len(curves) for curves in found.values())
    most = max(_FEWEST_POINTS, min(_MOST_POINTS, _CURVE_NUMBERS // (3 * count or 1)))
    return {
        run_id: {name: curve_data(curve, most) for name, curve in curves.items()} for run_id, curves in found.items()
    }


def _details(history: History, runs: Sequence[Run]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the details of each run, and the code by its digest: many runs have the same."""
    details: dict[str, Any] = {}
    codes: dict[str, Any] = {}
    room = _ARTIFACT_BYTES
    longest_log = max(500, _LOG_CHARACTERS // (len(runs) or 1))
    for run in reversed(runs):  # the latest first: when the room is used up, the older ones go without
        values = details_data(history, run, with_artifacts=room > 0)
        room -= sum(len(dumps(artifact)) for artifact in values["artifacts"])
        if room <= 0 and keeps_artifacts(history.folder(run), run.run_id):
            values["artifacts"] = [_left_out(run)]
        values["log"] = values["log"][-longest_log:]
        code = values.pop("code")
        codes.setdefault(run.source_digest, code)
        details[run.run_id] = values
    return details, codes


def _none_of(history: History, wanted: Sequence[str]) -> ReportError:
    scripts = list(dict.fromkeys(run.script for run in history.latest()))
    near = did_you_mean(wanted[0], scripts) or (f"; there are runs of {listed(scripts)}" if scripts else "")
    return ReportError(f"no run of {', '.join(wanted)} is recorded{near}")


def _left_out(run: Run) -> dict[str, Any]:
    place = f"{run.model_dir}/artifacts/{run.run_id}"
    return {"name": "", "kind": "note", "text": f"left out so that the report stays small; they lie in {place}"}
