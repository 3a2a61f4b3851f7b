from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from mlpipeline.dataflow import Input, Pipeline, layers
from mlpipeline.dataflow.layertools import vectorize
from mlpipeline.errors import PipelineError
from tests.dataflow.onnx_files import assert_same_outputs, open_session, run, write

X = np.random.default_rng(0).normal(size=(20, 3))


def whitening() -> Pipeline:
    x = Input("x", 3)
    return Pipeline(x, layers.Whiten()(x, "white")).fit({"x": X})


def test_the_file_is_of_a_fixed_opset_and_the_same_each_time(tmp_path: Path) -> None:
    one = write(whitening(), tmp_path / "new" / "one.onnx")
    model = onnx.load(one)
    onnx.checker.check_model(model, full_check=True)
    assert [(each.domain, each.version) for each in model.opset_import] == [("", 18)]
    assert write(whitening(), tmp_path / "other.onnx").read_bytes() == one.read_bytes()
    assert [path.name for path in one.parent.iterdir()] == ["one.onnx"]


def test_all_layers_that_cannot_be_written_are_named_at_once(tmp_path: Path) -> None:
    x, text, when = Input("x", 3), Input("text"), Input("when")
    windows = layers.TimeSeries(2)(layers.Whiten()(x), "windows")
    words = layers.RemoveStopwords("english")(text, "words")
    halves = layers.Lambda(lambda each: each / 2)(windows, "halves")
    doubles = vectorize(lambda each: 2 * each)(x)
    data = {"x": X, "text": np.array(["a word"] * 20), "when": np.array(["2024-01-01"] * 20, "M8[D]")}
    pipeline = Pipeline([x, text, when], [halves, words, layers.AddDim()(when, "late"), layers.Flatten()(doubles, "f")])
    with pytest.raises(PipelineError, match=r"^cannot be written as ONNX: Input 'when'") as caught:
        write(pipeline.fit(data), tmp_path / "a.onnx")
    for named in ["TimeSeries 'windows'", "RemoveStopwords 'words'", "Lambda 'halves'", "Vectorized on node 'x'"]:
        assert named in str(caught.value)
    assert "Whiten" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_class_derived_from_a_layer_is_not_taken_for_it(tmp_path: Path) -> None:
    class Doubled(layers.Whiten):
        def transform(self, x: np.ndarray) -> np.ndarray:
            return 2 * super().transform(x)

    x = Input("x", 3)
    with pytest.raises(PipelineError, match=r"Doubled 'white' \(no operators stand for it"):
        write(Pipeline(x, Doubled()(x, "white")).fit({"x": X}), tmp_path / "a.onnx")


def test_a_pipeline_that_is_not_fitted_is_refused(tmp_path: Path) -> None:
    x = Input("x", 3)
    for node in (layers.Whiten()(x, "y"), layers.Flatten()(x, "y")):
        with pytest.raises(PipelineError, match=r"call pipeline\.fit"):
            write(Pipeline(x, node), tmp_path / "a.onnx")


def test_only_what_the_outputs_need_is_written(tmp_path: Path) -> None:
    from mlpipeline.dataflow import metrics

    x, label = Input("x", 3), Input("label")
    white = layers.Whiten()(x, "white")
    seen = layers.Lambda(lambda each: each)(label)
    pipeline = Pipeline([x, label], white, metrics.Metric(lambda a, b: 0)([seen, white], "m"))
    pipeline.fit({"x": X, "label": X[:, 0]})
    session = open_session(write(pipeline, tmp_path / "a.onnx"))
    assert [each.name for each in session.get_inputs()] == ["x"]


def test_filtered_outputs_have_observations_of_their_own(tmp_path: Path) -> None:
    x, mask = Input("x", 3), Input("mask")
    chosen = layers.Filter()([x, mask], "chosen")
    pipeline = Pipeline([x, mask], [layers.Whiten()(chosen, "white"), layers.AddDim()(x, "all")])
    data = {"x": X, "mask": X[:, 0] > 0}
    assert_same_outputs(pipeline.fit(data), data, tmp_path)
    shapes = [each.shape for each in open_session(tmp_path / "pipeline.onnx").get_outputs()]
    assert shapes == [["n where mask", 3], ["n", 3, 1]]


