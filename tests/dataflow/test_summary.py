from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LinearRegression

from mlpipeline.dataflow.drawing.captions import count_values, layer_caption, value_captions
from mlpipeline.dataflow.drawing.summary import summarize
from mlpipeline.dataflow.graph import Fitted, make_graph
from mlpipeline.dataflow.layer import Lambda
from mlpipeline.dataflow.node import Input
from tests.dataflow.graphs import Center, Nearest, large, small, small_fitted


def row_of(table: str, name: str) -> list[str]:
    line = next(line for line in table.splitlines() if line.startswith(f" {name} "))
    return [cell for cell in line.strip().split("  ") if cell]


def test_a_fitted_pipeline_says_shapes_and_what_was_learned() -> None:
    graph = small()
    table = summarize(graph, small_fitted(graph))
    cells = [cell.strip() for cell in row_of(table, "centered")]
    assert cells == ["centered", "Center()", "x", "(n, 4)", "float64", "mean float64(4,)", "4"]
    assert [cell.strip() for cell in row_of(table, "near (output)")][-2:] == ["centers float64(2, 3)", "7"]
    assert "label (to fit)" in table
    assert "2 inputs, 6 layers, 2 of them learn; 11 values learned" in table


def test_before_a_fit_there_is_what_is_known() -> None:
    table = summarize(small(), None)
    assert [cell.strip() for cell in row_of(table, "centered")] == [
        "centered",
        "Center()",
        "x",
        "(n, ...)",
        "?",
        "not fitted",
    ]
    assert table.rstrip().endswith("2 of them learn; not fitted")


def test_every_node_has_a_row_of_the_width_asked_for() -> None:
    graph = large()
    table = summarize(graph, None, width=90)
    assert max(map(len, table.splitlines())) <= 90
    assert all(graph.labels[node].split()[0] in table for node in graph.nodes)


def test_what_a_layer_of_several_outputs_has_learned_is_counted_once() -> None:
    x = Input("x", 4)
    graph = make_graph(x, Center(n_outputs=2)(x, ["one", "other"]), (), ())
    learned = Center(n_outputs=2)
    learned.metadata = {"mean": np.zeros(4)}
    table = summarize(graph, Fitted({graph.applications[0]: learned}, {}))
    assert table.count("float64(4,)") == 1
    assert "4 values learned" in table


def test_names_with_markup_are_told_as_they_are() -> None:
    x = Input("[bold]x[/]")
    table = summarize(make_graph(x, Center()(x, "[red]y\n\x1b[31m"), (), ()), None)
    assert "[bold]x[/]" in table
    assert "[red]y \ufffd[31m" in table


@pytest.mark.parametrize(
    ("value", "count"),
    [
        (np.zeros((3, 4)), 12),
        (2.5, 1),
        ("text", 1),
        (None, 0),
        ({"a": np.zeros(3), "b": [1, 2, {"c": "d"}]}, 6),
        (torch.nn.Linear(3, 2), 8),
        (LinearRegression().fit(np.eye(3), np.arange(3.0)), 3 + 1 + 1 + 3 + 1),  # coef, intercept, rank, singular, n_in
    ],
)
def test_values_learned_are_counted_wherever_they_lie(value: object, count: int) -> None:
    assert count_values(value) == count


def test_parameters_are_told_where_they_differ_from_their_default() -> None:
    assert layer_caption(Nearest()) == "Nearest()"
    assert layer_caption(Nearest(power=3)) == "Nearest(power=3)"
    assert (
        layer_caption(Lambda(np.clip, a_min=np.zeros(3), kind="k" * 50))
        == f"Lambda(clip, a_min=array(3,), kind='{'k' * 22}…)"
    )


def test_what_was_learned_is_told_by_name() -> None:
    learned = {
        "mean": np.zeros(50),
        "n": np.int64(3),
        "share": 0.25,
        "words": ["a", "b"],
        "kind": "short",
        "model": LinearRegression(),
    }
    assert value_captions(learned) == [
        "mean float64(50,)", "n 3", "share 0.25", "words list of 2", "kind 'short'", "model LinearRegression",
    ]  # fmt: skip
