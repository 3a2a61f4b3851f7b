"""What a data pipeline costs beside NumPy written by hand, and beside scikit-learn's; medians in one run.

Usage: python -m benchmarks.dataflow_speed
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np
from joblib import Memory
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from benchmarks.table import print_table
from mlpipeline.dataflow import Input, Pipeline, layers
from mlpipeline.dataflow.plan import make_plan

NODES = 20
ROWS = 100_000


def main() -> None:
    rows = [*overhead(), *against_numpy(), *folding(), *caching(), *greyscale()]
    print_table("Data pipelines", ["what", "measured", "beside", "ratio", "aim"], rows)


def overhead() -> list[list[str]]:
    """Time of a node on a tiny array beyond the same NumPy calls."""
    data = {"x": np.ones((1, 4))}
    steps = make_pipeline(*(FunctionTransformer(np.negative) for _ in range(NODES))).fit(data["x"])
    users = chain(lambda node, name: layers.Lambda(np.negative)(node, name))
    ours = chain(lambda node, name: layers.Add()([node, node], name))
    calls = [
        lambda: users.transform(data),
        lambda: steps.transform(data["x"]),
        lambda: repeated(np.negative, data["x"]),
        lambda: ours.transform(data),
        lambda: repeated(double, data["x"]),
    ]
    lambdas, theirs, negative, adding, added = timed(calls, 100, 10)
    other = f"scikit-learn {(theirs - negative) / NODES * 1e6:.1f} µs"
    return [
        ["overhead per node, Lambda", f"{(lambdas - negative) / NODES * 1e6:.2f} µs", other, "", "1 µs"],
        ["overhead per node, Add", f"{(adding - added) / NODES * 1e6:.2f} µs", "", "", "1 µs"],
    ]


def chain(apply: Callable[[Any, str | None], Any]) -> Pipeline:
    x = Input("x", (4,))
    node: Any = x
    for i in range(NODES):
        node = apply(node, "last" if i == NODES - 1 else None)
    return Pipeline(x, node)


def repeated(function: Callable[[Any], Any], value: Any) -> Any:
    for _ in range(NODES):
        value = function(value)
    return value


def double(value: Any) -> Any:
    return np.add(value, value)


def against_numpy() -> list[list[str]]:
    """Whiten, one-hot, concatenate, PCA and logistic regression on 100,000 x 50, and on one row."""
    rng = np.random.default_rng(0)
    numbers = rng.normal(3, 2, (ROWS, 49))
    kinds = rng.integers(0, 10, ROWS)
    labels = (numbers[:, 0] + kinds > 7).astype(int)
    pipeline = classifier().fit({"numbers": numbers, "kind": kinds, "label": labels})
    table = np.column_stack([numbers, kinds])
    columns = make_column_transformer((StandardScaler(), list(range(49))), (OneHotEncoder(sparse_output=False), [49]))
    theirs = make_pipeline(columns, PCA(10, random_state=0), LogisticRegression()).fit(table, labels)
    by_hand = numpy_classifier(pipeline)
    data = {"numbers": numbers, "kind": kinds}
    ours = pipeline.transform(data)["probability"]
    np.testing.assert_allclose(ours, by_hand(numbers, kinds), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(ours, theirs.predict_proba(table), rtol=1e-4, atol=1e-6)
    whole = timed(
        [
            lambda: pipeline.transform(data),
            lambda: by_hand(numbers, kinds),
            lambda: theirs.predict_proba(table),
        ],
        9,
    )
    one = {"numbers": numbers[:1], "kind": kinds[:1]}
    single = timed([lambda: pipeline.transform(one), lambda: theirs.predict_proba(table[:1])], 30, 20)
    return [
        ["100,000 x 50, to NumPy", ms(whole[0]), f"by hand {ms(whole[1])}", f"{whole[0] / whole[1]:.2f}", "1.05"],
        ["the same by scikit-learn", ms(whole[2]), f"by hand {ms(whole[1])}", f"{whole[2] / whole[1]:.2f}", ""],
        ["one row", us(single[0]), f"scikit-learn {us(single[1])}", f"1/{single[1] / single[0]:.0f}", "1/30"],
    ]


def classifier() -> Pipeline:
    numbers, kind, label = Input("numbers", (49,)), Input("kind"), Input("label")
    features = layers.Concatenate()([layers.Whiten()(numbers), layers.OneHotRange(0, 9)(kind)])
    reduced = layers.Sklearn(PCA(10, random_state=0))(features)
    predicted = layers.Sklearn(LogisticRegression())([reduced, label], "probability")
    return Pipeline([numbers, kind, label], predicted, name="classifier")


def numpy_classifier(pipeline: Pipeline) -> Callable[[Any, Any], Any]:
    """Return the same as NumPy written by hand, step by step."""
    learned = pipeline.layer("Whiten_1").metadata
    pca = pipeline.layer("Sklearn_1").metadata["estimator"]
    regression = pipeline.layer("probability").metadata["estimator"]
    mean, deviation = learned["mean"], learned["std"]
    classes = np.arange(10)

    def by_hand(numbers: Any, kinds: Any) -> Any:
        white = (numbers - mean) / deviation
        one_hot = (kinds[:, None] == classes).astype(float)
        reduced = (np.concatenate([white, one_hot], axis=1) - pca.mean_) @ pca.components_.T
        decision = reduced @ regression.coef_[0] + regression.intercept_
        positive = 1 / (1 + np.exp(-decision))
        return np.column_stack([1 - positive, positive])

    return by_hand


def folding() -> list[list[str]]:
    """A chain of affine steps on 100,000 x 50, folded and not."""
    rng = np.random.default_rng(0)
    data = rng.normal(3, 2, (ROWS, 50))
    x = Input("x", (50,))
    node: Any = x
    for i in range(8):
        node = layers.ScalarMultiply(1.0 + i / 10)(layers.Whiten()(node), "last" if i == 7 else None)
    pipeline = Pipeline(x, node).fit({"x": data})
    unfolded = make_plan(pipeline.graph.outputs, pipeline.fitted.layers)
    folded = pipeline.transform({"x": data})[0]
    np.testing.assert_allclose(folded, unfolded.run({x: data})[node], rtol=1e-12, atol=1e-12)
    fast, slow = timed([lambda: pipeline.transform({"x": data}), lambda: unfolded.run({x: data})], 9)
    return [["16 affine steps, folded", ms(fast), f"unfolded {ms(slow)}", f"1/{slow / fast:.1f}", "1/10"]]


def caching() -> list[list[str]]:
    """The second transform of 40 MB, from the folder, beside joblib.Memory."""
    data = np.random.default_rng(0).normal(size=(ROWS, 50))
    x = Input("x", (50,))
    with tempfile.TemporaryDirectory() as folder:
        pipeline = Pipeline(x, layers.Whiten()(x, "white"), storage=os.path.join(folder, "store"))
        pipeline.fit({"x": data}).transform({"x": data})
        remembered = Memory(os.path.join(folder, "joblib"), verbose=0).cache(white)
        remembered(data)
        ours, theirs = timed([lambda: pipeline.transform({"x": data}), lambda: remembered(data)], 9)
    return [["cache hit on 40 MB", ms(ours), f"joblib.Memory {ms(theirs)}", f"1/{theirs / ours:.0f}", "5 ms"]]


def white(x: Any) -> Any:
    return (x - x.mean(axis=0)) / x.std(axis=0)


def greyscale() -> list[list[str]]:
    """1,000 images of 48 x 48 x 3."""
    images = np.random.default_rng(0).random((1000, 48, 48, 3))
    layer = layers.RGBtoGrey()
    weights = np.array([0.2126, 0.7152, 0.0722])
    ours, product = timed([lambda: layer.compute(images), lambda: images @ weights], 25)
    return [["grey of 1,000 images", ms(ours), f"one product {ms(product)}", f"{ours / product:.2f}", "1.1"]]


def timed(calls: list[Callable[[], Any]], repeats: int, inner: int = 1) -> list[float]:
    """Return the median seconds of each call; they take turns, `inner` calls each, so that a slow spell meets all."""
    seconds: list[list[float]] = [[] for _ in calls]
    for call in calls:
        call()
    for _ in range(repeats):
        for call, taken in zip(calls, seconds, strict=True):
            started = time.perf_counter()
            for _ in range(inner):
                call()
            taken.append((time.perf_counter() - started) / inner)
    return [median(taken) for taken in seconds]


def ms(seconds: float) -> str:
    return f"{seconds * 1e3:.1f} ms"


def us(seconds: float) -> str:
    return f"{seconds * 1e6:.0f} µs"


if __name__ == "__main__":
    main()
