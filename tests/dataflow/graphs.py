"""Graphs that pictures and tables are made of."""

from __future__ import annotations

import numpy as np

from mlpipeline.dataflow.explorers import Describe
from mlpipeline.dataflow.fitting import fit_whole
from mlpipeline.dataflow.graph import Fitted, Graph, make_graph
from mlpipeline.dataflow.layer import Lambda, StatefulLayer, StatelessLayer
from mlpipeline.dataflow.metrics import Accuracy
from mlpipeline.dataflow.node import Input
from mlpipeline.dataflow.spec import Array


class Center(StatefulLayer):
    def fit(self, x: Array) -> None:  # type: ignore[override]
        self.metadata["mean"] = x.mean(axis=0)

    def transform(self, x: Array) -> Array:
        return x - self.metadata["mean"]


class Nearest(StatefulLayer):
    def __init__(self, power: int = 2) -> None:
        self.power = power

    def label_count(self, n_inputs: int) -> int:
        return 1

    def fit(self, x: Array, y: Array) -> None:  # type: ignore[override]
        self.metadata["centers"] = np.array([x[y == each].mean(axis=0) for each in (0, 1)])
        self.metadata["n"] = len(x)

    def transform(self, x: Array) -> Array:
        return (np.abs(x[:, None] - self.metadata["centers"]) ** self.power).sum(axis=2)


class Halves(StatelessLayer):
    def __init__(self) -> None:
        super().__init__(n_outputs=2)

    def transform(self, x: Array) -> tuple[Array, Array]:
        return x[:, :1], x[:, 1:]


def small() -> Graph:
    """Return a graph in which every role is there."""
    x, label = Input("x", 4), Input("label")
    centered = Center()(x, "centered")
    left, right = Halves()(centered, ["left", "right"])
    total = Lambda(np.multiply)([left, right], "product")
    near = Nearest(power=1)([total, label], "near")
    accuracy = Accuracy()([label, near], "accuracy")
    return make_graph([x, label], [near], [accuracy], [Describe()(right, "seen")])


def small_fitted(graph: Graph) -> Fitted:
    rng = np.random.default_rng(0)
    x, label = graph.inputs
    return fit_whole(graph, {x: rng.normal(size=(20, 4)), label: np.arange(20) % 2}, 1)


def large() -> Graph:
    """Return a graph of 30 nodes, with long links and many labels."""
    columns = [Input(f"column_{i}") for i in range(8)]
    label = Input("label")
    nodes = [*columns, *(Center()(each) for each in columns)]
    for i in range(13):
        nodes.append(Lambda(np.add)([nodes[i], nodes[-1 - i % 3], nodes[-1]], f"sum {i}"))
    last = Nearest()([*nodes[-3:], label], "near")
    return make_graph([*columns, label], [last, nodes[20]], [Accuracy()([label, last], "accuracy")], ())
