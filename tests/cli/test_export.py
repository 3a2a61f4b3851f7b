"""`mlpipeline export` as a user meets it."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from mlpipeline.cli.main import queue
from tests.cli.terminal import HOSTILE
from tests.reports.records import end, start, write, write_curve
from tests.support import Folder

LOSS = [3.0, float("nan"), 1.0]


@pytest.fixture
def recorded(folder: Folder) -> Folder:
    odd = {"layers": [64, 32], "nested": {"a": [1]}, "mixed": "text", HOSTILE: HOSTILE}
    first = end(1, parameters=odd, metrics={"test.loss": "nan", "test.accuracy": 0.5}, error=HOSTILE)
    again = end(2, version="v1", parameters={"mixed": 3}, metrics={"test.accuracy": 0.75})
    write(folder.outputs, first, again, end(3, script="b.py", version=None, metrics={}, status="FAILED"))
    write(folder.outputs, start(4, version=HOSTILE, script="../../x.py", run_id="..", parameters={"\ud800": 10**400}))
    write_curve(folder.outputs, first, {"loss": LOSS})
    return folder


def export(folder: Folder, *arguments: str) -> Result:
    return CliRunner().invoke(queue, ["-C", str(folder.root), "export", *arguments], catch_exceptions=False)


def test_csv_holds_every_run_with_parameters_metrics_and_libraries(recorded: Folder) -> None:
    file = recorded.root / "runs.csv"
    assert export(recorded, str(file)).output == f"{file}: 4 runs\n"
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    first = next(row for row in rows if row["run_id"] == "run000001")
    assert (first["test.loss"], first["test.accuracy"], first["mixed"], first[HOSTILE]) == ("", "0.5", "text", HOSTILE)
    assert (json.loads(first["layers"]), json.loads(first["libraries"])) == ([64, 32], {"numpy": "2.0.0"})
    assert (first["traceback"], first["python"]) == (HOSTILE, "3.11.7")


def test_json_holds_the_records_as_they_are(recorded: Folder) -> None:
    file = recorded.root / "runs.json"
    export(recorded, str(file), "a.py")
    first, second = json.loads(file.read_text(), parse_constant=lambda word: pytest.fail(word))
    assert first["parameters"] == {"layers": [64, 32], "nested": {"a": [1]}, "mixed": "text", HOSTILE: HOSTILE}
    assert first["metrics"] == {"test.loss": None, "test.accuracy": 0.5}
    assert (second["metrics"], second["libraries"]) == ({"test.accuracy": 0.75}, {"numpy": "2.0.0"})


def test_parquet_holds_columns_of_one_kind(recorded: Folder) -> None:
    file = recorded.root / "runs.parquet"
    export(recorded, str(file), "--latest", "a.py")
    export(recorded, str(file))
    frame = pd.read_parquet(file).set_index("run_id")
    assert frame.loc["run000001", "test.accuracy"] == 0.5
    assert frame["mixed"].dropna().tolist() == ["text", "3"]
    assert frame.loc["run000002", "ended"] == pd.Timestamp("2026-01-02T03:00:02Z")
    assert frame.loc["run000001", HOSTILE] == HOSTILE


@pytest.mark.parametrize("ending", ["csv", "json", "parquet"])
def test_curves_are_a_row_for_each_point(recorded: Folder, ending: str) -> None:
    file = recorded.root / f"curves.{ending}"
    assert export(recorded, str(file), "--curves").output == f"{file}: 3 points\n"
    readers: dict[str, Any] = {"csv": pd.read_csv, "json": pd.read_json, "parquet": pd.read_parquet}
    frame = readers[ending](file)
    assert frame.columns.tolist() == ["run_id", "script", "version", "metric", "step", "time", "value"]
    assert frame["step"].tolist() == [1, 2, 3]
    assert frame["value"].fillna(-1).tolist() == [3.0, -1, 1.0]


def test_tensorboard_reads_what_is_written_and_a_second_export_replaces_it(recorded: Folder) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = recorded.root / "events"
    for _ in range(2):
        export(recorded, "--tensorboard", str(events))
    read = EventAccumulator(str(events / "a" / "v1" / "run000001")).Reload()
    assert [(point.step, point.wall_time) for point in read.Scalars("loss")] == [(k + 1, 1.7e9 + k) for k in range(3)]
    assert [point.value for point in read.Scalars("final/test.accuracy")] == [0.5]
    assert "_hparams_/session_start_info" in read.Tags()["tensors"]
    written = {Path(place) for place, _, files in os.walk(recorded.root) if any("tfevents" in name for name in files)}
    assert len(written) == 4
    assert all(path.is_relative_to(events) and len(path.relative_to(events).parts) == 3 for path in written)


def test_an_export_replaces_the_file_in_one_go(recorded: Folder) -> None:
    file = recorded.root / "runs.csv"
    file.write_text("old")
    assert "no run of zzz is recorded" in recorded.run("export", str(file), "zzz", expect=2).stderr
    assert file.read_text() == "old"
    export(recorded, str(file))
    assert sorted(path.name for path in recorded.root.iterdir() if "runs" in path.name) == ["runs.csv"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name a file that ends with .csv, .json, .parquet"),
        (["runs.xlsx"], "name a file that ends with"),
        (["nowhere/runs.csv"], "cannot be written"),
        (["--curves", "--tensorboard", "x"], "--curves goes with a file"),
    ],
)
def test_what_cannot_be_written_is_said(recorded: Folder, arguments: list[str], message: str) -> None:
    assert message in recorded.run("export", *arguments, expect=2).stderr


def test_a_missing_package_is_said_with_its_extra(recorded: Folder) -> None:
    code = (
        "import sys; sys.modules['pyarrow'] = sys.modules['tensorboard'] = None\n"
        f"sys.argv = ['mlpipeline', '-C', {str(recorded.root)!r}, 'export', *sys.argv[1:]]\n"
        "from mlpipeline.cli.main import main; main()"
    )
    for arguments, extra in ((["runs.parquet"], "parquet"), (["--tensorboard", "events"], "tensorboard")):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=recorded.root
        )
        assert done.returncode == 2
        assert f"pip install 'mlpipeline[{extra}]'" in done.stderr


def test_an_empty_project_gives_an_empty_file(folder: Folder) -> None:
    for name in ("runs.csv", "runs.json", "runs.parquet"):
        assert export(folder, str(folder.root / name)).exit_code == 0
    assert json.loads((folder.root / "runs.json").read_text()) == []
