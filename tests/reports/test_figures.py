"""Figures of recorded runs, compared with what was recorded."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest

from mlpipeline import reports
from mlpipeline.errors import ReportError
from mlpipeline.reports.history import History
from mlpipeline.reports.parameter_figures import differing_parameters
from mlpipeline.reports.prediction_figures import figure_of_predictions
from tests.reports.records import end, write, write_curve
from tests.support import Folder

pytest.importorskip("plotly")


def grid(folder: Folder, count: int = 60) -> list[float]:
    """Record runs whose accuracy is told by `width` alone; return the accuracies."""
    chance = random.Random(0)
    records, scores = [], []
    for number in range(count):
        width = chance.choice([8, 16, 32, 64])
        scores.append(math.log2(width) / 10)
        parameters = {"width": width, "noise": chance.random(), "same": 1}
        records.append(end(number, parameters=parameters, metrics={"test.accuracy": scores[-1]}))
    write(folder.outputs, *records)
    return scores


def kept(folder: Folder, text: str, name: str = "test") -> Path:
    record = end(1)
    write(folder.outputs, record)
    path = folder.outputs / record["model_dir"] / "artifacts" / record["run_id"] / f"{name}.predictions.csv"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return path


def test_curves_figure_draws_the_recorded_points(folder: Folder) -> None:
    write(folder.outputs, end(1), end(2))
    write_curve(folder.outputs, end(1), {"loss": [3.0, 2.0, 1.0]})
    write_curve(folder.outputs, end(2), {"loss": [5.0, 4.0]})
    figure = reports.curves_figure(folder.root)
    drawn = {trace.name: (list(trace.x), list(trace.y)) for trace in figure.data}
    assert drawn == {"a.py:v1": ([1, 2, 3], [3, 2, 1]), "a.py:v2": ([1, 2], [5, 4])}


def test_curves_figure_names_the_metrics_there_are(folder: Folder) -> None:
    write(folder.outputs, end(1))
    write_curve(folder.outputs, end(1), {"loss": [1.0]})
    with pytest.raises(ReportError, match="no los is reported over steps; did you mean loss"):
        reports.curves_figure(folder.root, metric="los")


def test_parallel_coordinates_have_an_axis_for_each_parameter_that_differs(folder: Folder) -> None:
    scores = grid(folder)
    (trace,) = reports.parallel_coordinates(folder.root).data
    assert [axis.label for axis in trace.dimensions] == ["width", "noise", "test.accuracy"]
    assert list(trace.dimensions[2]["values"]) == scores
    assert list(trace.ids) == [f"run{number:06d}" for number in range(60)]


def test_a_wide_range_of_a_parameter_is_drawn_by_its_logarithm(folder: Folder) -> None:
    write(folder.outputs, *(end(k, parameters={"rate": 10.0**-k}, metrics={"test.a": k}) for k in range(1, 5)))
    axis = reports.parallel_coordinates(folder.root).data[0].dimensions[0]
    assert axis.label == "rate (log)"
    assert list(axis["values"]) == pytest.approx([-1, -2, -3, -4])


def test_texts_are_axes_with_their_names(folder: Folder) -> None:
    parameters = [{"kind": kind} for kind in ("relu", "<b>gelu", "relu")]
    write(folder.outputs, *(end(k, parameters=parameters[k], metrics={"test.a": k}) for k in range(3)))
    axis = reports.parallel_coordinates(folder.root).data[0].dimensions[0]
    assert [axis.ticktext[place] for place in axis["values"]] == ["relu", "&lt;b&gt;gelu", "relu"]


def test_the_parameter_that_tells_of_the_metric_is_the_important_one(folder: Folder) -> None:
    grid(folder)
    (bars,) = reports.parameter_importance(folder.root, metric="test.accuracy").data
    importance = dict(zip(bars.y, bars.x, strict=True))
    assert importance["width"] > 1
    assert abs(importance["noise"]) < 0.1


def test_importance_of_what_the_parameters_do_not_tell_is_refused(folder: Folder) -> None:
    chance = random.Random(1)
    records = [end(k, parameters={"x": chance.random()}, metrics={"test.a": chance.random()}) for k in range(30)]
    write(folder.outputs, *records)
    with pytest.raises(ReportError, match=r"the parameters tell nothing of test\.a"):
        reports.parameter_importance(folder.root)


def test_importance_needs_ten_runs_with_different_parameters(folder: Folder) -> None:
    grid(folder, 9)
    with pytest.raises(ReportError, match="at least 10 runs whose parameters differ: there are 9 runs"):
        reports.parameter_importance(folder.root)


def test_a_parameter_that_only_names_the_script_or_the_version_is_left_out(folder: Folder) -> None:
    rows = [("a.py", 1, "A"), ("a.py", 2, "A"), ("b.py", 1, "B"), ("b.py", 2, "B")]
    records = [
        end(k, script=script, parameters={"width": width, "loader": loader, "suffix": f"s{k}"})
        for k, (script, width, loader) in enumerate(rows)
    ]
    write(folder.outputs, *records)
    with History(folder.project) as history:
        columns = differing_parameters(history.latest())
    assert columns == {"script": ["a.py", "a.py", "b.py", "b.py"], "width": [1, 2, 1, 2]}


def test_runs_without_a_finite_metric_are_not_drawn(folder: Folder) -> None:
    values = [0.5, "nan", "inf", 0.7]
    write(folder.outputs, *(end(k, parameters={"x": k}, metrics={"test.a": values[k]}) for k in range(4)))
    (trace,) = reports.parallel_coordinates(folder.root).data
    assert list(trace.dimensions[-1]["values"]) == [0.5, 0.7]


def test_a_metric_that_is_not_recorded_is_named_with_those_that_are(folder: Folder) -> None:
    write(folder.outputs, end(1))
    with pytest.raises(
        ReportError, match=r"no f1 is a metric of these runs; there are test\.accuracy, train\.accuracy"
    ):
        reports.parallel_coordinates(folder.root, metric="f1")


def test_confusion_matrix_counts_as_scikit_learn_does(folder: Folder) -> None:
    from sklearn.metrics import confusion_matrix

    chance = random.Random(3)
    truth, predicted = ([chance.choice(["10", "9", "cat"]) for _ in range(200)] for _ in range(2))
    rows = "".join(f"{k},{one},{other}\n" for k, (one, other) in enumerate(zip(truth, predicted, strict=True)))
    kept(folder, f"id,truth,prediction\n{rows}")
    (heat,) = reports.confusion_matrix(folder.root, "a.py:v1").data
    assert list(heat.x) == list(heat.y) == ["9", "10", "cat"]
    expected = confusion_matrix(truth, predicted, labels=["9", "10", "cat"])
    assert [list(row) for row in heat.text] == expected.tolist()
    assert sum(heat.z[0]) == pytest.approx(1)


def test_residuals_are_predicted_minus_true(folder: Folder) -> None:
    path = kept(folder, "id,truth_0,truth_1,prediction_0,prediction_1\na,1.5,2,2.0,2\nb,3,4,2.5,5\n")
    first, second = reports.residuals(folder.root, "a.py:v1").data
    assert (list(first.x), list(first.y), list(first.text)) == ([2.0, 2.5], [0.5, -0.5], ["a", "b"])
    assert list(second.y) == [0, 1]
    assert figure_of_predictions(path).data[0].type == "scatter"


def test_whole_numbers_of_which_there_are_few_are_labels(folder: Folder) -> None:
    path = kept(folder, "id,truth,prediction\n0,1,1\n1,0,1\n")
    assert figure_of_predictions(path).data[0].type == "heatmap"
    path.write_text("id,truth,prediction\n" + "".join(f"{k},{k},{k}\n" for k in range(100)))
    assert figure_of_predictions(path).data[0].type == "scatter"


@pytest.mark.parametrize("text", ["", "id,truth,prediction\n", "a,b\n1,2\n", "id,truth,prediction\n1,2\n"])
def test_a_file_that_holds_no_predictions_is_named(folder: Folder, text: str) -> None:
    kept(folder, text)
    with pytest.raises(ReportError, match=r"test\.predictions\.csv holds no predictions: expected the columns"):
        reports.confusion_matrix(folder.root, "a.py:v1")


def test_a_run_without_predictions_says_how_a_model_keeps_them(folder: Folder) -> None:
    write(folder.outputs, end(1))
    with pytest.raises(ReportError, match=r"a\.py:v1 has kept no predictions.*save_predictions"):
        reports.residuals(folder.root, "a.py:v1")


def test_predictions_are_chosen_by_name(folder: Folder) -> None:
    kept(folder, "id,truth,prediction\n0,1,1\n", "valid").with_name("test.predictions.csv").write_text("id,truth\n")
    assert len(reports.confusion_matrix(folder.root, "a.py:v1", name="valid").data) == 1
    with pytest.raises(ReportError, match=r"no train are predictions of a\.py:v1; there are test, valid"):
        reports.confusion_matrix(folder.root, "a.py:v1", name="train")
