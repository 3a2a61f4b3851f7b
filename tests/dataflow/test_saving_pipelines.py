"""Pipelines saved and loaded: the graph, the fit, the file."""

import inspect
import os
import pkgutil
import subprocess
import sys
import zipfile
from importlib import import_module

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score

import mlpipeline.dataflow
from mlpipeline.dataflow import Input, Pipeline, load_pipeline
from mlpipeline.dataflow.explorers import Describe, Explorer
from mlpipeline.dataflow.layer import Lambda, Layer, StatefulLayer, StatelessLayer
from mlpipeline.dataflow.layers import (
    AddDim,
    Cast,
    Concatenate,
    Filter,
    Impute,
    ImputeMean,
    Normalize,
    OneHotLabels,
    OneHotRange,
    ScalarMultiply,
    Sklearn,
    Slice,
    SplitDict,
    StaticDot,
    Whiten,
)
from mlpipeline.dataflow.layertools import maybe, vectorize
from mlpipeline.dataflow.metrics import Accuracy, Metric
from mlpipeline.dataflow.observer import Observer
from mlpipeline.dataflow.saving.allowed import LAYERS
from mlpipeline.dataflow.saving.pipelines import file_name
from mlpipeline.errors import PipelineError

HERE = __name__


class Scaled(StatefulLayer):
    """A custom layer."""

    def __init__(self, power=1.0, *names, **options):
        self.power = power
        self.names = names
        self.options = options

    def fit(self, x):
        self.metadata["largest"] = np.abs(x).max(axis=0)

    def transform(self, x):
        return (x / self.metadata["largest"]) ** self.power


class Forgetful(StatelessLayer):
    def __init__(self, factor):
        self.times = factor

    def transform(self, x):
        return x * self.times


class Halves(StatelessLayer):
    n_outputs = 2

    def __init__(self):
        pass

    def transform(self, x):
        return x[:, :1], x[:, 1:]


def squared(x, offset=0.0):
    return x * x + offset


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    return {
        "x": rng.normal(3, 2, (60, 4)),
        "kind": np.array(["a", "b", "c"])[rng.integers(0, 3, 60)],
        "y": rng.integers(0, 2, 60),
    }


def small_pipeline(**arguments):
    x, kind, y = Input("x", (4,)), Input("kind"), Input("y")
    columns = Concatenate()([ScalarMultiply(2.0)(Whiten()(x)), OneHotLabels()(kind)], "columns")
    risk = Sklearn(LogisticRegression())([columns, y], "risk")
    accuracy = Accuracy()([y, risk], "accuracy")
    return Pipeline([x, kind, y], [risk, columns], metrics=accuracy, **{"name": "small", **arguments})


@pytest.fixture
def fitted(data):
    return small_pipeline(version="1.2").fit(data)


def assert_same_outputs(one, other, data):
    expected, came = one.transform(data), other.transform(data)
    assert list(expected) == list(came)
    for name in expected:
        assert expected[name].dtype == came[name].dtype
        np.testing.assert_array_equal(expected[name], came[name])


def test_a_loaded_pipeline_gives_the_same_bit_for_bit(fitted, data, tmp_path):
    path = fitted.save(tmp_path)
    loaded = load_pipeline(path)
    assert path.name == "small-1.2.pkl"
    assert_same_outputs(fitted, loaded, data)
    assert loaded.evaluate(data) == fitted.evaluate(data)
    assert (loaded.name, loaded.version) == ("small", "1.2")
    assert loaded.fitted.specs.keys() == set(loaded.graph.nodes) - set(loaded.graph.metrics)


def test_a_loaded_pipeline_can_be_fitted_again(fitted, data, tmp_path):
    other = {name: values[::-1][:40] for name, values in data.items()}
    loaded = load_pipeline(fitted.save(tmp_path)).fit(other)
    assert_same_outputs(small_pipeline().fit(other), loaded, data)


def test_a_pipeline_that_was_never_fitted_is_saved_too(data, tmp_path):
    loaded = load_pipeline(small_pipeline().save(tmp_path))
    assert loaded.fitted is None
    assert_same_outputs(small_pipeline().fit(data), loaded.fit(data), data)


