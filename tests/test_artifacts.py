import csv
import json

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

from mlpipeline import artifacts
from mlpipeline.errors import ScriptError
from mlpipeline.helper import DataLoader, Model
from mlpipeline.utils import Versions

PNG = b"\x89PNG\r\n\x1a\n"


def rows(path):
    with path.open(newline="") as file:
        return list(csv.reader(file))


def matplotlib_figure():
    from matplotlib.figure import Figure

    figure = Figure()
    figure.subplots().plot([1, 2, 3])
    return figure


def altair_figure():
    import altair as alt

    return alt.Chart(pd.DataFrame({"x": [1, 2], "y": [3, 4]})).mark_line().encode(x="x", y="y")


def pillow_image():
    from PIL import Image

    return Image.new("RGB", (4, 4), "red")


@pytest.mark.parametrize("make", [matplotlib_figure, altair_figure, pillow_image])
def test_a_figure_becomes_a_png(tmp_path, make):
    path = artifacts.save_figure(tmp_path / "new", "loss curve", make())
    assert path.name == "loss curve.png"
    assert path.read_bytes().startswith(PNG)


def test_a_figure_of_plotly_is_kept_as_its_json(tmp_path):
    import plotly.graph_objects as go

    path = artifacts.save_figure(tmp_path, "curve", go.Figure(go.Scatter(y=[1, 2])))
    assert path.name == "curve.plotly.json"
    assert json.loads(path.read_text())["data"][0]["type"] == "scatter"


def test_what_is_no_figure_is_refused_by_its_type(tmp_path):
    with pytest.raises(ScriptError, match=r"save_figure\('a'\): expected a figure .* but got builtins\.list"):
        artifacts.save_figure(tmp_path, "a", [1, 2])


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame({"a": [1, 2], "b": ["x", "y,z"]}),
        pl.DataFrame({"a": [1, 2], "b": ["x", "y,z"]}),
        {"a": np.array([1, 2]), "b": ["x", "y,z"]},
        [{"a": 1, "b": "x"}, {"b": "y,z", "a": 2}],
    ],
    ids=lambda table: type(table).__module__,
)
def test_a_table_becomes_csv_with_its_names(tmp_path, table):
    assert rows(artifacts.save_table(tmp_path, "t", table)) == [["a", "b"], ["1", "x"], ["2", "y,z"]]


def test_labels_of_a_data_frame_are_kept_where_they_say_something(tmp_path):
    path = artifacts.save_table(tmp_path, "t", pd.DataFrame({"a": [1]}, index=pd.Index(["x"], name="row")))
    assert rows(path) == [["row", "a"], ["x", "1"]]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("text", "but got builtins.str"),
        ([], "but got builtins.list"),
        ({"a": [1], "b": []}, "one length, but got a: 1"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, table, message):
    with pytest.raises(ScriptError, match=message):
        artifacts.save_table(tmp_path, "t", table)


@pytest.mark.parametrize("kind", [list, np.array, torch.tensor, pd.Series])
def test_predictions_are_a_line_for_each_observation(tmp_path, kind):
    path = artifacts.save_predictions(tmp_path, kind([1, 0]), kind([1, 1]), ["a", "b"], "test")
    assert path.name == "test.predictions.csv"
    assert rows(path) == [["id", "truth", "prediction"], ["a", "1", "1"], ["b", "0", "1"]]


def test_probabilities_become_the_labels_they_favour(tmp_path):
    shares = np.array([[0.2, 0.8], [0.6, 0.4]])
    path = artifacts.save_predictions(tmp_path, ["cat", "dog"], shares, None, "test")
    assert rows(path)[1:] == [["0", "cat", "dog"], ["1", "dog", "cat"]]
    path = artifacts.save_predictions(tmp_path, torch.tensor([0, 2]), torch.eye(3)[[2, 1]], None, "test")
    assert rows(path)[1:] == [["0", "0", "2"], ["1", "2", "1"]]


def test_several_values_have_a_column_each(tmp_path):
    path = artifacts.save_predictions(tmp_path, np.zeros((1, 2)), np.ones((1, 2)), [7], "test")
    assert rows(path) == [
        ["id", "truth_0", "truth_1", "prediction_0", "prediction_1"],
        ["7", "0.0", "0.0", "1.0", "1.0"],
    ]


@pytest.mark.parametrize(
    ("truth", "predicted", "ids", "message"),
    [
        ([1, 2], [1], None, "2 true, 1 predicted and 2 ids"),
        ([1, 2], [1, 2], [1], "2 true, 2 predicted and 1 ids"),
        ([[1, 2, 3]], [[1, 2]], None, "y_true has 3 columns and y_pred 2"),
        ([0, 1, 2], np.zeros((3, 2)), None, "y_true has 3 labels, but y_pred has 2 columns"),
        ([0], np.zeros((1, 2, 2)), None, r"y_pred must be \[n\] or \[n, columns\]"),
        (5, [1], None, r"y_true must be \[n\] or \[n, columns\], but is 5"),
    ],
)
def test_predictions_that_do_not_fit_are_refused(tmp_path, truth, predicted, ids, message):
    with pytest.raises(ScriptError, match=message):
        artifacts.save_predictions(tmp_path, truth, predicted, ids, "test")


@pytest.mark.parametrize("name", ["", " ", "../a", "a/b", ".hidden", "a\nb", "x" * 200, "C:\\a", None])
def test_a_name_that_could_lead_elsewhere_is_refused(tmp_path, name):
    with pytest.raises(ScriptError, match="expected the name of a file"):
        artifacts.save_table(tmp_path, name, {"a": [1]})


def test_a_model_outside_a_run_has_nowhere_to_keep_them():
    model = Model(Versions(dataloader=DataLoader, batch_size=1, epoch_count=1))
    with pytest.raises(ScriptError, match="this model is in none"):
        model.save_table("t", {"a": [1]})


def test_each_run_keeps_its_own(folder):
    folder.script("a.py", "print(self.save_predictions([1, 0], [1, 1]).name)")
    folder.queue("a.py")
    folder.run("-r")
    folder.run("-r")
    found = list(folder.model_dir("a-v1").glob("artifacts/*/test.predictions.csv"))
    assert sorted(path.parent.name for path in found) == sorted(record["run_id"] for record in folder.history())
    assert "test.predictions.csv" in folder.run().stdout  # and in test mode nothing remains
    assert len(list(folder.model_dir("a-v1").glob("artifacts/*"))) == 2
