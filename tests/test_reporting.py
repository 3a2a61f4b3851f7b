import json
import os
import signal
import time

import pytest

from mlpipeline.metrics import MetricContainer
from mlpipeline.reporting import Recorder
from tests.support import wait_until


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture
def files(tmp_path):
    return tmp_path / "progress.json", tmp_path / "metrics.jsonl"


def test_each_report_is_a_line_at_once_under_the_name_of_its_run(files):
    recorder = Recorder("r1", *files)
    recorder(1, 10, {"loss": 0.5})
    recorder(2, 10, {"loss": float("nan"), "accuracy": 1.0})
    head, first, second = lines(files[1])
    assert head == {"run_id": "r1"}
    assert (first["step"], first["metrics"]) == (1, {"loss": 0.5})
    assert second["metrics"] == {"loss": "nan", "accuracy": 1.0}
    assert abs(first["time"] - time.time()) < 60


def test_reports_without_metrics_are_progress_alone(files):
    Recorder("r1", *files)(1, 10, {})
    assert not files[1].exists()
    assert json.loads(files[0].read_text())["step"] == 1


def test_progress_is_written_a_few_times_a_second_and_at_the_last_step(files):
    recorder = Recorder("r1", *files)
    for step in range(1, 100):
        recorder(step, 100, {"loss": 0.1})
    assert json.loads(files[0].read_text())["step"] < 99
    recorder(100, 100, {"loss": 0.1})
    assert json.loads(files[0].read_text())["step"] == 100


def test_a_later_run_begins_a_line_of_its_own_after_a_torn_one(files):
    files[1].write_text('{"run_id":"r1"}\n{"step":1,"ti')
    Recorder("r2", *files)(1, None, {"loss": 0.5})
    assert [json.loads(line) for line in files[1].read_text().splitlines()[2:3]] == [{"run_id": "r2"}]


def test_a_full_disk_ends_the_keeping_of_metrics_and_not_the_run(files, capsys):
    recorder = Recorder("r1", files[0], files[0].parent / "missing" / "metrics.jsonl")
    recorder(1, 10, {"loss": 0.5})
    recorder(2, 10, {"loss": 0.5})
    assert capsys.readouterr().err.count("metrics over steps are no longer kept") == 1


def test_a_container_reports_its_averages(told):
    metrics = MetricContainer(["loss"])
    metrics.loss.update(6.0, 4)
    metrics.report(3, 10)
    metrics.log_metrics(step=4, name_prefix="train.")
    metrics.log_metrics()
    assert told == [(3, 10, {"loss": 1.5}), (4, None, {"train.loss": 1.5})]


def test_kill_9_loses_nothing_that_was_reported(folder):
    train = """
    for step in range(1, 51):
        self.report(step, 1000, loss=1 / step)
    Path('reported').touch(); wait_for('never')
    """
    folder.script("a.py", train)
    folder.queue("a.py")
    daemon = folder.start("-r")
    wait_until((folder.root / "reported").exists)
    os.kill(daemon.pid, signal.SIGKILL)
    daemon.wait()
    assert [line["step"] for line in lines(folder.model_dir("a-v1") / "metrics.jsonl")[1:]] == list(range(1, 51))


def test_a_model_directory_that_the_script_cleans_gets_its_metrics(folder):
    more = "def clean_model_dir(self, model_dir):\n    import shutil\n    shutil.rmtree(model_dir)"
    folder.script("a.py", "self.report(1, 1, loss=0.5)", more=more, arguments="allow_delete_model_dir=True")
    folder.queue("a.py")
    folder.run("-r")
    folder.run("-r")
    assert len(lines(folder.model_dir("a-v1") / "metrics.jsonl")) == 2


def test_test_mode_keeps_no_metrics(folder):
    folder.script("a.py", "self.report(1, 1, loss=0.5); print(sorted(os.listdir(self.model_dir)))")
    folder.queue("a.py")
    assert "[]" in folder.run().stdout