def test_the_same_pipeline_is_the_same_bytes(fitted, tmp_path):
    path = fitted.save(tmp_path / "one")
    assert load_pipeline(path).save(tmp_path / "two").read_bytes() == path.read_bytes()


SCRIPT = """
import sys
import numpy as np
from mlpipeline.dataflow import Input, Pipeline, layers
x = Input("x", 2)
words = {f"word{i}" for i in range(20)}  # in another order in each process
white = layers.Whiten()(x, "white")
pipeline = Pipeline(x, white, name="hashed").fit({"x": np.arange(6.0).reshape(3, 2)})
pipeline.layer("white").metadata["words"] = words
print(pipeline.save(sys.argv[1]).read_bytes().hex())
"""


def test_every_process_writes_the_same_bytes(tmp_path):
    def saved(seed):
        command = [sys.executable, "-c", SCRIPT, str(tmp_path / seed)]
        return subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": seed}, check=True, capture_output=True)

    assert saved("1").stdout == saved("2").stdout


def test_the_file_is_a_zip_archive_that_says_so(fitted, tmp_path):
    with zipfile.ZipFile(fitted.save(tmp_path)) as archive:
        assert b"holds no pickle" in archive.read("README.txt")
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_saving_again_is_fine_and_saving_another_content_is_refused(fitted, data, tmp_path):
    path = fitted.save(tmp_path)
    before = path.read_bytes()
    assert fitted.save(tmp_path) == path
    fitted.fit({name: values[:30] for name, values in data.items()})
    with pytest.raises(PipelineError, match="another version, or save it with overwrite=True"):
        fitted.save(tmp_path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [path.name]
    fitted.save(tmp_path, overwrite=True)
    assert_same_outputs(fitted, load_pipeline(path), data)


def test_the_file_of_another_pipeline_is_never_replaced(tmp_path):
    small_pipeline(name="a-b", version="1").save(tmp_path)
    with pytest.raises(PipelineError, match="holds another pipeline, 'a-b' version '1'"):
        small_pipeline(name="a", version="b-1").save(tmp_path, overwrite=True)


@pytest.mark.parametrize(
    "name", ["../up", "a/b", "a\\b", ".hidden", "nul\0", "a:b*c?", "100%", "ünï 數", "con.", "a\nb"]
)
def test_any_name_stays_in_its_directory(name, tmp_path):
    path = small_pipeline(name=name, version="v/1").save(tmp_path / "here")
    assert path.parent == tmp_path / "here"
    assert not path.name.startswith((".", " "))
    assert os.listdir(tmp_path) == ["here"]
    assert load_pipeline(path).name == name


@example("a/b", "a%2Fb")
@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20))
def test_different_names_are_different_files(one, other):
    assert (file_name(one, None) == file_name(other, None)) == (one == other)


def test_a_name_that_is_too_long_is_refused(tmp_path):
    with pytest.raises(PipelineError, match="too long for a file"):
        small_pipeline(name="x" * 300).save(tmp_path)


def test_every_kind_of_graph_survives(data, tmp_path):
    del data["kind"]
    x, y = Input("x", (None,)), Input("y", dtype="i8")
    white = Whiten()
    first, rest = Halves()(x, ["first", "rest"])
    twice = white(white(rest), "twice")
    kept = Filter()([ScalarMultiply(3)(first), Lambda(np.equal)([y, y])], "kept")
    outputs = [twice, kept, Slice(slice(0, 2))(x, "sliced"), Cast("float32")(first, "cast")]
    looks = [Describe()(twice, "table")]
    scores = [Metric(f1_score, average="macro")([y, y], "f1")]
    pipeline = Pipeline([x, y], outputs, scores, looks, name="graph", version=3)
    loaded = load_pipeline(pipeline.fit(data).save(tmp_path), trusted=[Halves])
    assert_same_outputs(pipeline, loaded, data)
    assert [loaded.graph.labels[node] for node in loaded.graph.nodes] == list(pipeline.graph.labels.values())
    assert loaded.evaluate(data) == {"f1": 1.0}
    assert loaded.version == 3
    applied = [each.layer for each in loaded.graph.applications if isinstance(each.layer, Whiten)]
    assert len(applied) == 2
    assert applied[0] is applied[1]
    assert loaded.graph.inputs[1].spec == y.spec


