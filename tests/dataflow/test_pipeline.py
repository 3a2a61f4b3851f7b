from __future__ import annotations

import copy
import pickle
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from mlpipeline.dataflow import Input, Pipeline, layers, metrics
from mlpipeline.errors import DataError, PipelineError


class Center(layers.StatefulLayer):
    def fit(self, x):
        self.metadata["mean"] = x.mean(axis=0)

    def transform(self, x):
        return x - self.metadata["mean"]


@pytest.fixture
def table() -> np.ndarray:
    return np.random.default_rng(0).normal(3, 2, (60, 4))


def whitening(**arguments: object) -> Pipeline:
    x = Input("x", (4,))
    return Pipeline(x, layers.Whiten()(x, "white"), name="whitening", **arguments)


def test_outputs_are_there_by_name_and_by_position(table: np.ndarray) -> None:
    outputs = whitening().fit({"x": table}).transform({"x": table})
    np.testing.assert_allclose(outputs["white"], (table - table.mean(axis=0)) / table.std(axis=0))
    assert outputs[0] is outputs["white"]
    with pytest.raises(PipelineError, match="there is no output 'whte'; did you mean white"):
        outputs["whte"]


def test_a_layer_at_two_nodes_learns_twice(table: np.ndarray) -> None:
    x, y = Input("x", (4,)), Input("y", (4,))
    center = Center()
    pipeline = Pipeline([x, y], [center(x, "first"), center(y, "second")])
    outputs = pipeline.fit({"x": table, "y": table + 5}).transform({"x": table, "y": table + 5})
    np.testing.assert_allclose(outputs["first"], outputs["second"])
    assert center.metadata == {}
    np.testing.assert_allclose(pipeline.layer("second").metadata["mean"], table.mean(axis=0) + 5)


def test_two_pipelines_over_the_same_nodes_do_not_touch_each_other(table: np.ndarray) -> None:
    x = Input("x", (4,))
    white = layers.Whiten()(x, "white")
    one, other = Pipeline(x, white), Pipeline(x, white)
    before = one.fit({"x": table}).transform({"x": table})["white"]
    other.fit({"x": table * 7 + 1})
    np.testing.assert_array_equal(one.transform({"x": table})["white"], before)


def test_a_layer_changed_after_the_fit_changes_no_pipeline(table: np.ndarray) -> None:
    x = Input("x", (4,))
    double = layers.ScalarMultiply(2.0)
    pipeline = Pipeline(x, double(x, "twice")).fit({"x": table})
    double.factor = 3.0
    np.testing.assert_array_equal(pipeline.transform({"x": table})["twice"], table * 2)


def test_nothing_that_was_passed_in_is_changed(table: np.ndarray) -> None:
    x = Input("x", (4,))
    node = layers.ScalarMultiply(2.0)(layers.Whiten()(layers.Impute({np.nan: 0.0})(x)), "out")
    table[3, 2] = np.nan
    data = {"x": table}
    before = table.copy()
    table.flags.writeable = False
    Pipeline(x, node).fit(data).transform(data)
    assert list(data) == ["x"]
    np.testing.assert_array_equal(table, before)


def test_labels_are_not_needed_to_predict(table: np.ndarray) -> None:
    x, label = Input("x", (4,)), Input("label")
    predicted = layers.Sklearn(LogisticRegression())([layers.Whiten()(x), label], "probability")
    accuracy = metrics.Accuracy()([label, predicted], "accuracy")
    labels = (table[:, 0] > 3).astype(int)
    pipeline = Pipeline([x, label], predicted, [accuracy]).fit({"x": table, "label": labels})
    assert pipeline.transform({"x": table})["probability"].shape == (60, 2)
    assert pipeline.evaluate({"x": table, "label": labels})["accuracy"] > 0.9
    with pytest.raises(DataError, match="input 'label' is missing"):
        pipeline.evaluate({"x": table})


def test_a_failed_fit_leaves_what_was_known(table: np.ndarray) -> None:
    pipeline = whitening().fit({"x": table})
    before = pipeline.transform({"x": table})["white"]
    with pytest.raises(DataError):
        pipeline.fit({"x": table[:0]})
    np.testing.assert_array_equal(pipeline.transform({"x": table})["white"], before)


