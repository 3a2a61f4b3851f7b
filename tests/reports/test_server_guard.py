"""Who may look at the live page and change the queue, tried against a real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.reports.live import Events, Live
from tests.support import Folder

TOKEN = "a-token-of-some-length"


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Folder]:
    made = Folder(tmp_path_factory.mktemp("guarded"))
    made.script("a.py")
    made.script("b.py")
    made.queue("a.py", "b.py")
    yield made
    made.close()


@pytest.fixture(scope="module")
def read_only(ground: Folder) -> Live:
    return Live(ground)


@pytest.fixture(scope="module")
def editing(ground: Folder) -> Live:
    return Live(ground, "--edit")


@pytest.fixture(scope="module")
def guarded(ground: Folder) -> Live:
    """Listens on all addresses."""
    return Live(ground, "--host", "0.0.0.0", "--token", TOKEN, "--edit")


def test_without_edit_nothing_is_changed(ground: Folder, read_only: Live) -> None:
    before = (ground.root / "models.config").read_bytes()
    queue = read_only.get("/api/queue")
    assert queue["editable"] is False
    status, text = read_only.put_queue(queue["revision"], "b.py")
    assert (status, "read-only" in text) == (403, True)
    assert (ground.root / "models.config").read_bytes() == before


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8350", "localhost.evil.example", "127.0.0.1@evil", ""])
def test_a_foreign_host_name_that_leads_here_sees_nothing(editing: Live, host: str) -> None:
    for path in ("/", "/api/runs", "/static/page.js", "/api/events"):
        status, _, body = editing.ask(path, Host=host)
        assert (status, b"runs" in body) == (403, False)


def test_the_names_of_this_machine_are_answered(editing: Live) -> None:
    for host in ("localhost", "LOCALHOST:1234", f"127.0.0.1:{editing.port}", "[::1]:8350"):
        assert editing.ask("/api/runs", Host=host)[0] == 200


def test_a_change_comes_only_from_the_page_itself(ground: Folder, editing: Live) -> None:
    before = (ground.root / "models.config").read_bytes()
    seen = editing.get("/api/queue")["revision"]
    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"X_Requested_With": "XMLHttpRequest"},
        {"Sec_Fetch_Site": "cross-site"},
    ):
        assert editing.put_queue(seen, "b.py", **headers)[0] == 403
    status, _, _ = editing.ask("/api/queue", "PUT", {"revision": seen, "scripts": ["b.py"]}, Content_Type="text/plain")
    assert status == 403
    assert editing.ask("/api/queue", "POST", {}, X_Requested_With="mlpipeline")[0] == 405
    assert editing.ask("/api/queue", "DELETE")[0] == 403
    assert (ground.root / "models.config").read_bytes() == before


def test_a_body_that_is_too_long_is_not_read(editing: Live) -> None:
    assert editing.ask("/api/queue", "PUT", X_Requested_With="mlpipeline", Content_Length=str(10**9))[0] == 413


def test_every_answer_has_the_headers_that_keep_scripts_out(editing: Live) -> None:
    for path in ("/", "/api/runs", "/nothing", "/static/page.js"):
        _, headers, _ = editing.ask(path)
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "'unsafe-inline'" not in policy.partition("script-src")[2].partition(";")[0]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"


def test_names_of_the_project_are_shown_and_not_run(tmp_path: Path) -> None:
    root = tmp_path / "<script>alert(1)<"
    root.mkdir()
    hostile = Folder(root)
    try:
        page = Live(hostile).ask("/")[2].decode()
    finally:
        hostile.close()
    assert "<script>alert" not in page


def test_with_a_token_nothing_is_answered_without_it(guarded: Live) -> None:
    for path in ("/", "/api/runs", "/api/queue", "/static/page.js", "/api/events", "/api/runs?token=" + TOKEN):
        status, _, body = guarded.ask(path)
        assert (status, b"script" in body) == (401, False)
    for wrong in ("/?token=", f"/?token={TOKEN}x", "/?token=%ff", "/?token=é"):
        assert guarded.ask(wrong.replace("é", "%C3%A9"))[0] == 401
    assert guarded.ask("/api/runs", Authorization=f"Bearer {TOKEN[:-1]}")[0] == 401
    assert guarded.ask("/api/runs", Authorization=TOKEN)[0] == 401
    assert guarded.ask("/api/queue", "PUT", {}, X_Requested_With="mlpipeline")[0] == 401


def test_the_token_in_the_address_becomes_a_cookie(guarded: Live) -> None:
    assert guarded.url.endswith(f"/?token={TOKEN}")
    status, headers, _ = guarded.ask(f"/?token={TOKEN}")
    assert (status, headers["Location"]) == (303, "/")
    cookie = headers["Set-Cookie"]
    assert {"HttpOnly", "Path=/", "SameSite=strict"} <= set(cookie.split("; "))
    shown = cookie.partition(";")[0]
    assert guarded.ask("/", Cookie=f"other=1; {shown}")[0] == 200
    assert guarded.ask("/", Cookie=shown.replace(TOKEN, "x" * 16))[0] == 401
    with Events(guarded, Cookie=shown) as events:
        events.wait_for("overview")


def test_the_token_may_be_a_bearers(guarded: Live) -> None:
    assert guarded.ask("/api/runs", Authorization=f"Bearer {TOKEN}", Host="some.name")[0] == 200
    seen = json.loads(guarded.ask("/api/queue", Authorization=f"Bearer {TOKEN}")[2])["revision"]
    assert guarded.put_queue(seen, "b.py", "a.py", Authorization=f"Bearer {TOKEN}")[0] == 200


def test_another_address_gets_a_token_of_its_own(ground: Folder) -> None:
    one, other = Live(ground, "--host", "0.0.0.0"), Live(ground, "--host", "0.0.0.0")
    assert len(one.token) >= 32
    assert one.token != other.token
    assert one.ask("/")[0] == 401


def test_a_token_of_the_environment_holds_and_is_never_printed_again(ground: Folder) -> None:
    ground.environment["MLPIPELINE_UI_TOKEN"] = TOKEN
    try:
        live = Live(ground)
    finally:
        del ground.environment["MLPIPELINE_UI_TOKEN"]
    assert live.ask("/")[0] == 401
    assert live.ask(f"/?token={TOKEN}")[0] == 303
    assert live.ask("/api/runs", Host="evil.example", Authorization=f"Bearer {TOKEN}")[0] == 403
    assert TOKEN not in live.stop(15)[1]


def test_a_token_that_can_be_guessed_is_refused(ground: Folder) -> None:
    assert "expected a token of 16 to 200" in ground.run("ui", "--token", "secret", expect=2).stderr


def test_without_the_packages_the_extra_is_named(ground: Folder) -> None:
    hidden = "import sys; sys.modules['uvicorn'] = None; sys.argv = ['mlpipeline', '-C', sys.argv[1], 'ui']\n"
    code = hidden + "from mlpipeline.cli.main import main\nmain()"
    done = subprocess.run(
        [sys.executable, "-c", code, str(ground.root)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert done.returncode == 2
    assert "pip install 'mlpipeline[ui]'" in done.stderr
