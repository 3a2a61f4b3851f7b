"""`mlpipeline mlflow-sync`, as a user gives it."""

import json
import socket
import subprocess
import sys

from tests.reports.records import end, write

TRACKED = "[TRACKING]\nmlflow_uri = sqlite:///outputs/mlflow.db\n"
WITHOUT_MLFLOW = "import sys; sys.modules['mlflow'] = None; from mlpipeline.cli.main import main; main()"


def test_records_are_uploaded_once_and_those_of_a_script_where_it_is_named(folder):
    (folder.root / "mlp.config").write_text(TRACKED)
    write(folder.outputs, end(1), end(2), end(3, script="b.py"))
    first = folder.run("mlflow-sync", "b.py")
    assert first.stdout == f"1 uploaded; sqlite:///{folder.root}/outputs/mlflow.db\n"
    again = folder.run("mlflow-sync", "--again")
    assert again.stdout.startswith("2 uploaded, 1 were there already; ")
    assert folder.run("mlflow-sync").stdout.startswith("nothing new; ")
    assert first.stderr + again.stderr == ""


def test_with_follow_it_ends_when_standard_input_does(folder):
    (folder.root / "mlp.config").write_text(TRACKED)
    write(folder.outputs, end(1))
    command = [sys.executable, "-m", "mlpipeline", "-C", str(folder.root), "mlflow-sync", "--quiet", "--follow"]
    done = subprocess.run(command, input=b"\n", capture_output=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    (listed,) = folder.outputs.glob(".mlflow-uploads-*")
    assert [json.loads(line) for line in listed.read_text().splitlines()] == ["run000001"]


def test_a_server_that_cannot_be_reached_is_status_1(folder):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    write(folder.outputs, end(1))
    done = folder.run("mlflow-sync", "--uri", f"http://bob:secret@{address}", expect=1)
    assert f"the tracking server http://***@{address} cannot be reached: " in done.stderr
    assert "refused" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_without_a_place_it_says_how_to_name_one(folder):
    done = folder.run("mlflow-sync", expect=2)
    assert "mlflow_uri = sqlite:///outputs/mlflow.db" in done.stderr


def test_without_mlflow_it_says_how_to_install_it(folder):
    (folder.root / "mlp.config").write_text(TRACKED)
    write(folder.outputs, end(1))
    command = [sys.executable, "-c", WITHOUT_MLFLOW, "-C", str(folder.root), "mlflow-sync"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "pip install 'mlpipeline[mlflow]'" in done.stderr