def test_threads_see_one_fit_or_the_other_and_never_half(table: np.ndarray) -> None:
    x = Input("x", (4,))
    pipeline = Pipeline(x, layers.Subtract()([Center()(x), Center()(x)], "zero")).fit({"x": table})
    stop = threading.Event()

    def refit() -> None:
        while not stop.is_set():
            pipeline.fit({"x": table * 2})
            pipeline.fit({"x": table})

    with ThreadPoolExecutor(4) as pool:
        refitting = pool.submit(refit)
        seen = [pool.submit(lambda: abs(pipeline.transform({"x": table})["zero"]).max()) for _ in range(200)]
        assert {each.result() for each in seen} == {0.0}
        stop.set()
        refitting.result()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({}, "input 'x' is missing; expected 'x', but got nothing"),
        ({"X": np.ones((2, 4))}, "input 'x' is missing; is that X"),
        ({"x": np.ones((2, 4)), "z": np.ones(2)}, "'z' is not an input"),
        ({"x": np.ones((2, 3))}, r"expected an array of shape \(n, 4\), but got \(2, 3\)"),
        ({"x": np.ones(4)}, r"expected an array of shape \(n, 4\), but got \(4,\)"),
        ({"x": np.full((2, 4), "a")}, "the fit has seen float64, but got values of <U1"),
        ({"x": [[1, 2, 3, 4], [1, 2]]}, "input 'x': expected an array, but got a list of list"),
        (5, "expected a dictionary of arrays by input name"),
    ],
)
def test_wrong_data_is_named(table: np.ndarray, data: object, message: str) -> None:
    pipeline = whitening().fit({"x": table})
    with pytest.raises(DataError, match=message):
        pipeline.transform(data)


def test_inputs_of_unequal_lengths_are_refused() -> None:
    x, y = Input("x"), Input("y")
    with pytest.raises(DataError, match="input 'y' has 3 observations, but the inputs before it have 2"):
        Pipeline([x, y], layers.Add()([x, y], "sum")).transform({"x": np.ones(2), "y": np.ones(3)})


def test_no_observations_give_no_outputs(table: np.ndarray) -> None:
    assert whitening().fit({"x": table}).transform({"x": table[:0]})["white"].shape == (0, 4)


def test_an_error_of_the_users_code_keeps_its_type_and_names_the_layer() -> None:
    x = Input("x")

    def invert(values):
        raise ZeroDivisionError("no inverse")

    with pytest.raises(ZeroDivisionError, match="no inverse") as caught:
        Pipeline(x, layers.Lambda(invert)(x, "inverse")).transform({"x": np.ones(2)})
    assert caught.value.__notes__ == ["in the layer Lambda 'inverse'"]


def test_a_layer_that_drops_observations_is_refused() -> None:
    x = Input("x")
    pipeline = Pipeline(x, layers.Lambda(np.unique)(x, "unique"))
    with pytest.raises(PipelineError, match="Lambda 'unique': transform returned 1 observations for 3"):
        pipeline.transform({"x": np.ones(3)})


def test_what_a_fit_keeps_outside_the_metadata_is_refused(table: np.ndarray) -> None:
    class Forgetful(layers.StatefulLayer):
        def fit(self, x):
            self.mean = x.mean(axis=0)

        def transform(self, x):
            return x - self.mean

    x = Input("x", (4,))
    with pytest.raises(
        PipelineError, match=r"fit changed self.mean, .* keep what is learned in self.metadata\['mean'\]"
    ):
        Pipeline(x, Forgetful()(x, "out")).fit({"x": table})


def test_several_outputs_of_a_layer_are_nodes_of_their_own() -> None:
    x = Input("x")
    halves = layers.SplitDict(["a", "b"])(x, ["a", "b"])
    rows = np.array([{"a": 1, "b": 2.5}, {"a": 3, "b": 4.5}], dtype=object)
    outputs = Pipeline(x, halves).transform({"x": rows})
    assert outputs["a"].tolist() == [1, 3]
    assert outputs["b"].tolist() == [2.5, 4.5]


def test_a_frame_fills_inputs_by_column(table: np.ndarray) -> None:
    a, b = Input("a"), Input("b")
    pipeline = Pipeline([a, b], layers.Add()([a, b], "sum"))
    frame = pd.DataFrame({"b": [1.0, 2.0], "c": [0, 0], "a": [10.0, 20.0]})
    assert pipeline.transform(frame)["sum"].tolist() == [11, 22]


def test_a_table_is_dealt_out_to_the_inputs(table: np.ndarray) -> None:
    pair, single = Input("pair", (2,)), Input("single")
    pipeline = Pipeline([pair, single], [layers.ScalarMultiply(1)(pair, "p"), layers.ScalarMultiply(1)(single, "s")])
    outputs = pipeline.transform(table[:, :3])
    np.testing.assert_array_equal(outputs["p"], table[:, :2])
    np.testing.assert_array_equal(outputs["s"], table[:, 2])


