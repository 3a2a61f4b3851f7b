"""The live page's server, asked over HTTP while a real daemon works."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlpipeline.reports.history import Run
from mlpipeline.reports.run_log import LogTail
from tests.reports import records
from tests.reports.live import Events, Live
from tests.support import Folder, wait_until

TRAINS = """
for step in (1, 2, 3):
    wait_for(f"go{step}")
    print(f"<b>step {step}</b> é", flush=True)
    self.report(step, 3, loss=1 / step)
"""


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Folder]:
    """A project in which one script has run."""
    made = Folder(tmp_path_factory.mktemp("ground"))
    made.script("done.py", "print('hello')\nself.report(1, 1, loss=float('nan'))", versions=["v1", "<i>"])
    made.queue("done.py")
    made.run("-r")
    yield made
    made.close()


@pytest.fixture(scope="module")
def live(ground: Folder) -> Live:
    return Live(ground, "--edit")


@pytest.fixture(scope="module")
def training(ground: Folder, live: Live) -> Iterator[tuple[Events, Events]]:
    """What two clients, one of which follows the log, are told while a script trains."""
    ground.script("slow.py", TRAINS)
    ground.queue("slow.py", "done.py")
    with Events(live) as everything:
        daemon = ground.start("-r", "-u")
        run_id = everything.wait_for("overview", lambda data: data["running"])["running"][0]["run_id"]
        with Events(live, f"?log={run_id}") as log:
            for step in (1, 2):
                (ground.root / f"go{step}").touch()
                everything.wait_for(
                    "overview", lambda data, step=step: step in [row["step"] for row in data["running"]]
                )
                everything.wait_for("curves", lambda data, step=step: _steps(data, run_id) == step)
            (ground.root / "go3").touch()
            daemon.communicate(timeout=30)
            everything.wait_for("overview", lambda data: data["done"] == 3 and not data["is_running"])
            log.wait_for("log", lambda data: "step 3" in data["text"])
            yield everything, log


def _steps_done(overview: dict[str, Any]) -> list[int | None]:
    return [row["step"] for row in overview["running"]]


def _steps(data: dict[str, dict[str, dict[str, list[float]]]], run_id: str) -> int:
    return len(data.get(run_id, {}).get("loss", {"steps": []})["steps"])


def test_the_runs_and_the_details_of_one(live: Live) -> None:
    runs = live.get("/api/runs")
    assert {"v1", "<i>"} <= {row["version"] for row in runs["runs"]}
    details = live.get(f"/api/runs/{runs['runs'][0]['id']}")
    assert "hello" in details["log"]
    assert live.ask("/api/runs/../../etc/passwd")[0] == 404
    assert live.ask("/api/runs/nothing")[0] == 404


def test_curves_hold_no_number_that_json_lacks(live: Live) -> None:
    run_id = live.get("/api/runs")["runs"][0]["id"]
    curves = live.get(f"/api/curves?run={run_id}")
    assert curves[run_id]["loss"]["values"] == ["nan"]
    assert live.ask("/api/curves?run=nothing")[0] == 404
    assert live.ask("/api/curves")[0] == 422


def test_the_page_and_its_files_are_sent_once(live: Live) -> None:
    status, headers, body = live.ask("/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert len(body) < 20_000
    for name in ("page.js", "live.js", "page.css", "dt_bundle.js", "dt_bundle.css", "plotly.min.js"):
        status, headers, body = live.ask(f"/static/{name}", Accept_Encoding="gzip")
        assert (status, headers["Content-Encoding"]) == (200, "gzip")
        assert len(gzip.decompress(body)) > len(body)
        assert live.ask(f"/static/{name}", If_None_Match=headers["ETag"])[0] == 304
    assert live.ask("/static/server.py")[0] == 404
    assert live.ask("/static/..%2fserver.py")[0] == 404


def test_what_trains_is_told_step_by_step(training: tuple[Events, Events]) -> None:
    rows = [data["running"][0] for data in training[0].of("overview") if data["running"]]
    steps = [row["step"] for row in rows if row["script"] == "slow.py"]
    assert [step for step in (None, 1, 2) if step in steps] == [None, 1, 2]
    assert steps == sorted(steps, key=lambda step: step or 0)
    told = next(row for row in rows if row["step"] == 2)
    assert told["total"] == 3
    assert told["metrics"] == {"loss": 0.5}
    assert 0 <= told["seconds_left"] <= told["seconds"]


def test_curves_grow_while_it_trains(training: tuple[Events, Events]) -> None:
    lengths = [_steps(data, key) for data in training[0].of("curves") for key in data if _steps(data, key)]
    assert {1, 2} <= set(lengths)
    assert training[0].of("runs")


def test_the_log_of_one_run_follows(ground: Folder, training: tuple[Events, Events]) -> None:
    pieces = training[1].of("log")
    assert pieces[0]["reset"]
    assert not any(piece["reset"] for piece in pieces[1:])
    printed = "".join(piece["text"] for piece in pieces)
    assert printed == "".join(f"<b>step {step}</b> é\n" for step in (1, 2, 3))
    assert not training[0].of("log")


def test_a_change_of_the_queue_is_written_and_told(ground: Folder, live: Live) -> None:
    path = ground.root / "models.config"
    path.write_text("[WHITELISTED_MODELS]\n# mine\ndone.py\ngone.py\n")
    queue = live.get("/api/queue")
    assert [row["name"] for row in queue["scripts"]] == ["done.py", "gone.py"]
    assert [row["exists"] for row in queue["scripts"]] == [True, False]
    assert "done.py" in queue["available"]
    with Events(live) as events:
        events.wait_for("overview")
        told = len(events.of("queue"))
        status, after = live.put_queue(queue["revision"], "gone.py", "*e.py", "done.py")
        wait_until(lambda: len(events.of("queue")) > told)
    assert (status, [row["is_pattern"] for row in after["scripts"]]) == (200, [False, True, False])
    assert path.read_text() == "[WHITELISTED_MODELS]\ngone.py\n*e.py\n# mine\ndone.py\n"


def test_a_queue_that_changed_underneath_is_not_written_over(ground: Folder, live: Live) -> None:
    seen = live.get("/api/queue")["revision"]
    ground.queue("done.py", "other.py")
    status, answer = live.put_queue(seen, "done.py")
    assert status == 409
    assert [row["name"] for row in answer["queue"]["scripts"]] == ["done.py", "other.py"]
    assert "was changed meanwhile" in answer["detail"]
    assert (ground.root / "models.config").read_text().endswith("done.py\nother.py\n")


def test_a_bad_name_is_refused_with_the_near_one(ground: Folder, live: Live) -> None:
    ground.queue("done.py")
    seen = live.get("/api/queue")["revision"]
    assert live.put_queue(seen, "donne.py") == (
        422,
        {"detail": f"donne.py is not in {ground.models}; did you mean done.py?"},
    )
    assert live.put_queue(seen, "../x.py")[0] == 422
    said = {"X_Requested_With": "mlpipeline", "Content_Type": "application/json"}
    status, _, body = live.ask("/api/queue", "PUT", {"scripts": 3}, **said)
    assert status == 422
    assert "body.revision" in json.loads(body)["detail"]


def test_a_queue_file_that_is_broken_is_shown_with_what_is_wrong(ground: Folder, live: Live) -> None:
    (ground.root / "models.config").write_text("[WHITELISTED_MODELS]\na = b\n")
    queue = live.get("/api/queue")
    assert (queue["scripts"], queue["editable"]) == ([], False)
    assert "models.config line 2" in queue["warnings"][0]
    ground.queue("done.py")


def test_a_client_hears_of_what_changed_while_it_was_loaded(ground: Folder, live: Live) -> None:
    with Events(live) as one:
        one.wait_for("overview")
        told = len(one.of("queue"))
        ground.queue("done.py", "other.py")
        wait_until(lambda: len(one.of("queue")) > told)
        with Events(live) as other:
            other.wait_for("queue")


def test_a_client_that_does_not_read_holds_up_nobody(ground: Folder, live: Live) -> None:
    with socket.create_connection(("127.0.0.1", live.port)) as silent:
        silent.sendall(b"GET /static/plotly.min.js HTTP/1.1\r\nHost: localhost\r\n\r\n" * 4)
        silent.sendall(b"GET /api/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        began = time.monotonic()
        live.get("/api/runs")
        with Events(live) as events:
            events.wait_for("overview")
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_at_once_and_without_a_word(ground: Folder, number: int) -> None:
    ended = Live(ground)
    with Events(ended) as one, Events(ended) as other:
        one.wait_for("overview")
        began = time.monotonic()
        status, printed = ended.stop(number)
        wait_until(lambda: one.has_ended and other.has_ended)
    assert status == (0 if number == signal.SIGINT else -number)
    assert printed in ("", "Ctrl-C ends it.\n")
    assert time.monotonic() - began < 3


def test_a_port_that_is_taken_is_named(ground: Folder, live: Live) -> None:
    done = ground.run("ui", "--port", str(live.port), expect=2)
    assert f"port {live.port} of 127.0.0.1 is taken" in done.stderr


HOSTILE = """
from mlpipeline.project import METRICS_FILE, PROGRESS_FILE
lines = ['{"run_id": "%s"}' % os.environ["MLPIPELINE_RUN_ID"], '{"step": 1e999, "time": 1, "metrics": {"a": 1}}']
lines.append('{"step": 1, "time": 1, "metrics": {"a": 1%s}}' % ("0" * 400))
Path(self.model_dir, METRICS_FILE).write_text("\\n".join([*lines, "[" * 100_000, ""]))
Path(self.model_dir, PROGRESS_FILE).write_text("[" * 100_000)
wait_for("leave")
"""


def test_what_a_script_writes_in_the_place_of_reports_harms_nobody(ground: Folder, live: Live) -> None:
    ground.script("hostile.py", HOSTILE)
    ground.queue("hostile.py")
    with Events(live) as events:
        daemon = ground.start("-r")
        run_id = events.wait_for("overview", lambda data: data["running"])["running"][0]["run_id"]
        wait_until((ground.model_dir("hostile-v1") / ".mlp-progress.json").exists)
        assert live.get(f"/api/curves?run={run_id}")[run_id] == {}
        (ground.root / "leave").touch()
        daemon.communicate(timeout=30)
        events.wait_for("overview", lambda data: not data["is_running"] and data["done"] > 2)


def test_two_thousand_runs_are_sent_in_time(folder: Folder) -> None:
    records.write(folder.outputs, *(records.end(number) for number in range(2_000)))
    folder.queue()
    with_many = Live(folder)
    began = time.monotonic()
    _, headers, body = with_many.ask("/api/runs", Accept_Encoding="gzip")
    first = time.monotonic() - began
    assert len(json.loads(gzip.decompress(body))["runs"]) == 2_000
    assert first < 1.5  # 0.3 where nothing else is done
    began = time.monotonic()
    assert with_many.ask("/api/runs", If_None_Match=headers["ETag"])[0] == 304
    assert time.monotonic() - began < 0.3
    resident = int(Path(f"/proc/{with_many.process.pid}/statm").read_text().split()[1])
    assert resident * os.sysconf("SC_PAGE_SIZE") < 150e6


def test_ten_idle_clients_cost_next_to_nothing(live: Live) -> None:
    def used() -> float:
        fields = Path(f"/proc/{live.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(Events(live)) for _ in range(10)]
        clients[-1].wait_for("overview")
        before, began = used(), time.monotonic()
        wait_until(lambda: time.monotonic() - began > 1)
        assert used() - before < 0.15


def test_the_log_of_a_run_is_its_part_of_the_file(tmp_path: Path) -> None:
    one, two, three = (f"--- a.py:v1 20260102T03040{k}-abc ---\n" for k in (1, 2, 3))
    tail = LogTail(tmp_path, _run("20260102T030402-abc"), most=100)
    assert tail.read() == ("", True)
    assert tail.read() is None
    path = tmp_path / "stdout.log"

    def append(text: str) -> None:
        with path.open("a") as file:
            file.write(text)

    append(f"{one}older, and without an end{two}first\nhal")
    assert tail.read() == ("first\nhal", True)
    append("f é\n--- not a header\n--- a.py")
    assert tail.read() == ("f é\n--- not a header\n--- a.py", False)
    append("\n" + "".join(f"{number:03d}\n" for number in range(100)))
    text, is_anew = tail.read() or ("", False)
    assert is_anew
    assert text.splitlines() == [f"{number:03d}" for number in range(75, 100)]
    append(f"last{three}later\n")
    assert tail.read() == ("last", False)
    append("later still\n")
    assert tail.read() is None
    path.unlink()
    assert tail.read() == ("", True)
    append(f"{two}anew\n")
    assert tail.read() == ("anew\n", True)
    path.write_text(f"{two}cut\n")
    assert tail.read() == ("cut\n", True)


def _run(run_id: str) -> Run:
    numbers = {"seconds": 0.0, "peak_memory_mb": 0.0, "steps": 0, "seed": 0, "offset": 0}
    texts = {name: "" for name in Run.__annotations__ if name not in numbers}
    values = {**texts, **numbers, "resumed": False, "parameters": {}, "metrics": {}}
    return Run(**{**values, "run_id": run_id, "script": "a.py", "version": "v1"})  # type: ignore[arg-type]
