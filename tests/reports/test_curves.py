"""Curves, as they are read back from what runs have written."""

import json
import os

import pytest

from mlpipeline.project import load_project
from mlpipeline.reports.curves import Curve, CurveReader
from mlpipeline.reports.history import History
from tests.reports.records import end, write, write_curve


@pytest.fixture
def outputs(tmp_path):
    return tmp_path / "outputs"


@pytest.fixture
def reader(tmp_path):
    history = History(load_project(tmp_path))

    def read(name):
        history.refresh()
        curves = CurveReader(history).of(history.find(name))
        return {metric: (curve.steps, curve.values) for metric, curve in curves.items()}

    return read


def test_each_run_of_a_directory_has_its_own_curves(outputs, reader):
    first, second = end(1, version="v"), end(2, version="v")
    write(outputs, first, second)
    write_curve(outputs, first, {"loss": [3.0, 2.0]})
    write_curve(outputs, second, {"loss": [1.0], "accuracy": [0.5]})
    assert reader("a:v@run000001") == {"loss": ([1, 2], [3.0, 2.0])}
    assert reader("a:v") == {"loss": ([1], [1.0]), "accuracy": ([1], [0.5])}


def test_a_resumed_run_continues_the_one_before_and_steps_trained_again_count_once(outputs, reader):
    first = end(1, version="v", status="INTERRUPTED")
    second = end(2, version="v", resumed=True)
    write(outputs, end(0, version="v"), first, second)
    write_curve(outputs, end(0, version="v"), {"loss": [9.0, 9.0, 9.0, 9.0]})
    write_curve(outputs, first, {"loss": [4.0, 3.0, 2.9]})
    folder = outputs / second["model_dir"]
    with (folder / "metrics.jsonl").open("a") as file:
        for line in ({"run_id": "run000002"}, {"step": 2, "time": 1.0, "metrics": {"loss": 2.0}}):
            file.write(json.dumps(line) + "\n")
    assert reader("a:v") == {"loss": ([1, 2], [4.0, 2.0])}


def test_damaged_lines_and_a_torn_end_are_left_out(outputs, reader):
    record = end(1)
    write(outputs, record)
    write_curve(outputs, record, {"loss": [3.0]})
    path = outputs / record["model_dir"] / "metrics.jsonl"
    odd = ['{"step":', "[]", '{"step":2,"time":1,"metrics":{"loss":"x"}}', '{"step":"a","time":1,"metrics":{}}', "5"]
    path.write_text(path.read_text() + "\n".join(odd) + '\n{"step":3,"time":1,"metrics":{"loss":1}}\n{"step":4,"ti')
    assert reader("a:v1") == {"loss": ([1, 3], [3.0, 1.0])}


def test_torn_lines_that_fit_together_are_no_points(outputs, reader):
    record = end(1)
    write(outputs, record)
    write_curve(outputs, record, {"loss": [3.0]})
    with (outputs / record["model_dir"] / "metrics.jsonl").open("a") as file:
        file.write('{"step":2,"time":1,"metrics":{"loss":2\n"x":1}}\n{"step":3,"time":1,"metrics":{"loss":1}}\n')
    assert reader("a:v1") == {"loss": ([1, 3], [3.0, 1.0])}


def test_a_growing_file_is_followed(outputs, tmp_path):
    record = end(1)
    write(outputs, record)
    write_curve(outputs, record, {"loss": [3.0]})
    with History(load_project(tmp_path)) as history:
        reader = CurveReader(history)
        run = history.find("a:v1")
        assert reader.of(run)["loss"].steps == [1]
        with (outputs / record["model_dir"] / "metrics.jsonl").open("a") as file:
            file.write('{"step":2,"time":1,"metrics":{"loss":1}}\n')
        assert reader.of(run)["loss"].steps == [1, 2]


def test_a_run_without_a_file_has_no_curves(outputs, reader):
    write(outputs, end(1))
    assert reader("a:v1") == {}


def test_thinning_keeps_the_ends_and_what_is_short():
    curve = Curve(list(range(1000)), [0.0] * 1000, [float(step) for step in range(1000)])
    thin = curve.thinned(100)
    assert (len(thin.steps), thin.steps[0], thin.steps[-1], thin.values[-1]) == (100, 0, 999, 999.0)
    assert curve.thinned(1000) is curve


def test_steps_and_times_beyond_all_sense_are_left_out(outputs, reader):
    record = end(1)
    write(outputs, record)
    write_curve(outputs, record, {"loss": [3.0]})
    with (outputs / record["model_dir"] / "metrics.jsonl").open("a") as file:
        for step, moment in ((2**70, 1), (2, 1e18), (3, -5)):
            file.write(json.dumps({"step": step, "time": moment, "metrics": {"loss": 1.0}}) + "\n")
        file.write(json.dumps({"step": 4, "time": 1, "metrics": {"half \ud800": 2.0}}) + "\n")
    assert reader("a:v1") == {"loss": ([1], [3.0]), "half \\ud800": ([4], [2.0])}


def test_a_pipe_in_the_place_of_metrics_holds_nobody_up(outputs, reader):
    record = end(1)
    write(outputs, record)
    (outputs / record["model_dir"]).mkdir(parents=True)
    os.mkfifo(outputs / record["model_dir"] / "metrics.jsonl")
    assert reader("a:v1") == {}