def test_partial_fit_goes_on_learning(table: np.ndarray) -> None:
    pipeline = whitening()
    for start in range(0, 60, 17):
        pipeline.partial_fit({"x": table[start : start + 17]})
    expected = whitening().fit({"x": table}).transform({"x": table})["white"]
    np.testing.assert_allclose(pipeline.transform({"x": table})["white"], expected, rtol=1e-12)


def test_what_only_metrics_look_at_is_not_needed_to_fit(table: np.ndarray) -> None:
    x, weight = Input("x", (4,)), Input("weight")
    white = layers.Whiten()(x, "white")
    weighted = metrics.Metric(lambda values, weights: np.average(values[:, 0], weights=weights))
    pipeline = Pipeline([x, weight], white, weighted([white, weight], "mean"))
    pipeline.fit({"x": table})
    assert pipeline.evaluate({"x": table, "weight": np.ones(60)})["mean"] == pytest.approx(0)


def test_a_pipeline_without_metrics_says_so(table: np.ndarray) -> None:
    with pytest.raises(PipelineError, match="has none to run"):
        whitening().fit({"x": table}).evaluate({"x": table})


def test_a_pipeline_crosses_processes(table: np.ndarray) -> None:
    x, label = Input("x", (4,)), Input("label")
    layer = layers.Sklearn(LogisticRegression(), method="predict")
    pipeline = Pipeline([x, label], layer([layers.Whiten()(x), label], "class"))
    pipeline.fit({"x": table, "label": table[:, 0] > 3})
    expected = pipeline.transform({"x": table})["class"]
    copied = pickle.loads(pickle.dumps(pipeline))
    np.testing.assert_array_equal(copied.transform({"x": table})["class"], expected)


def test_a_deep_pipeline_crosses_processes() -> None:
    node = x = Input("x")
    for _ in range(1500):
        node = layers.Whiten()(node)
    pipeline = Pipeline(x, layers.ScalarMultiply(2.0)(node, "last")).fit({"x": np.arange(5.0)})
    for copied in (pickle.loads(pickle.dumps(pipeline)), copy.deepcopy(pipeline)):
        expected = pipeline.transform({"x": np.arange(5.0)})["last"]
        np.testing.assert_array_equal(copied.transform({"x": np.arange(5.0)})["last"], expected)


def test_an_open_connection_does_not_cross_processes(tmp_path: Path) -> None:
    pipeline = whitening(storage=sqlite3.connect(tmp_path / "store.db"))
    with pytest.raises(PipelineError, match="give the storage as a folder, a file or a URL"):
        pickle.dumps(pipeline)


def test_a_function_that_writes_into_its_argument_is_stopped(table: np.ndarray) -> None:
    def negate(values):
        values *= -1
        return values

    x = Input("x", (4,))
    before = table.copy()
    pipeline = Pipeline(x, [layers.Lambda(negate)(x, "negative"), layers.Whiten()(x, "white")])
    with pytest.raises(ValueError, match="read-only") as caught:
        pipeline.fit({"x": table}).transform({"x": table})
    assert "work on a copy" in caught.value.__notes__[-1]
    np.testing.assert_array_equal(table, before)


def test_outputs_may_be_written_to(table: np.ndarray) -> None:
    x = Input("x", (4,))
    pipeline = Pipeline(x, [layers.Slice(slice(2))(x, "part"), layers.Lambda(np.transpose)(x, "all")][:1])
    before = table.copy()
    pipeline.transform({"x": table})["part"][:] = 0
    np.testing.assert_array_equal(table, before)


def test_a_frame_is_taken_by_name_and_in_the_order_of_the_fit(table: np.ndarray) -> None:
    frame = pd.DataFrame(table, columns=list("abcd"))
    pipeline = whitening().fit(frame)
    expected = pipeline.transform({"x": table})["white"]
    np.testing.assert_array_equal(pipeline.transform(frame[list("dbca")])["white"], expected)
    with pytest.raises(DataError, match="lacks columns that the fit has seen: 'c'"):
        pipeline.transform(frame.rename(columns={"c": "C"}))


def test_a_column_that_is_misspelt_is_missing() -> None:
    a, b = Input("a"), Input("b")
    pipeline = Pipeline([a, b], layers.Concatenate()([a, b], "both"))
    with pytest.raises(DataError, match=r"input 'a' is missing; .* but got 'b'"):
        pipeline.transform(pd.DataFrame({"b": [1.0], "A": [2.0]}))


