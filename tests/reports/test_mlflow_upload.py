"""Uploads to a real MLflow server, and to a database in its place."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from mlpipeline.errors import ReportError, TrackingError
from mlpipeline.project import load_project
from mlpipeline.reports.history import History
from mlpipeline.reports.mlflow_server import quiet, resolved, without_secrets
from mlpipeline.reports.mlflow_upload import MlflowUploads, mlflow_sync
from mlpipeline.reports.mlflow_values import allowed_names, cut
from tests.reports.records import end, start, write, write_curve
from tests.support import wait_until

NO_JOBS = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # ten processes that nobody needs here
QUIET = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", **NO_JOBS}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(address):
    try:
        with urllib.request.urlopen(f"{address}/health", timeout=5) as answer:
            return answer.status == 200
    except OSError:
        return False


@pytest.fixture(scope="module")
def storage(tmp_path_factory):
    return f"sqlite:///{tmp_path_factory.mktemp('storage')}/mlflow.db"


@pytest.fixture(scope="module")
def server(storage, tmp_path_factory):
    folder = tmp_path_factory.mktemp("server")
    port = free_port()
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    places = ["--backend-store-uri", storage, "--artifacts-destination", str(folder / "files")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*command, *places], stdout=log, stderr=log, env=QUIET, start_new_session=True)
    address = f"http://127.0.0.1:{port}"
    wait_until(lambda: answers(address) or process.poll() is not None, seconds=120)
    assert process.poll() is None, (folder / "log").read_text()
    yield address
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="module")
def client(server):
    with quiet():
        from mlflow.tracking import MlflowClient

        yield MlflowClient(server)


@pytest.fixture(scope="module")
def database(server, storage):
    """The address of a database in the place of a server: the server's own, since it takes seconds to make one."""
    return storage


@pytest.fixture(scope="module")
def local(database):
    with quiet():
        from mlflow.tracking import MlflowClient

        yield MlflowClient(database)


@pytest.fixture
def project(tmp_path, database):
    root = tmp_path / f"{tmp_path.parent.name}-{tmp_path.name}"  # experiments bear its name
    root.mkdir()
    (root / "mlp.config").write_text(f"[TRACKING]\nmlflow_uri = {database}\n")
    return root


def found(client, project, script="a.py", **options):
    """Return the runs of a script's experiment, by version."""
    experiment = client.get_experiment_by_name(f"{project.name}/{script}")
    runs = client.search_runs([experiment.experiment_id], **options)
    by_version = {run.info.run_name: run for run in runs}
    assert len(by_version) == len(runs)
    return by_version