def test_an_input_may_be_an_output_and_names_may_look_like_those_of_operators(tmp_path: Path) -> None:
    x = Input("white/Sub_1", 3)
    pipeline = Pipeline(x, [x, layers.Whiten()(x, "white"), layers.AddDim()(x, "white/Div_1")]).fit({"white/Sub_1": X})
    assert_same_outputs(pipeline, {"white/Sub_1": X}, tmp_path)


def test_no_observations_give_no_observations(tmp_path: Path) -> None:
    x = Input("x", 3)
    outputs = [layers.Normalize()(x, "parts"), layers.StaticDot(np.ones((3, 2)))(x, "product")]
    session = open_session(write(Pipeline(x, outputs).fit({"x": np.abs(X)}), tmp_path / "a.onnx"))
    assert [each.shape for each in run(session, {"x": X[:0]}).values()] == [(0, 3), (0, 2)]


@pytest.mark.parametrize(
    ("layer", "seen", "bad", "told"),
    [
        (layers.OneHotLabels(strict=True), ["a", "b"], ["a", "c"], "values that were not seen"),
        (layers.OneHotRange(0, 2, strict=True), [0, 2], [1, 3], "values that were not seen"),
        (layers.Normalize(), [[1.0, 2]], [[1.0, -1]], "values sum to 0 and are not all 0"),
        (layers.Cast(int), [1.5], [np.nan], "values that int64 cannot hold"),
        (layers.Cast(np.uint8), [255.9, -0.9], [256.0], "values that uint8 cannot hold"),
        (layers.Cast(np.int64), [-(2.0**63)], [2.0**63], "values that int64 cannot hold"),
        (layers.Cast(np.uint8), [255, 0], [-1], "values that uint8 cannot hold"),
        (layers.RGBtoBinary(), np.ones((1, 2, 2, 3)), np.full((1, 2, 2, 3), 200.0), "expected floats from 0 to 1"),
    ],
)
def test_what_a_layer_refuses_fails_in_onnxruntime(
    layer: layers.Layer, seen: object, bad: object, told: str, tmp_path: Path
) -> None:
    good, wrong = np.asarray(seen), np.asarray(bad)
    x = Input("x", good.shape[1:])
    pipeline = Pipeline(x, layer(x, "y")).fit({"x": good})
    assert_same_outputs(pipeline, {"x": good}, tmp_path)
    with pytest.raises(Exception, match=f"Name:'y: {told}"):
        run(open_session(tmp_path / "pipeline.onnx"), {"x": wrong})


@pytest.mark.parametrize(
    ("layer", "values", "told"),
    [
        (layers.Cast(float), np.array(["1", "2"]), "reads numbers from texts in another way"),
        (layers.Cast(str), np.array([1.5, 2]), "writes float64 as text in another way"),
        (layers.Cast("U2"), np.array(["abc"]), "no texts of a fixed length"),
        (layers.Impute({None: "a"}), np.array(["a", None], object), "texts are never missing"),
        (layers.ImputeMode(), np.array(["a", None, "a"], object), "texts are never missing"),
        (layers.Lambda(np.arctan), np.array([1.0]), "arctan is none of NumPy's functions"),
        (layers.Lambda(np.floor), np.array([1]), "for floats, not for int64"),
        (layers.OneHotLabels(), np.array([1, None], object), "its labels are int64"),
    ],
)
def test_the_reason_is_told(layer: layers.Layer, values: np.ndarray, told: str, tmp_path: Path) -> None:
    x = Input("x")
    with pytest.raises(PipelineError, match=told):
        write(Pipeline(x, layer(x, "y")).fit({"x": values}), tmp_path / "a.onnx")


def test_without_onnx_the_extra_is_named(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['onnx'] = None\n"
        "from mlpipeline.dataflow.onnx_export.builder import Builder\n"
        "from mlpipeline.errors import PipelineError\n"
        "try: Builder([])\n"
        "except PipelineError as error: print(error)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert 'pip install "mlpipeline[onnx]"' in told