def test_labels_go_where_labels_are_needed_whatever_the_order_of_the_inputs() -> None:
    x, y = Input("x"), Input("y")
    from sklearn.linear_model import LinearRegression

    pipeline = Pipeline([y, x], layers.Sklearn(LinearRegression())([x, y], "line"))
    pipeline.fit(np.arange(5.0)[:, None], 3 * np.arange(5.0))
    assert pipeline.predict(np.array([[10.0]])) == pytest.approx(30)
    with pytest.raises(DataError, match="with a dictionary, labels are one of its arrays"):
        pipeline.fit({"x": np.ones(2), "y": np.ones(2)}, np.ones(2))


def test_threads_that_teach_at_once_all_count() -> None:
    class Counting(layers.StatefulLayer):
        def partial_fit(self, x):
            self.metadata["count"] = self.metadata.get("count", 0) + len(x)

        def transform(self, x):
            return x

    x = Input("x")
    pipeline = Pipeline(x, Counting()(x, "out"))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: pipeline.partial_fit({"x": np.ones(10)}), range(100)))
    assert pipeline.layer("out").metadata["count"] == 1000


def test_masked_values_are_missing() -> None:
    masked = np.ma.masked_array([[1.0], [2.0], [1e9]], mask=[[False], [False], [True]])
    x = Input("x", (1,))
    pipeline = Pipeline(x, layers.Whiten()(x, "white")).fit({"x": masked})
    assert pipeline.layer("white").metadata["mean"].tolist() == [1.5]
    with pytest.raises(DataError, match=r"input 'x': .* a masked array of int64"):
        pipeline.transform({"x": np.ma.masked_array([[1], [2]], mask=[[True], [False]])})


def test_a_summary_is_readable_at_a_prompt() -> None:
    assert "white (output)" in repr(whitening().summary()).splitlines()[3]


def test_an_array_is_not_taken_for_several_outputs() -> None:
    class Two(layers.StatelessLayer):
        n_outputs = 2

        def transform(self, x):
            return x

    x = Input("x")
    pipeline = Pipeline(x, Two()(x, ["a", "b"]))
    with pytest.raises(PipelineError, match="transform returned ndarray, expected 2 arrays in a tuple"):
        pipeline.transform({"x": np.ones(2)})


def test_frames_of_a_stream_and_in_a_dictionary_keep_their_columns_in_order(table: np.ndarray) -> None:
    frame = pd.DataFrame(table, columns=list("abcd"))
    turned = frame[list("dcba")]
    expected = whitening().fit({"x": table}).transform({"x": table})["white"]
    streamed = whitening().fit_generator([frame[:30], turned[30:]])
    np.testing.assert_allclose(streamed.transform(turned)["white"], expected)
    np.testing.assert_allclose(whitening().fit({"x": frame}).transform({"x": turned})["white"], expected)
    np.testing.assert_allclose(
        whitening().partial_fit(frame[:30]).partial_fit(turned[30:]).transform(frame)[0], expected
    )


def test_what_was_learned_does_not_lie_in_the_memory_of_the_data(table: np.ndarray) -> None:
    class Keeping(layers.StatefulLayer):
        def fit(self, x):
            self.metadata["first"] = x[0]

        def transform(self, x):
            return x - self.metadata["first"]

    x = Input("x", (4,))
    pipeline = Pipeline(x, Keeping()(x, "out")).fit({"x": table})
    first = table[0].copy()
    table[0] = 0
    np.testing.assert_array_equal(pipeline.layer("out").metadata["first"], first)


def test_a_metric_cannot_change_the_data(table: np.ndarray) -> None:
    x = Input("x", (4,))
    sorting = metrics.Metric(lambda values: values.sort() or 1.0)(x, "sorted")
    with pytest.raises(ValueError, match="read-only"):
        Pipeline(x, layers.Whiten()(x, "white"), sorting).fit({"x": table}).evaluate({"x": table})


def test_a_stream_is_not_stored_twice_under_an_id(table: np.ndarray, tmp_path: Path) -> None:
    pipeline = whitening(storage=tmp_path / "store").fit({"x": table})
    with pytest.raises(DataError, match="each id may come once in a stream, but 0 came in an earlier batch"):
        list(pipeline.transform_generator([{"x": table[:3]}, {"x": table[3:6]}], index=[0, 1, 2, 3, 0, 4]))
