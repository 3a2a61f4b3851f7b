"""The table that compares runs: its columns, its order, its metric."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from mlpipeline.errors import ReportError
from mlpipeline.project import load_project
from mlpipeline.reports.columns import is_error
from mlpipeline.reports.comparison import Comparison, Question, compare_runs
from mlpipeline.reports.frames import compare, learning_curves, runs
from mlpipeline.reports.history import History
from tests.reports.records import end, start, write, write_curve


def compared(root: Path, **question: Any) -> Comparison:
    with History(load_project(root)) as history:
        return compare_runs(history.latest(), Question(**question))


def column(table: Comparison, name: str) -> list[Any]:
    return [row[table.columns.index(name)] for row in table.rows]


def version(number: int, accuracy: Any, loss: Any = 1.0, **values: Any) -> dict[str, Any]:
    parameters = {"learning_rate": number / 10, "batch_size": 4}
    return end(
        number, **{"parameters": parameters, "metrics": {"test.accuracy": accuracy, "test.loss": loss}, **values}
    )


@pytest.fixture
def three(tmp_path: Path) -> Path:
    write(tmp_path / "outputs", version(1, 0.7, 0.3), version(2, 0.9, 0.2), version(3, 0.8, 0.1))
    return tmp_path


def test_the_best_is_first_and_only_the_parameters_that_differ_are_shown(three: Path) -> None:
    table = compared(three)
    assert table.columns == (
        "name",
        "learning_rate",
        "test.accuracy",
        "delta",
        "test.loss",
        "status",
        "seconds",
        "memory_mb",
    )
    assert column(table, "name") == ["a.py:v2", "a.py:v3", "a.py:v1"]
    assert column(table, "delta") == pytest.approx([0, -0.1, -0.2])
    assert (table.metric, table.minimizes, table.best) == ("test.accuracy", False, 0)


def test_a_loss_is_better_low(three: Path) -> None:
    table = compared(three, metric="loss")
    assert column(table, "name") == ["a.py:v3", "a.py:v2", "a.py:v1"]
    assert (table.metric, table.minimizes) == ("test.loss", True)
    assert column(table, "delta") == pytest.approx([0, 0.1, 0.2])
    assert column(compared(three, metric="loss", minimizes=False), "name")[0] == "a.py:v1"


def test_the_name_of_a_metric_tells_what_is_better() -> None:
    low = ["test.loss", "loss", "val_log_loss", "logloss", "RMSE", "test.mean_absolute_error", "perplexity", "mse"]
    high = ["test.accuracy", "r2", "neg_log_loss", "auc", "f1", "samples_per_second", "remorse"]
    assert all(map(is_error, low))
    assert not any(map(is_error, high))


def test_an_unknown_metric_is_said_with_those_there_are(three: Path) -> None:
    with pytest.raises(
        ReportError, match=r"'acuracy'; did you mean test.accuracy\?; there are test.accuracy, test.loss"
    ):
        compared(three, metric="acuracy")


def test_a_short_name_means_the_test_metric_or_the_only_one(tmp_path: Path) -> None:
    metrics = {"train.accuracy": 0.9, "test.accuracy": 0.8, "train.auc": 0.7, "a.f1": 1, "b.f1": 2}
    write(tmp_path / "outputs", end(1, metrics=metrics))
    assert compared(tmp_path, metric="accuracy").metric == "test.accuracy"
    assert compared(tmp_path, metric="auc").metric == "train.auc"
    with pytest.raises(ReportError, match=r"'f1' may mean a[.]f1, b[.]f1"):
        compared(tmp_path, metric="f1")


@pytest.mark.parametrize(
    ("sort", "names"),
    [
        ("learning_rate", ["v1", "v2", "v3"]),
        ("-learning_rate", ["v3", "v2", "v1"]),
        ("-delta", ["v2", "v3", "v1"]),
        ("name", ["v1", "v2", "v3"]),
        ("-loss", ["v1", "v2", "v3"]),
    ],
)
def test_any_column_sorts_rising_or_falling(three: Path, sort: str, names: list[str]) -> None:
    assert column(compared(three, sort=sort, columns=("version",)), "version") == names


@pytest.mark.parametrize("sort", ["test.accuracy", "-test.accuracy", ""])
def test_nan_and_missing_values_are_last_and_never_the_best(tmp_path: Path, sort: str) -> None:
    write(tmp_path / "outputs", version(1, "nan"), version(2, 0.5), end(3, metrics={}, parameters={}))
    table = compared(tmp_path, sort=sort, metric="accuracy")
    assert column(table, "name")[0] == "a.py:v2"
    assert column(table, "delta")[0] == 0
    assert [value is None or math.isnan(value) for value in column(table, "test.accuracy")] == [False, True, True]


def test_values_of_several_kinds_can_be_sorted(tmp_path: Path) -> None:
    odd: list[Any] = [[64, 32], "relu", 3, {"a": {"b": 1}}, True, None, 0.5, 'Äpfel, "x"\n|<b>']
    write(tmp_path / "outputs", *(end(k, parameters={"odd": value}) for k, value in enumerate(odd)))
    assert column(compared(tmp_path, sort="odd"), "odd")[:3] == [0.5, True, 3]
    assert column(compared(tmp_path, sort="-odd"), "odd")[-1] is None


def test_runs_that_did_not_succeed_are_shown_but_not_the_best(tmp_path: Path) -> None:
    unfinished = start(4, parameters={"learning_rate": 9})
    write(tmp_path / "outputs", version(1, 0.5), version(2, 0.99, status="PRUNED"), version(3, 0.98, status="FAILED"))
    write(tmp_path / "outputs", unfinished)
    table = compared(tmp_path)
    assert column(table, "name")[table.best or 0] == "a.py:v1"
    assert set(column(table, "status")) == {"SUCCEEDED", "PRUNED", "FAILED", "INTERRUPTED"}


def test_where_columns_and_limit_choose_what_is_shown(three: Path) -> None:
    table = compared(three, where="learning_rate > 0.1", columns=("version", "batch_size", "memory"), limit=1)
    assert (table.columns, table.rows, table.hidden) == (("version", "batch_size", "memory"), [("v2", 4, 100.0)], 1)
    assert compared(three, where="seconds > 100").rows == []


def test_an_unknown_column_is_said_with_those_there_are(three: Path) -> None:
    for question in ({"sort": "sconds"}, {"columns": ("sconds",)}, {"where": "sconds < 1"}):
        with pytest.raises(ReportError, match=r"no column 'sconds'; did you mean seconds\?; there are name, run_id"):
            compared(three, **question)
    with pytest.raises(ReportError, match="add --group"):
        compared(three, sort="p")


def test_a_parameter_that_is_called_as_something_else_has_its_kind_before_it(tmp_path: Path) -> None:
    parameters = {"seconds": 7, "loss": "hinge", "learning_rate": 1}
    write(tmp_path / "outputs", end(1, parameters=parameters, metrics={"loss": 0.5, "status": 2.0}))
    asked = ("parameters.seconds", "seconds", "loss", "metrics.loss", "metrics.status", "parameters.learning_rate")
    assert compared(tmp_path, columns=asked).rows == [(7, 1.5, "hinge", 0.5, 2.0, 1)]
    assert compared(tmp_path, metric="loss").metric == "metrics.loss"


def test_a_parameter_may_be_called_as_a_statistic(tmp_path: Path) -> None:
    write(tmp_path / "outputs", *(end(k, parameters={"p": f"text {k}", "n": k}, version=f"v{k}") for k in range(2)))
    table = compared(tmp_path, where="n > 0", groups=True)
    assert {"n", "p"} < set(table.columns)
    assert compared(tmp_path, columns=("parameters.p", "n"), sort="-n").rows == [("text 1", 1), ("text 0", 0)]


def test_without_any_run_the_table_is_empty(tmp_path: Path) -> None:
    table = compared(tmp_path)
    assert (table.rows, table.metric, table.best) == ([], "", None)


def test_data_frames_hold_the_same(three: Path) -> None:
    write_curve(three / "outputs", version(2, 0.9), {"loss": [3.0, 2.0, 1.0]})
    table = compare(three, ["a.py"], where="learning_rate > 0.1")
    assert table["test.accuracy"].tolist() == [0.9, 0.8]
    frame = runs(three)
    assert frame.groupby("learning_rate")["test.loss"].mean().to_dict() == {0.1: 0.3, 0.2: 0.2, 0.3: 0.1}
    assert frame["started"].dt.hour.tolist() == [3, 3, 3]
    points = learning_curves(three, metrics=["loss"])
    assert points[["version", "step", "value"]].values.tolist() == [["v2", 1, 3.0], ["v2", 2, 2.0], ["v2", 3, 1.0]]
    assert learning_curves(three, ["a.py:v1"]).empty
