"""Uploads to MLflow beside the runs, to servers that are down, slow or not there."""

import contextlib
import os
import signal
import socket
import time

import pytest

from mlpipeline.runner.uploads import Uploads
from tests.reports.records import end, write
from tests.support import is_alive, wait_until


@pytest.fixture
def queue(folder):
    folder.script("a.py", versions=["v1", "v2"])
    folder.queue("a.py")
    return folder


@pytest.fixture
def silent():
    """The address of a port that takes connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(50)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def closed():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://bob:secret@127.0.0.1:{probe.getsockname()[1]}"


def track(folder, uri):
    (folder.root / "mlp.config").write_text(f"[TRACKING]\nmlflow_uri = {uri}\n")


def seconds(folder):
    began = time.monotonic()
    folder.run("-r")
    return time.monotonic() - began


def uploaders(folder):
    """Return the processes that upload for this project."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                command = file.read().split(b"\0")
        except OSError:
            continue
        if b"mlflow-sync" in command and str(folder.root).encode() in command and is_alive(int(pid)):
            found.append(int(pid))
    return found


def test_a_queue_ends_as_fast_as_without_where_the_server_is_down_or_silent(queue, silent):
    without = seconds(queue)
    for uri in (closed(), silent):
        track(queue, uri)
        assert seconds(queue) < without + 5
        assert [status for _, status in queue.ended()[-2:]] == ["SUCCEEDED", "SUCCEEDED"]
        for pid in uploaders(queue):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def test_a_server_that_is_down_is_one_warning_without_its_password(queue):
    queue.script("b.py", "wait_for('go')")
    queue.queue("a.py", "b.py")
    track(queue, closed())
    daemon = queue.start("-r")
    log = queue.project.log_file
    wait_until(lambda: log.exists() and "no uploads to MLflow for now" in log.read_text())
    (queue.root / "go").touch()
    printed = daemon.stdout.read()
    daemon.wait()
    assert printed.count("no uploads to MLflow for now") == 1
    assert "cannot be reached" in printed
    assert "secret" not in printed + log.read_text() + queue.project.mlflow_log_file.read_text()
    assert daemon.returncode == 0
    wait_until(lambda: not uploaders(queue))


@pytest.fixture
def told(folder):
    """Return a maker of uploads of the folder, what they warn of, and what they say."""
    warned, said, made = [], [], []

    def make(uri, **pauses):
        track(folder, uri)
        made.append(Uploads(folder.project, warned.append, said.append, **pauses))
        return made[-1]

    yield make, warned, said
    for uploads in made:
        uploads.close()


def test_failures_are_tried_again_and_are_one_warning(folder, told):
    make, warned, said = told
    uploads = make(closed(), pause_seconds=0.0)
    write(folder.outputs, end(1))
    uploads.ended(is_run=False)
    log = folder.project.mlflow_log_file
    wait_until(lambda: uploads.tend() or log.read_text().count("cannot be reached") > 1)
    process = uploads._process
    wait_until(lambda: uploads.tend() or uploads._process is not process)
    uploads.close()
    assert len(warned) == 1
    assert said == []


def test_an_idle_uploader_ends_and_a_later_end_starts_another(folder, told):
    make, warned, _ = told
    folder.outputs.mkdir()
    uploads = make("sqlite:///outputs/mlflow.db", idle_seconds=0.0)
    for _ in range(2):
        uploads.ended(is_run=False)
        wait_until(lambda: len(uploaders(folder)) == 1)
        wait_until(lambda: uploads.tend() or uploads._process is None)
    assert warned == []


def test_a_folder_that_cannot_be_written_is_a_warning(folder, told):
    make, warned, _ = told
    folder.outputs.write_text("a file in the way")
    make("sqlite:///outputs/mlflow.db").ended(is_run=False)
    assert len(warned) == 1


def test_runs_are_uploaded_beside_the_queue_and_the_uploader_ends_by_itself(queue):
    track(queue, "sqlite:///outputs/mlflow.db")
    printed = queue.run("-r").stdout
    assert "uploads to MLflow go on in the background" in printed
    wait_until(lambda: not uploaders(queue))
    assert queue.project.mlflow_log_file.read_text() == ""
    (listed,) = queue.outputs.glob(".mlflow-uploads-*")
    assert len(listed.read_text().splitlines()) == 2


def test_the_uploader_of_a_killed_daemon_uploads_the_rest_and_ends(queue):
    queue.script("b.py", "wait_for('go')")
    queue.queue("a.py", "b.py")
    track(queue, "sqlite:///outputs/mlflow.db")
    daemon = queue.start("-r")
    wait_until(lambda: len(queue.history()) == 2 and uploaders(queue))
    daemon.kill()
    wait_until(lambda: not uploaders(queue))
    (listed,) = queue.outputs.glob(".mlflow-uploads-*")
    assert len(listed.read_text().splitlines()) == 2
