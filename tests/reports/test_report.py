"""The report as a file: written by the command, self-contained, closed against the network and against names."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from mlpipeline import reports
from mlpipeline.errors import ReportError
from mlpipeline.reports.page_files import live_page, static_file
from tests.reports.records import end, write, write_curve
from tests.support import Folder

pytest.importorskip("plotly")
pytest.importorskip("itables")
HOSTILE = "</script ><script >alert(1)</script ><!-- '\"&"


class Page(HTMLParser):
    """The elements of a page, as a browser finds them. Fields: scripts: attributes and text of each."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._is_script = False
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "script":
            self._is_script = True
            self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag: str) -> None:
        self._is_script = False

    def handle_data(self, data: str) -> None:
        if self._is_script:
            attributes, text = self.scripts.pop()
            self.scripts.append((attributes, text + data))

    def data(self, name: str) -> Any:
        (text,) = [text for attributes, text in self.scripts if attributes.get("id") == f"data-{name}"]
        return json.loads(text)

    @property
    def policy(self) -> str:
        return next(str(a["content"]) for _, a in self.elements if a.get("http-equiv") == "Content-Security-Policy")


def written(folder: Folder, *selections: str, every: bool = False) -> Page:
    return Page(reports.write_report(folder.root, folder.root / "report.html", selections, every=every))


def test_the_last_run_of_each_version_is_shown_or_all(folder: Folder) -> None:
    write(folder.outputs, end(1, version="v"), end(2, version="v"), end(3, version="w", script="b.py"))
    assert [row["id"] for row in written(folder).data("runs")] == ["run000002", "run000003"]
    assert len(written(folder, every=True).data("runs")) == 3


def test_the_command_writes_what_is_selected(folder: Folder) -> None:
    write(folder.outputs, end(1, version="v"), end(2, version="v"), end(3, version="w", script="b.py"))
    target = folder.root / "new" / "page.html"
    done = folder.run("report", "a:v*", "--all", "-o", str(target))
    assert done.stdout.startswith(f"{target}  ")
    assert [row["id"] for row in Page(target).data("runs")] == ["run000001", "run000002"]


def test_a_project_without_runs_gets_a_page(folder: Folder) -> None:
    assert written(folder).data("runs") == []


def test_an_unknown_selection_is_refused(folder: Folder) -> None:
    write(folder.outputs, end(1))
    with pytest.raises(ReportError, match=r"no run of b\.py is recorded; did you mean a\.py\?"):
        written(folder, "b.py")
    assert not (folder.root / "report.html").exists()


def test_nothing_is_loaded_from_anywhere(folder: Folder) -> None:
    write(folder.outputs, end(1))
    page = written(folder)
    addresses = [a.get("src") or a.get("href") or "" for _, a in page.elements]
    assert {address for address in addresses if not address.startswith(("#", "data:"))} == {""}
    assert "default-src 'none'" in page.policy
    assert "connect-src 'none'" in page.policy


def test_the_policy_names_the_scripts_by_their_hashes(folder: Folder) -> None:
    write(folder.outputs, end(1))
    page = written(folder)
    executed = [text for attributes, text in page.scripts if attributes.get("type") != "application/json"]
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in executed]
    (allowed,) = re.findall(r"script-src ([^;]*);", page.policy)
    assert allowed.split() == [*(f"'sha256-{value}'" for value in hashes), "blob:", "'unsafe-eval'"]


def test_names_cannot_leave_their_place(folder: Folder) -> None:
    record = end(1, script=f"{HOSTILE}.py", version=HOSTILE, parameters={HOSTILE: HOSTILE}, metrics={HOSTILE: 1.0})
    write(folder.outputs, {**record, "error": HOSTILE, "model_dir": "model_ckpts/x"})
    page = written(folder)
    (row,) = page.data("runs")
    assert (row["version"], row["parameters"], row["metrics"]) == (HOSTILE, {HOSTILE: HOSTILE}, {HOSTILE: 1.0})
    assert len(page.scripts) == 9
    assert not any("<" in text for attributes, text in page.scripts if attributes.get("type") == "application/json")


def test_curves_of_many_runs_are_thinned_to_fit(folder: Folder) -> None:
    records = [end(number) for number in range(10)]
    write(folder.outputs, *records)
    for record in records:
        write_curve(folder.outputs, record, {f"m{k}": [0.123456789] * 300 for k in range(100)})
    curves = written(folder).data("curves")
    assert {len(curve["steps"]) for run in curves.values() for curve in run.values()} == {200}
    assert curves["run000000"]["m0"]["values"][0] == 0.123457


def test_runs_share_the_code_that_is_the_same(folder: Folder) -> None:
    records = [end(number, source_digest="abc") for number in range(3)]
    write(folder.outputs, *records)
    for record in records:
        code = folder.outputs / record["model_dir"] / "code" / "abc"
        code.mkdir(parents=True)
        (code / "a.py").write_text("MODEL = 1\n")
    assert written(folder).data("codes") == {"abc": [{"name": "a.py", "text": "MODEL = 1\n"}]}


def test_artifacts_beyond_what_fits_are_named(folder: Folder) -> None:
    records = [end(number) for number in range(5)]
    write(folder.outputs, *records)
    for record in records:
        kept = folder.outputs / record["model_dir"] / "artifacts" / record["run_id"]
        kept.mkdir(parents=True)
        (kept / "a.png").write_bytes(b"\x89PNG\r\n" + bytes(1_000_000))
    details = written(folder).data("details")
    kinds = [details[f"run{number:06d}"]["artifacts"][0]["kind"] for number in range(5)]
    assert kinds == ["note", "note", "note", "image", "image"]


def test_a_page_from_a_server_loads_only_from_it() -> None:
    page = live_page(HOSTILE, edit=True)
    assert HOSTILE not in page
    assert "script-src 'self' 'unsafe-eval'" in page.replace("&#x27;", "'")
    names = re.findall(r'"/static/([^"]+)"', page)
    assert all(static_file(name) for name in names)
    assert static_file("../page_files.py") is None
    assert static_file("page.html") is None
