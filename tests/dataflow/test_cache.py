from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from mlpipeline.dataflow import Input, Pipeline, layers
from mlpipeline.errors import DataError, PipelineError

logger = logging.getLogger("computed")


def doubled(x, times=1):
    logger.info("doubled")
    return x * 2 * times


@pytest.fixture
def computed(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "computed")
    return caplog


@pytest.fixture(params=["folder", "sqlite"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "store") if request.param == "folder" else f"sqlite:///{tmp_path / 'store.db'}"


def pipeline_at(where: object, function: object = doubled, **kwargs: object) -> Pipeline:
    x = Input("x", (2,))
    out = layers.Lambda(function, **kwargs)(layers.Whiten()(x, "white"), "out")
    return Pipeline(x, out, name="double", version=1, storage=where)


DATA = {"x": np.random.default_rng(0).normal(size=(10, 2))}


def test_the_same_data_are_computed_once(where: str, computed: pytest.LogCaptureFixture) -> None:
    pipeline = pipeline_at(where).fit(DATA)
    computed.clear()
    first = pipeline.transform(DATA)["out"]
    second = pipeline.transform({"x": DATA["x"].copy()})["out"]
    assert computed.messages == ["doubled"]
    np.testing.assert_array_equal(first, second)


def test_another_pipeline_of_the_same_content_finds_it(where: str, computed: pytest.LogCaptureFixture) -> None:
    pipeline_at(where).fit(DATA).transform(DATA)
    again = pipeline_at(where).fit(DATA)
    computed.clear()
    again.transform(DATA)
    assert not computed.messages


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda where: pipeline_at(where, times=3).fit(DATA), "its parameters are others"),
        (lambda where: pipeline_at(where, lambda x: x * 5).fit(DATA), "its parameters are others"),
        (lambda where: pipeline_at(where).fit({"x": DATA["x"] * 2}), "white is computed: it was fitted anew"),
    ],
)
def test_what_is_different_is_computed_and_explained(where: str, change: object, reason: str) -> None:
    pipeline_at(where).fit(DATA).transform(DATA)
    changed = change(where)
    explanation = changed.explain_cache(DATA)
    assert not explanation.is_stored
    assert reason in str(explanation)
    stored = changed.transform(DATA)["out"]
    np.testing.assert_array_equal(stored, changed.storage.read()["out"])
    assert changed.explain_cache(DATA).is_stored


def test_other_data_are_explained(where: str) -> None:
    pipeline = pipeline_at(where).fit(DATA)
    assert "nothing is stored yet" in str(pipeline.explain_cache(DATA))
    pipeline.transform(DATA)
    assert str(pipeline.explain_cache(DATA)) == "all outputs are read from the storage; nothing is computed"
    assert "white is computed: the data of input 'x' are new" in str(pipeline.explain_cache({"x": DATA["x"] + 1}))
    assert "the ids are others" in str(pipeline.explain_cache(DATA, index=list("abcdefghij")))


def test_a_change_in_the_code_of_a_layer_misses(where: str) -> None:
    class Plus(layers.StatelessLayer):
        def transform(self, x):
            return x + 1

    one = Plus

    class Plus(layers.StatelessLayer):
        def transform(self, x):
            return x + 2

    x = Input("x", (2,))
    Pipeline(x, one()(x, "out"), name="plus", storage=where).transform(DATA)
    changed = Pipeline(x, Plus()(x, "out"), name="plus", storage=where)
    assert "out is computed: its code is another" in str(changed.explain_cache(DATA))
    np.testing.assert_array_equal(changed.transform(DATA)["out"], DATA["x"] + 2)


def test_what_was_replaced_is_not_taken_for_what_is_stored(where: str) -> None:
    pipeline = pipeline_at(where).fit(DATA)
    first = pipeline.transform(DATA)["out"].copy()
    other = pipeline.transform({"x": DATA["x"] * 3})["out"].copy()
    pipeline.explain_cache(DATA)
    np.testing.assert_array_equal(pipeline.storage.read()["out"], other)
    np.testing.assert_array_equal(pipeline.transform(DATA)["out"], first)
    np.testing.assert_array_equal(pipeline.storage.read(rows=[3])["out"], first[3:4])


def test_only_what_passes_a_filter_is_stored_under_its_id(where: str, computed: pytest.LogCaptureFixture) -> None:
    x, mask = Input("x"), Input("mask")
    kept = layers.Filter()([layers.Lambda(doubled)(layers.ScalarMultiply(5)(x)), mask], "kept")
    pipeline = Pipeline([x, mask], kept, name="filtered", storage=where)
    data = {"x": np.arange(5), "mask": np.array([False, True, True, False, True])}
    for _ in range(2):
        assert pipeline.transform(data, index=list("abcde"))["kept"].tolist() == [10, 20, 40]
    assert computed.messages == ["doubled"]
    assert pipeline.storage.read(rows=["e", "b"])["kept"].tolist() == [40, 10]


def test_outputs_over_other_observations_are_not_stored_together(tmp_path: Path) -> None:
    x, mask = Input("x"), Input("mask")
    outputs = [layers.ScalarMultiply(1)(x, "all"), layers.Filter()([x, mask], "some")]
    with pytest.raises(PipelineError, match="expected outputs over the same observations"):
        Pipeline([x, mask], outputs, storage=tmp_path)


def test_a_stream_is_stored_under_running_ids(where: str) -> None:
    pipeline = pipeline_at(where).fit(DATA)
    batches = [{"x": DATA["x"][i : i + 4]} for i in range(0, 10, 4)]
    streamed = np.concatenate([each["out"] for each in pipeline.transform_generator(batches)])
    np.testing.assert_array_equal(pipeline.storage.read(rows=[9, 0])["out"], streamed[[9, 0]])


def test_a_pipeline_without_a_storage_says_how_to_get_one() -> None:
    with pytest.raises(PipelineError, match="has no storage; give one"):
        _ = pipeline_at(None).storage


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ([1, 2], "expected 10 ids, one for each observation, but got 2"),
        (np.arange(10.0), "index: expected integers of 64 bits or strings, but got float64"),
        (["a\0", *"bcdefghij"], "NUL"),
    ],
)
def test_ids_that_are_none_are_refused(where: str, index: object, message: str) -> None:
    with pytest.raises(DataError, match=message):
        pipeline_at(where).fit(DATA).transform(DATA, index=index)