def milliseconds(text):
    from datetime import datetime

    return round(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.fixture
def recorded(project):
    """A run that has left everything that a run may leave."""
    record = end(1, steps=3, status="SUCCEEDED", ended="2026-01-02T03:05:00.000+00:00")
    write(project / "outputs", record)
    write_curve(project / "outputs", record, {"loss": [0.5, 0.25, float("nan")]})
    folder = project / "outputs" / record["model_dir"]
    files = {
        f"artifacts/{record['run_id']}/confusion.png": "picture",
        "artifacts/another/other.png": "of another run",
        "code/000000000000/models/a.py": "MODEL = 1",
        "weights.safetensors": "weights",
        "checkpoint.safetensors": "resumed from",
        ".lock": "",
        "stdout.log": f"--- a.py:v1 {record['run_id']} ---\nhello\n--- a.py:v1 20270102T030405-abc ---\nbye\n",
    }
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return record


def test_a_run_is_there_with_all_that_it_left(server, client, project, recorded, tmp_path_factory):
    assert mlflow_sync(project, uri=server).uploaded == 1
    run = found(client, project)["v1"]
    assert (run.info.status, run.info.run_name) == ("FINISHED", "v1")
    assert run.info.start_time == milliseconds(recorded["started"])
    assert run.info.end_time == milliseconds(recorded["ended"])
    assert run.data.params == {name: str(value) for name, value in recorded["parameters"].items()}
    assert run.data.tags["mlpipeline.run_id"] == recorded["run_id"]
    assert run.data.tags["mlflow.source.git.commit"] == recorded["git_commit"]
    assert {name: run.data.metrics[name] for name in recorded["metrics"]} == recorded["metrics"]
    points = client.get_metric_history(run.info.run_id, "loss")
    assert [(point.step, point.timestamp) for point in points] == [
        (k + 1, 1_700_000_000_000 + 1000 * k) for k in range(3)
    ]
    assert [point.value for point in points[:2]] == [0.5, 0.25]
    with quiet():
        files = Path(client.download_artifacts(run.info.run_id, "", str(tmp_path_factory.mktemp("files"))))
    uploaded = {path.relative_to(files).as_posix() for path in files.rglob("*") if path.is_file()}
    assert uploaded == {
        "confusion.png", "code/models/a.py", "model/weights.safetensors", "stdout.log", "record.json",
    }  # fmt: skip
    assert (files / "stdout.log").read_text() == "hello\n"
    assert json.loads((files / "record.json").read_text())["libraries"] == {"numpy": "2.0.0"}


def test_nothing_is_uploaded_twice(server, client, project):
    write(project / "outputs", end(1), end(2))
    first = mlflow_sync(project, uri=server)
    known = mlflow_sync(project, uri=server)
    for path in (project / "outputs").glob(".mlflow-uploads-*"):
        path.unlink()
    asked = mlflow_sync(project, uri=server)
    assert (first.uploaded, known.uploaded, asked.uploaded, asked.present) == (2, 0, 0, 2)
    assert set(found(client, project)) == {"v1", "v2"}


def test_what_was_deleted_on_the_server_stays_so_until_it_is_asked_for_again(server, client, project):
    write(project / "outputs", end(1))
    mlflow_sync(project, uri=server)
    client.delete_run(found(client, project)["v1"].info.run_id)
    (listed,) = (project / "outputs").glob(".mlflow-uploads-*")
    listed.unlink()
    assert mlflow_sync(project, uri=server).deleted == 1
    assert found(client, project) == {}
    assert mlflow_sync(project, uri=server, again=True).uploaded == 1
    assert set(found(client, project)) == {"v1"}


def test_an_upload_that_was_killed_is_completed_and_not_doubled(server, client, project):
    records = [end(number) for number in range(6)]
    write(project / "outputs", *records)
    for record in records:
        write_curve(project / "outputs", record, {"loss": [1 / k for k in range(1, 20)]})
    code = f"from mlpipeline.reports.mlflow_upload import mlflow_sync; mlflow_sync({str(project)!r}, uri={server!r})"
    with subprocess.Popen([sys.executable, "-c", code], env=QUIET) as process:
        wait_until(lambda: any(path.stat().st_size for path in (project / "outputs").glob(".mlflow-uploads-*")))
        process.kill()
    left = 6 - len(found(client, project))
    assert left > 0
    assert mlflow_sync(project, uri=server).uploaded >= left
    runs = found(client, project)
    assert len(runs) == 6
    assert {run.info.status for run in runs.values()} == {"FINISHED"}
    for run in runs.values():
        assert len(client.get_metric_history(run.info.run_id, "loss")) == 19


def test_a_half_uploaded_run_is_found_and_gets_what_it_lacks(local, project):
    record = end(1)
    write(project / "outputs", record)
    write_curve(project / "outputs", record, {"loss": [3.0, 2.0, 1.0]})
    experiment = local.create_experiment(f"{project.name}/a.py", artifact_location=(project / "files").as_uri())
    half = local.create_run(experiment, run_name="v1", tags={"mlpipeline.run_id": record["run_id"]})
    local.log_metric(half.info.run_id, "loss", 3.0, 1_700_000_000_000, 1)
    local.log_param(half.info.run_id, "batch_size", "4")
    assert mlflow_sync(project).uploaded == 1
    assert found(local, project)["v1"].data.params["learning_rate"] == "0.1"
    assert [point.value for point in curve(local, project, "v1")] == [3.0, 2.0, 1.0]


def test_a_run_that_goes_on_is_shown_and_then_completed(local, project):
    uploads = MlflowUploads(load_project(project))
    begun = start(1)
    write(project / "outputs", begun)
    write_curve(project / "outputs", begun, {"loss": [3.0, 2.0]})
    with History(load_project(project)) as history:
        assert uploads.catch_up(history).going_on == 1
        assert [point.value for point in curve(local, project, "v1")] == [3.0, 2.0]
        write_curve(project / "outputs", begun, {"loss": [3.0, 2.0, 1.0]})
        write(project / "outputs", end(1, ended="2026-01-02T03:05:00.000+00:00"))
        assert uploads.catch_up(history).uploaded == 1
    assert found(local, project)["v1"].info.status == "FINISHED"
    assert curve(local, project, "v1")[-1].value == 1.0


def curve(client, project, version, metric="loss"):
    points = client.get_metric_history(found(client, project)[version].info.run_id, metric)
    return sorted(points, key=lambda point: point.step)


def test_each_status_has_a_word_of_mlflows(local, project):
    words = {"SUCCEEDED": "FINISHED", "FAILED": "FAILED", "CRASHED": "FAILED"}
    words |= dict.fromkeys(("TIMED_OUT", "INTERRUPTED", "PRUNED"), "KILLED")
    write(project / "outputs", *(end(k, status=status, version=status) for k, status in enumerate(words)))
    mlflow_sync(project)
    assert {name: run.info.status for name, run in found(local, project).items()} == words


def test_names_and_values_beyond_mlflows_limits_are_taken(local, project):
    nasty = {"a.b": 1, "a": {"b": 2, "c": [1, "é"]}, "<b>": 3, "../x": 4, "": 5, "n" * 400: 6, "long": "x" * 9000}
    metrics = {"train.acc@5": 0.5, "train.acc#5": 0.25, "test.loss": "inf", "test.gap": "nan"}
    odd = {"run_id": "r'\"; \ud800", "version": "v'\"<i>\u202e"}
    write(project / "outputs", end(1, parameters=nasty, metrics=metrics, **odd))
    assert mlflow_sync(project).uploaded == 1
    assert mlflow_sync(project, again=True).present == 1
    (run,) = found(local, project).values()
    assert len(run.data.params) == 8
    assert run.data.params["a.c"] == '[1, "é"]'
    assert run.data.params["long"].endswith("(cut; it has 9000 characters)")
    assert {0.5, 0.25} <= set(run.data.metrics.values())


def test_different_names_stay_different():
    assert len(set(allowed_names(["a@b", "a#b", "a_b", "", ".", "..", "/", "x" * 300, "x" * 301]).values())) == 9


def test_a_cut_text_is_of_the_length_that_was_asked_for():
    assert len(cut("x" * 7001, 6000)) == 6000
    assert cut("short", 6000) == "short"


def test_the_model_goes_with_the_last_run_of_its_directory_alone(local, project):
    shared = "model_ckpts/shared"
    write(project / "outputs", end(1, model_dir=shared), end(2, model_dir=shared), end(3, status="FAILED"))
    for folder in (shared, end(3)["model_dir"]):
        (project / "outputs" / folder).mkdir(parents=True)
        (project / "outputs" / folder / "weights.safetensors").write_text("weights")
    mlflow_sync(project)
    runs = found(local, project)
    with quiet():
        models = {name: len(local.list_artifacts(run.info.run_id, "model")) for name, run in runs.items()}
    assert models == {"v1": 0, "v2": 1, "v3": 0}


def test_a_file_that_is_too_large_is_named_and_stays(local, project, recorded):
    warned = []
    uploads = MlflowUploads(load_project(project), warn=warned.append, largest_file_mb=6e-6)
    with History(load_project(project)) as history:
        assert uploads.catch_up(history).uploaded == 1
    assert "weights.safetensors (larger than" in found(local, project)["v1"].data.tags["mlpipeline.not_uploaded"]
    assert "3 files stay here" in warned[0]


def test_a_server_that_is_down_is_named_without_its_password(project):
    write(project / "outputs", end(1))
    with pytest.raises(TrackingError, match=r"cannot be reached: .*refused") as raised:
        mlflow_sync(project, uri=f"http://bob:s%40cret@127.0.0.1:{free_port()}")
    assert not {"bob", "s%40cret", "s@cret"} & set(str(raised.value).replace("/", " ").replace("@", " ").split())
    assert "cret" not in str(raised.value)


def test_without_a_place_the_message_says_how_to_name_one(tmp_path):
    with pytest.raises(ReportError, match=r"mlflow_uri = sqlite"):
        mlflow_sync(tmp_path)


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("https://bob:secret@host:1/x", "https://***@host:1/x"),
        ("postgresql://u:p@ss@host/db?password=secret", "postgresql://***@host/db?***"),
        ("sqlite:////a/b.db", "sqlite:////a/b.db"),
        ("databricks", "databricks"),
    ],
)
def test_what_may_be_a_secret_is_not_shown(uri, shown):
    assert without_secrets(uri) == shown


@pytest.mark.parametrize(
    ("uri", "meant"),
    [
        ("sqlite:///outputs/m.db", "sqlite:////p/outputs/m.db"),
        ("sqlite:////abs/m.db", "sqlite:////abs/m.db"),
        ("mlruns", "file:///p/mlruns"),
        ("file:///abs", "file:///abs"),
        ("http://host", "http://host"),
        ("databricks", "databricks"),
    ],
)
def test_a_relative_place_is_relative_to_the_project(uri, meant):
    assert resolved(uri, Path("/p")) == meant
