"""The command of [NOTIFY], run by a real shell."""

import json
import os
import subprocess
import time

import pytest

from mlpipeline.records import Record
from mlpipeline.runner.notifications import Notifications
from tests.support import wait_until


def record(version="v1", **details):
    return Record("end", "r1", "a.py", version, "SUCCEEDED", "f", details)


@pytest.fixture
def notify(tmp_path):
    """Return a maker of notifications, and the warnings that come."""
    warned = []
    made = []

    def make(command, **limits):
        made.append(Notifications(command, tmp_path, warned.append, **limits))
        return made[-1], warned

    yield make
    for notifications in made:
        notifications.close()


def children():
    """Return the processes that this one has started and not seen the end of."""
    listing = subprocess.Popen(["ps", "-o", "pid=", "--ppid", str(os.getpid())], stdout=subprocess.PIPE, text=True)
    return set(map(int, listing.communicate()[0].split())) - {listing.pid}


@pytest.fixture
def before():
    return children()


def test_the_command_gets_the_record_and_knows_of_whom_it_is(notify, tmp_path):
    notifications, warned = notify('cat > said; echo "$MLPIPELINE_STATUS $MLPIPELINE_SCRIPT $MLPIPELINE_VERSION" > who')
    notifications.ended(record(metrics={"test.loss": 0.5}))
    notifications.close()
    said = (tmp_path / "said").read_text()
    assert said.count("\n") == 1
    assert json.loads(said)["metrics"] == {"test.loss": 0.5}
    assert (tmp_path / "who").read_text() == "SUCCEEDED a.py v1\n"
    assert warned == []


def test_what_a_shell_would_run_in_a_name_is_not_run(notify, tmp_path):
    notifications, warned = notify('echo "$MLPIPELINE_VERSION" > who')
    notifications.ended(record("$(touch bad)`touch bad`\ud800"))
    notifications.close()
    assert (tmp_path / "who").read_text() == "$(touch bad)`touch bad`\\ud800\n"
    assert not (tmp_path / "bad").exists()
    assert warned == []


def test_a_command_that_reads_nothing_holds_up_nobody(notify):
    notifications, warned = notify("exec sleep 60", closing_seconds=0.0)
    began = time.monotonic()
    for _ in range(20):
        notifications.ended(record(error="x" * 1_000_000))
    assert time.monotonic() - began < 5
    notifications.close()
    assert "20 notifications were not through" in warned[0]


def test_a_command_that_hangs_is_killed_and_leaves_no_zombie(notify, tmp_path, before):
    notifications, warned = notify("echo $$ > pid; sleep 60 & echo $! > child; wait", limit_seconds=0.2)
    notifications.ended(record())
    wait_until(lambda: notifications.tend() or warned)
    assert "took longer than 0.2 s and was killed" in warned[0]
    assert children() == before
    for name in ("pid", "child"):
        number = int((tmp_path / name).read_text())
        wait_until(lambda number=number: not os.path.exists(f"/proc/{number}"))


def test_failures_are_one_warning_with_what_the_command_said(notify, before):
    notifications, warned = notify("echo usual >&2; echo no such room >&2; exit 7")
    for _ in range(3):
        notifications.ended(record())
    notifications.close()
    assert warned[0].endswith("ended with status 7: no such room; further failures are only counted")
    assert warned[1:] == ["[NOTIFY] in mlp.config: the command failed 3 times"]
    assert children() == before


def test_the_end_waits_a_moment_for_the_last_one(notify, tmp_path):
    notifications, warned = notify("sleep 0.3; touch said")
    notifications.ended(record())
    notifications.close()
    assert (tmp_path / "said").exists()
    assert warned == []


def test_each_end_is_told_of_in_execution_mode_alone(folder):
    folder.script("good.py", versions=["v1", "v2"])
    folder.script("bad.py", more="raise ValueError('no')")
    (folder.root / "mlp.config").write_text("[NOTIFY]\ncommand = cat >> said\n")
    folder.queue("good.py")
    folder.run()
    assert not (folder.root / "said").exists()
    folder.queue("good.py", "bad.py")
    folder.run("-r", expect=1)
    said = [json.loads(line) for line in (folder.root / "said").read_text().splitlines()]
    assert {(line["script"], line["version"], line["status"]) for line in said} == {
        ("good.py", "v1", "SUCCEEDED"),
        ("good.py", "v2", "SUCCEEDED"),
        ("bad.py", None, "FAILED"),
    }
    assert sorted(said, key=str) == sorted(folder.history(), key=str)
