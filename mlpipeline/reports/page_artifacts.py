"""What a run has kept to look at, as values for the page: pictures, figures, tables, predictions."""

from __future__ import annotations

import base64
import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlpipeline.artifacts import PREDICTIONS
from mlpipeline.errors import ReportError
from mlpipeline.project import ARTIFACTS_FOLDER
from mlpipeline.records import dumps

_LARGEST = 2_000_000  # bytes of a picture or a figure
_MOST_ROWS = 200  # of a table
_MOST_ARTIFACTS = 50


def artifacts_data(folder: Path, run_id: str) -> list[dict[str, Any]]:
    """Return what a run has kept, each with `name` and `kind`.

    The kinds: `image` (with `source`, a data URI), `figure` (with `figure`, Plotly's JSON), `table` (with `columns`,
    `rows` and `more`, the number of rows left out) and `note` (with `text`: why it is not shown).
    """
    files = _kept(folder, run_id)
    found = [_shown(path) for path in files[:_MOST_ARTIFACTS]]
    if len(files) > _MOST_ARTIFACTS:
        found.append({"name": "", "kind": "note", "text": f"{len(files) - _MOST_ARTIFACTS} more are not shown"})
    return found


def keeps_artifacts(folder: Path | None, run_id: str) -> bool:
    """Tell whether a run has kept anything."""
    return folder is not None and bool(_kept(folder, run_id))


def is_own_file(path: Path) -> bool:
    """Tell whether this is a file, and no link: whoever may write into a model directory may not read elsewhere."""
    return path.is_file() and not path.is_symlink()


def _kept(folder: Path, run_id: str) -> list[Path]:
    if not run_id.isprintable() or "/" in run_id or run_id.startswith("."):
        return []
    place = folder / ARTIFACTS_FOLDER / run_id
    if place.is_symlink() or place.parent.is_symlink():
        return []
    return sorted(path for path in place.glob("*") if is_own_file(path))


def _shown(path: Path) -> dict[str, Any]:
    readers: dict[str, Callable[[Path], dict[str, Any]]] = {
        f".{PREDICTIONS}.csv": _predictions,
        ".plotly.json": _figure,
        ".png": _image,
        ".csv": _table,
    }
    for ending, read in readers.items():
        if path.name.endswith(ending):
            name = path.name.removesuffix(ending)
            try:
                return {"name": name, **read(path)}
            except (OSError, ValueError, RecursionError, csv.Error, ReportError) as error:
                return {"name": name, "kind": "note", "text": f"{path.name} cannot be shown: {error}"}
    return {"name": path.name, "kind": "note", "text": f"{path.name} is kept, but of no kind that is shown here"}


def _image(path: Path) -> dict[str, Any]:
    content = _content(path)
    if not content.startswith(b"\x89PNG\r\n"):
        raise ReportError("it is no PNG")
    return {"kind": "image", "source": f"data:image/png;base64,{base64.b64encode(content).decode()}"}


def _figure(path: Path) -> dict[str, Any]:
    figure = json.loads(_content(path))
    if not isinstance(figure, dict) or not isinstance(figure.get("data"), list):
        raise ReportError("it is no figure of Plotly")
    layout = figure.get("layout")
    # strict JSON: a file may hold NaN, which a browser does not read
    return {
        "kind": "figure",
        "figure": json.loads(dumps({"data": figure["data"], "layout": layout if isinstance(layout, dict) else {}})),
    }


def _table(path: Path) -> dict[str, Any]:
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        reader = csv.reader(file)
        columns = next(reader, [])
        rows = [row for _, row in zip(range(_MOST_ROWS), reader, strict=False)]
        more = sum(1 for _ in reader)
    return {"kind": "table", "columns": columns, "rows": rows, "more": more}


def _predictions(path: Path) -> dict[str, Any]:
    from mlpipeline.reports.prediction_figures import figure_of_predictions

    return {"kind": "figure", "figure": json.loads(figure_of_predictions(path).to_json())}


def _content(path: Path) -> bytes:
    if path.stat().st_size > _LARGEST:
        raise ReportError(f"it has {path.stat().st_size / 1e6:.1f} MB, and a page takes up to {_LARGEST / 1e6:.0f} MB")
    return path.read_bytes()
