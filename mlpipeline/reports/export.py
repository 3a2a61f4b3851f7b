"""All that is recorded, written to one file for other programs."""

from __future__ import annotations

import contextlib
import csv
import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from mlpipeline.errors import ReportError
from mlpipeline.reports.flat import CURVE_COLUMNS, curve_rows, run_columns, run_objects
from mlpipeline.reports.history import History, Run

FORMATS = (".csv", ".json", ".parquet")


def export_file(history: History, runs: Sequence[Run], path: Path, *, curves: bool = False) -> int:
    """Write runs, or the points of their curves, to a file of the kind that its name ends with; return the rows.

    CSV has an empty cell, JSON null, for what is missing and for NaN. The file is replaced in one go.

    Raises: ReportError: the ending is another one, the folder is not there, or Parquet cannot be written here.
    """
    if path.suffix.lower() not in FORMATS:
        raise ReportError(f"expected a file that ends with {', '.join(FORMATS)}, but got {path}")
    if path.is_dir() or not path.parent.is_dir():
        raise ReportError(f"{path} cannot be written: {'it' if path.is_dir() else path.parent} is no file's place")
    aside = path.with_name(f".{path.name}.tmp")
    try:
        count = _write(history, runs, aside, path.suffix.lower(), curves)
        os.replace(aside, path)
    finally:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
    return count


def _write(history: History, runs: Sequence[Run], path: Path, kind: str, curves: bool) -> int:
    if kind == ".parquet":
        return _write_parquet(history, runs, path, curves)
    if kind == ".json":
        if not curves:
            return _write_json(run_objects(history, runs), path)
        rows = curve_rows(history, runs)
        return _write_json((dict(zip(CURVE_COLUMNS, row, strict=True)) for row in rows), path)
    if curves:
        return _write_csv(CURVE_COLUMNS, curve_rows(history, runs), path)
    table = run_columns(history, runs, with_details=True)
    return _write_csv(list(table), zip(*table.values(), strict=True), path)


def _write_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]], path: Path) -> int:
    count = 0
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            writer.writerow([_cell(value) for value in row])
            count += 1
    return count


def _write_json(objects: Iterator[dict[str, Any]], path: Path) -> int:
    count = 0
    with path.open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.write("[")
        for count, values in enumerate(objects, start=1):
            file.write(",\n" if count > 1 else "\n")
            json.dump(_finite(values), file, ensure_ascii=False, allow_nan=False)
        file.write("\n]\n")
    return count


def _write_parquet(history: History, runs: Sequence[Run], path: Path, curves: bool) -> int:
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise ReportError("Parquet needs pyarrow: pip install 'mlpipeline[parquet]'") from None
    from mlpipeline.reports.frames import curve_frame, run_frame

    frame = curve_frame(history, runs) if curves else run_frame(history, runs, with_details=True)
    for name in frame.columns:
        if frame[name].dtype == object:  # a column of one kind is needed: lists, or numbers and texts together
            frame[name] = [_text(value) for value in frame[name]]
    frame.to_parquet(path, index=False)
    return len(frame)


def _cell(value: Any) -> Any:
    if value is None or value != value:
        return ""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else value


def _text(value: Any) -> str | None:
    if value is None or value != value:
        return None
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list) else value
