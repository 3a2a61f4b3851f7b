from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from mlpipeline.dataflow import Input, Pipeline, layers
from mlpipeline.dataflow.explorers import Correlate, Describe, Histogram, Scatter
from mlpipeline.errors import DataError, PipelineError

RNG = np.random.default_rng(0)
VALUES = RNG.normal(size=(500, 3))


def with_holes() -> Any:
    values = VALUES.copy()
    values[::7, 0] = np.nan
    values[::5, 1] = np.nan
    return values


def test_describe_gives_what_pandas_gives() -> None:
    found = Describe().observe(with_holes())
    frame = pd.DataFrame(with_holes())
    pd.testing.assert_frame_equal(
        found[["mean", "std", "min", "25%", "50%", "75%", "max"]], frame.describe().T.iloc[:, 1:]
    )
    assert found["count"].tolist() == frame.count().tolist()
    assert found["missing"].tolist() == frame.isna().sum().tolist()
    assert found["unique"].tolist() == frame.nunique().tolist()


def test_describe_names_columns_and_counts_text() -> None:
    words = np.array(["b", "a", None, "b"], dtype=object)
    found = Describe().observe(words, np.arange(8).reshape(4, 2), names=["word", "x"])
    assert found.index.tolist() == ["word", "x_0", "x_1"]
    assert found.loc["word", ["count", "missing", "unique", "top", "freq"]].tolist() == [3, 1, 2, "b", 2]
    assert found.loc["x_1", "mean"] == 4.0


@pytest.mark.parametrize("values", [[np.nan, np.nan], [np.inf, 1.0], [3.0], [True, False], [2**62, 2**62 + 1]])
def test_describe_takes_hard_columns_without_a_warning(values: list[Any]) -> None:
    array = np.array(values)
    found = Describe().observe(array).loc[0]
    assert found["count"] == np.count_nonzero(~np.isnan(array.astype(float)))
    assert found["unique"] == len(set(values) - {np.nan})


def test_objects_that_are_numbers_are_described_as_numbers() -> None:
    found = Describe().observe(np.array([1, None, 3.0], dtype=object)).loc[0]
    assert (found["mean"], found["missing"]) == (2.0, 1)


def test_a_pipeline_explores_by_name() -> None:
    x = Input("x", 3)
    seen = Describe()(x, "seen")
    pipeline = Pipeline(x, layers.ScalarMultiply(2)(x, "twice"), explorers=[seen])
    assert pipeline.explore({"x": VALUES})["seen"]["mean"].tolist() == pytest.approx(VALUES.mean(axis=0))


def test_a_histogram_counts_as_numpy_does() -> None:
    found = Histogram().observe(VALUES[:, 0]).data
    counts, edges = np.histogram(VALUES[:, 0], "auto")
    np.testing.assert_array_equal(found["count"], counts)
    np.testing.assert_allclose(found["left"], edges[:-1])
    np.testing.assert_array_equal(
        Histogram([-1, 0, 1]).observe(VALUES[:, 0]).data["count"], np.histogram(VALUES[:, 0], [-1, 0, 1])[0]
    )


@pytest.mark.parametrize("bins", ["auto", 7])
@pytest.mark.parametrize(
    "values",
    [
        [4.0] * 9,
        [1e20, np.nextafter(1e20, 2e20)],
        [-1.7e308, 1.7e308, 0.0],
        [*range(20), 1e12],
        [np.nan, np.inf, 1.0],
        [np.nan, np.nan],
        [2**60, 2**60 + 1024],
        [0, 1, 1, 5],
        [True, False, True],
    ],
)
def test_a_histogram_counts_every_finite_value_of_hard_columns(values: list[Any], bins: Any) -> None:
    array = np.array(values)
    found = Histogram(bins).observe(array).data
    assert found["count"].sum() == np.count_nonzero(np.isfinite(array.astype(float)))
    assert len(found) <= 101
    assert (found["right"] > found["left"]).all()


def test_a_histogram_of_whole_numbers_has_a_bar_for_each() -> None:
    found = Histogram().observe(np.array([0, 1, 1, 3] * 20)).data
    assert found["count"].tolist() == [20, 40, 0, 20]
    assert found["left"].tolist() == [-0.5, 0.5, 1.5, 2.5]