def test_parameters_of_every_kind_survive(data, tmp_path):
    del data["kind"]
    x, y = Input("x", (4,)), Input("y")
    outputs = [
        Impute({np.nan: 0, 3: None})(Cast("O")(x), "imputed"),
        Lambda(squared, offset=np.float32(2))(x, "squared"),
        maybe(StaticDot(np.eye(4) * 2), 0.5, seed=7)(x, "maybe"),
        vectorize(np.sum, axis=0)(x, "sums"),
        OneHotRange(0, 1, strict=True)(y, "range"),
        StaticDot(np.eye(4)[:, :2])(x, "dot"),
        ImputeMean()(x, "mean"),
        AddDim()(Normalize()(x), "normal"),
    ]
    pipeline = Pipeline([x, y], outputs, name="parameters").fit(data)
    loaded = load_pipeline(pipeline.save(tmp_path), trusted=[f"{HERE}.squared"])
    for name, array in pipeline.transform(data).items():
        np.testing.assert_array_equal(array, loaded.transform(data)[name], strict=True)


def test_a_custom_layer_is_found_by_its_import_path(data, tmp_path):
    x = Input("x", (4,))
    pipeline = Pipeline(x, Scaled(2.0, "a", "b", strict=True)(x, "scaled"), name="custom").fit({"x": data["x"]})
    path = pipeline.save(tmp_path)
    for trusted in ([f"{HERE}.Scaled"], [HERE], [Scaled], HERE):
        loaded = load_pipeline(path, trusted=trusted)
        assert_same_outputs(pipeline, loaded, {"x": data["x"]})
        assert loaded.layer("scaled").names == ("a", "b")
        assert loaded.layer("scaled").options == {"strict": True}


def test_a_layer_of_the_running_script_is_found_in_it(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "from mlpipeline.dataflow import Input, Pipeline, load_pipeline\n"
        "from mlpipeline.dataflow.layer import StatelessLayer\n"
        "class Mine(StatelessLayer):\n"
        "    def transform(self, x):\n        return x + 1\n"
        "x = Input('x')\n"
        "path = Pipeline(x, Mine()(x, 'y'), name='mine').save('.')\n"
        "print(load_pipeline(path, trusted=['__main__.Mine']).transform({'x': [1]})['y'])\n"
    )
    done = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "[2]\n"


def test_a_class_that_is_gone_is_named(data, tmp_path, monkeypatch):
    x = Input("x", (4,))
    path = Pipeline(x, Scaled()(x, "scaled"), name="custom").save(tmp_path)
    monkeypatch.delattr(sys.modules[HERE], "Scaled")
    with pytest.raises(PipelineError, match=rf"needs {HERE}.Scaled, which is not there any more"):
        load_pipeline(path, trusted=[f"{HERE}.Scaled"])


def with_attribute(layer):
    layer.extra = 3
    return layer


class Local:
    class Inner(StatelessLayer):
        def transform(self, x):
            return x


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (Forgetful(2), r"node 'out' \(Forgetful\): Forgetful keeps no self.factor.*write self.factor = factor"),
        (Lambda(lambda x: x), r"node 'out' \(Lambda\), parameter function: a lambda cannot be found again"),
        (with_attribute(Whiten()), "self.extra is not what Whiten makes of its arguments"),
        (Lambda(squared, offset=object()), "parameter offset: cannot save a builtins.object"),
        (type("Local", (StatelessLayer,), {"transform": lambda self, x: x})(), "cannot be found again under this name"),
    ],
)
def test_what_would_not_come_back_is_refused_when_saving(layer, message, tmp_path):
    x = Input("x", (4,))
    with pytest.raises(PipelineError, match=message):
        Pipeline(x, layer(x, "out"), name="refused").save(tmp_path)
    assert os.listdir(tmp_path) == []


