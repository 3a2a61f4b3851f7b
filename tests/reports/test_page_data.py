"""What the page shows, compared with what was recorded and kept."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from mlpipeline.records import dumps
from mlpipeline.reports.curves import CurveReader
from mlpipeline.reports.history import History
from mlpipeline.reports.page_artifacts import artifacts_data
from mlpipeline.reports.page_data import curves_data, details_data, figures_data, runs_data
from tests.reports.records import end, write, write_curve
from tests.reports.sample_project import DIGEST, PIXEL
from tests.support import Folder


def details(folder: Folder, name: str = "a.py:v1", **options: Any) -> dict[str, Any]:
    with History(folder.project) as history:
        return details_data(history, history.find(name), **options)


def artifact(folder: Folder, name: str, content: str | bytes, record: dict[str, Any] | None = None) -> dict[str, Any]:
    """Record a run that has kept a file, and return how the page gets it."""
    record = record or end(1)
    write(folder.outputs, record)
    path = folder.outputs / record["model_dir"] / "artifacts" / record["run_id"] / name
    path.parent.mkdir(parents=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    (found,) = details(folder)["artifacts"]
    return dict(found)


def test_a_row_has_what_was_recorded(folder: Folder) -> None:
    write(folder.outputs, end(1, host="h7", seed=5))
    with History(folder.project) as history:
        (row,) = runs_data(history)
    assert (row["id"], row["script"], row["version"], row["status"]) == ("run000001", "a.py", "v1", "SUCCEEDED")
    assert (row["host"], row["seed"], row["memory"], row["git"]) == ("h7", 5, 100.0, "c" * 40)
    assert row["metrics"] == {"train.accuracy": 0.9, "test.accuracy": 0.8}


def test_rows_are_the_last_runs_of_versions_or_all(folder: Folder) -> None:
    write(folder.outputs, end(1, version="v"), end(2, version="v"), end(3, version="w"))
    with History(folder.project) as history:
        assert [row["id"] for row in runs_data(history)] == ["run000002", "run000003"]
        assert len(runs_data(history, every=True)) == 3


def test_numbers_that_json_has_no_word_for_are_texts(folder: Folder) -> None:
    write(folder.outputs, end(1, metrics={"test.a": "nan", "test.b": "-inf"}))
    write_curve(folder.outputs, end(1), {"loss": [float("nan"), 1.0]})
    with History(folder.project) as history:
        (row,) = runs_data(history)
        curves = curves_data(CurveReader(history), history.find("a:v1"))
    assert row["metrics"] == {"test.a": "nan", "test.b": "-inf"}
    assert curves["loss"]["values"] == ["nan", 1.0]
    assert json.loads(dumps([row, curves])) == [row, curves]


def test_curves_are_thinned_with_first_and_last_point(folder: Folder) -> None:
    write(folder.outputs, end(1))
    write_curve(folder.outputs, end(1), {"loss": [float(k) for k in range(1000)]})
    with History(folder.project) as history:
        curve = curves_data(CurveReader(history), history.find("a:v1"), 50)["loss"]
    assert len(curve["steps"]) == len(curve["values"]) == len(curve["times"]) == 50
    assert (curve["steps"][0], curve["steps"][-1], curve["values"][-1]) == (1, 1000, 999.0)
    assert (curve["times"][0], curve["times"][-1]) == (0, 999)


def test_figures_say_why_there_are_none(folder: Folder) -> None:
    write(folder.outputs, end(1))
    with History(folder.project) as history:
        figures = figures_data(history.latest(), "test.accuracy")
        assert figures["parallel"]["data"][0]["type"] == "parcoords"
        assert figures["importance"].startswith("importance needs at least 10 runs")
        assert figures_data(history.latest(), "f1")["parallel"] == "no run has a finite value of f1"


def test_details_have_environment_and_error(folder: Folder) -> None:
    write(folder.outputs, end(1, status="FAILED", error="Traceback\nValueError: no", error_summary="ValueError: no"))
    found = details(folder)
    assert (found["python"], found["libraries"], found["git_clean"]) == ("3.11.7", {"numpy": "2.0.0"}, True)
    assert found["error"] == "Traceback\nValueError: no"


def test_code_is_the_copy_that_the_run_used(folder: Folder) -> None:
    record = end(1, source_digest=DIGEST)
    write(folder.outputs, record)
    for digest in (DIGEST[:12], "other0000000"):
        code = folder.outputs / record["model_dir"] / "code" / digest
        (code / "nets").mkdir(parents=True)
        (code / "a.py").write_text(f"# {digest}\n")
        (code / "nets" / "b.py").write_text("")
    texts = {file["name"]: file["text"] for file in details(folder)["code"]}
    assert texts == {"a.py": f"# {DIGEST[:12]}\n", "nets/b.py": ""}


@pytest.mark.parametrize("digest", ["../../../..", "", "/etc"])
def test_a_digest_that_is_no_digest_leads_nowhere(folder: Folder, digest: str) -> None:
    write(folder.outputs, end(1, source_digest=digest))
    (folder.outputs / end(1)["model_dir"] / "code").mkdir(parents=True)
    assert details(folder)["code"] == []


@pytest.mark.parametrize("run_id", ["..", "../../x", "a\nb"])
def test_a_run_id_that_is_a_path_leads_nowhere(folder: Folder, run_id: str) -> None:
    write(folder.outputs, end(1, run_id=run_id))
    (folder.outputs / end(1)["model_dir"] / "artifacts" / "x").mkdir(parents=True)
    (folder.outputs / end(1)["model_dir"] / "secret.csv").write_text("a\n1\n")
    assert details(folder)["artifacts"] == []


def test_the_log_is_the_runs_own_part(folder: Folder) -> None:
    write(folder.outputs, end(1))
    directory = folder.outputs / end(1)["model_dir"]
    directory.mkdir(parents=True)
    parts = {"20260102T030400-01ab": "not this", "run000001": "one\ntwo", "20260102T030405-01ab": "nor this"}
    log = "".join(f"--- a.py:v1 {run_id} ---\n{text}\n" for run_id, text in parts.items())
    (directory / "stdout.log").write_text(log)
    assert details(folder)["log"] == "one\ntwo\n"


def test_a_picture_is_a_data_uri(folder: Folder) -> None:
    found = artifact(folder, "weights.png", PIXEL)
    assert (found["name"], found["kind"]) == ("weights", "image")
    assert base64.b64decode(found["source"].removeprefix("data:image/png;base64,")) == PIXEL


def test_a_picture_that_is_large_or_none_is_a_note(folder: Folder) -> None:
    assert artifact(folder, "a.png", PIXEL + bytes(3_000_000))["text"].startswith(
        "a.png cannot be shown: it has 3.0 MB"
    )
    assert details(folder, with_artifacts=False)["artifacts"] == []


def test_a_file_that_only_calls_itself_a_picture_is_a_note(folder: Folder) -> None:
    assert artifact(folder, "a.png", "<svg onload=alert(1)>")["text"] == "a.png cannot be shown: it is no PNG"


def test_a_figure_is_plotlys_json(folder: Folder) -> None:
    found = artifact(folder, "f.plotly.json", '{"data": [{"y": [1, NaN]}], "layout": {}, "frames": "x"}')
    assert found == {"name": "f", "kind": "figure", "figure": {"data": [{"y": [1, "nan"]}], "layout": {}}}


@pytest.mark.parametrize("text", ["[1]", "{", '{"data": 1}', "[" * 100_000])
def test_a_figure_that_is_damaged_is_a_note(folder: Folder, text: str) -> None:
    assert artifact(folder, "f.plotly.json", text)["kind"] == "note"


def test_a_long_table_is_cut(folder: Folder) -> None:
    found = artifact(folder, "t.csv", "id,loss\n" + "1,2\n" * 250)
    assert (found["kind"], found["columns"], len(found["rows"]), found["more"]) == ("table", ["id", "loss"], 200, 50)


def test_predictions_are_a_figure(folder: Folder) -> None:
    pytest.importorskip("plotly")
    found = artifact(folder, "test.predictions.csv", "id,truth,prediction\n0,1,1\n1,0,1\n")
    assert (found["name"], found["figure"]["data"][0]["type"]) == ("test", "heatmap")


def test_links_among_what_a_run_has_kept_lead_nowhere(tmp_path: Path) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a,b\n1,2\n")
    folder = tmp_path / "model" / "artifacts" / "run1"
    folder.mkdir(parents=True)
    (folder / "own.csv").write_text("a,b\n1,2\n")
    (folder / "link.csv").symlink_to(secret)
    assert [item["name"] for item in artifacts_data(tmp_path / "model", "run1")] == ["own"]
    (folder.parent / "run2").symlink_to(tmp_path)
    assert artifacts_data(tmp_path / "model", "run2") == []