def test_a_histogram_of_text_counts_the_most_frequent_and_the_others() -> None:
    words = np.array([f"w{i}" for i in range(30) for _ in range(i + 1)], dtype=object)
    found = Histogram().observe(words).data
    assert found["value"].tolist() == [f"w{i}" for i in range(29, 9, -1)] + ["(others)"]
    assert found["count"].sum() == len(words)


@pytest.mark.parametrize("method", ["pearson", "spearman", "kendall"])
@pytest.mark.parametrize("values", [VALUES, with_holes()])
def test_correlations_are_those_of_pandas(method: Any, values: Any) -> None:
    found = Correlate(method).observe(values).data
    np.testing.assert_allclose(found, pd.DataFrame(values).corr(method=method), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("method", ["pearson", "spearman", "kendall"])
def test_a_constant_column_has_no_correlation(method: str) -> None:
    values = np.column_stack([VALUES, np.full(500, 0.1), VALUES[:, 0] * 1e200])
    found = Correlate(method).observe(values, names=["x"]).data
    assert found["x_3"].isna().all()
    assert found.loc["x_3"].isna().all()
    assert found.loc["x_0", "x_4"] == pytest.approx(1.0)


def test_a_scatter_of_many_points_draws_some_the_same_each_time_and_says_so() -> None:
    x, y = np.arange(100_000.0), -np.arange(100_000.0)
    x[5] = np.nan
    one, other = (Scatter(limit=300).observe(x, y, names=["x", "y"]) for _ in range(2))
    pd.testing.assert_frame_equal(one.data, other.data)
    assert len(one.data) == 300
    np.testing.assert_array_equal(one.data["y"], -one.data.index)
    said = one.figure.to_dict()["title"]["subtitle"]
    assert said == ["300 of 99,999 observations, drawn by chance", "1 observation missing"]


def test_a_scatter_takes_one_node_of_columns_or_a_colour() -> None:
    assert list(Scatter().observe(VALUES, names=["x"]).data) == ["x_0", "x_1"]
    words = np.array(["a", "b"] * 250, dtype=object)
    assert list(Scatter().observe(VALUES[:, 0], VALUES[:, 1], words, names=["x", "y", "word"]).data) == [
        "x",
        "y",
        "word",
    ]


@pytest.mark.parametrize(
    ("name", "suffix"),
    [("histogram", ".svg"), ("scatter", ".svg"), ("correlate", ".svg"), ("correlate", ".png"), ("correlate", ".html")],
)
def test_pictures_are_written(tmp_path: Path, name: str, suffix: str) -> None:
    values = with_holes()
    values[:, 2] = 1.0
    seen = {"histogram": Histogram(), "scatter": Scatter(), "correlate": Correlate()}[name]
    content = seen.observe(values, names=['a.b[0]:"<&']).save(tmp_path / f"picture{suffix}").read_bytes()
    if suffix == ".svg":
        assert ElementTree.fromstring(content).tag.endswith("svg")
    else:
        assert content.startswith(b"\x89PNG" if suffix == ".png" else b"<!DOCTYPE html>")


def test_a_picture_without_the_extra_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "altair", None)
    seen = Histogram().observe(VALUES)
    assert seen.data["count"].sum() == VALUES.size
    with pytest.raises(PipelineError, match=r'pip install "mlpipeline\[plot\]"'):
        seen.save(tmp_path / "picture.svg")
    assert "<table" in seen._repr_html_()


def test_wrong_use_is_refused(tmp_path: Path) -> None:
    words = Input("words", dtype="U5")
    with pytest.raises(PipelineError, match="expected numbers"):
        Correlate()([words, Input("x")], "correlation")
    with pytest.raises(PipelineError, match=r"but got \(n,\)"):
        Scatter()(Input("x"), "scatter")
    with pytest.raises(PipelineError, match="one value for each"):
        Scatter()([Input("x", 2), Input("y")], "scatter")
    with pytest.raises(PipelineError, match="'auto'"):
        Histogram("fd")
    with pytest.raises(PipelineError, match="column 0 has values of object"):
        Correlate().observe(np.array(["a", "b"], dtype=object))
    with pytest.raises(DataError, match="no observations"):
        Describe().observe(VALUES[:0])
    with pytest.raises(PipelineError, match=r"ends in .svg, .png or .html"):
        Histogram().observe(VALUES).save(tmp_path / "picture.pdf")