def test_metadata_that_cannot_be_saved_is_named(data, tmp_path):
    class Odd(Scaled):
        pass

    x = Input("x", (4,))
    pipeline = Pipeline(x, Whiten()(x, "white"), name="odd").fit({"x": data["x"]})
    pipeline.layer("white").metadata["thing"] = [1, {"a": object()}]
    with pytest.raises(PipelineError, match=r"node 'white' \(Whiten\), metadata\['thing'\]\[1\]\['a'\]: cannot save"):
        pipeline.save(tmp_path)


def test_a_nested_class_is_found_again(data, tmp_path):
    x = Input("x", (4,))
    path = Pipeline(x, Local.Inner()(x, "same"), name="nested").save(tmp_path)
    assert type(load_pipeline(path, trusted=[f"{HERE}.Local.Inner"]).layer("same")) is Local.Inner


def test_a_storage_is_connected(fitted, data, tmp_path):
    loaded = load_pipeline(fitted.save(tmp_path), storage_db=tmp_path / "store")
    loaded.transform(data)
    assert loaded.storage.read(rows=[3])["risk"].tolist() == fitted.transform(data)["risk"][3:4].tolist()


def test_columns_and_containers_survive(data, tmp_path):
    pd = pytest.importorskip("pandas")
    x = Input("x", (4,))
    frame = pd.DataFrame(data["x"], columns=list("abcd"))
    pipeline = Pipeline(x, Whiten()(x, "white"), name="frame").set_output(transform="pandas").fit(frame)
    loaded = load_pipeline(pipeline.save(tmp_path))
    pd.testing.assert_frame_equal(loaded.transform(frame), pipeline.transform(frame))
    assert list(loaded.get_feature_names_out()) == list(pipeline.get_feature_names_out())


def test_the_container_of_a_layer_survives(tmp_path):
    layer = Whiten().set_output(transform="pandas").fit(np.arange(6.0).reshape(3, 2))
    x = Input("x", (2,))
    loaded = load_pipeline(Pipeline(x, layer(x, "white"), name="frame").save(tmp_path)).graph.applications[0].layer
    expected = layer.transform(np.eye(2))
    assert loaded.transform(np.eye(2)).equals(expected)


def test_every_layer_of_mlpipeline_is_allowed():
    package = mlpipeline.dataflow
    modules = [each.name for each in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
    abstract = {Layer, StatelessLayer, StatefulLayer, Observer, Explorer}
    found = {}
    for name in modules:
        for each in vars(import_module(name)).values():
            is_layer = inspect.isclass(each) and issubclass(each, Layer) and each not in abstract
            if is_layer and each.__module__ == name and not each.__name__.startswith("_"):
                found[each.__name__] = name.removeprefix(f"{package.__name__}.")
    assert found == LAYERS


LAYER_MAKERS = [
    Whiten,
    Normalize,
    lambda: ScalarMultiply(-1.5),
    lambda: Lambda(np.tanh),
    ImputeMean,
    lambda: Cast("float32"),
    lambda: Slice(slice(None, None, -1)),
]


@settings(max_examples=25, deadline=None)
@given(st.data(), st.lists(st.sampled_from(LAYER_MAKERS), min_size=1, max_size=5))
def test_small_pipelines_transform_the_same_after_loading(tmp_path_factory, draw, makers):
    nodes = [Input("x", (3,))]
    for number, make in enumerate(makers):
        nodes.append(make()(draw.draw(st.sampled_from(nodes)), f"n{number}"))
    nodes.append(Concatenate()(nodes[1:], "all") if len(nodes) > 2 else Whiten()(nodes[-1], "all"))
    data = {"x": np.random.default_rng(len(nodes)).normal(size=(8, 3))}
    pipeline = Pipeline(nodes[0], nodes[1:], name="drawn").fit(data)
    path = pipeline.save(tmp_path_factory.getbasetemp(), overwrite=True)
    assert_same_outputs(pipeline, load_pipeline(path), data)


def test_split_dictionaries_survive(tmp_path):
    rows = Input("rows")
    pipeline = Pipeline(rows, SplitDict(["a", "b"])(rows, ["a", "b"]), name="split")
    data = {"rows": np.array([{"a": 1, "b": 2.5}, {"a": 3, "b": 4.5}])}
    assert_same_outputs(pipeline, load_pipeline(pipeline.save(tmp_path)), data)
