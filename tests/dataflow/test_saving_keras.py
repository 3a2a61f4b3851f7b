"""Keras models in saved pipelines."""

import json
import os
import shutil

import numpy as np
import pytest

from mlpipeline.dataflow import Input, Pipeline, load_pipeline
from mlpipeline.dataflow.layers import Keras
from mlpipeline.dataflow.saving.keras_models import _is_allowed
from mlpipeline.errors import PipelineError
from tests.dataflow.saved_files import changed

os.environ.setdefault("KERAS_BACKEND", "torch")
keras = pytest.importorskip("keras")
layers = keras.layers

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras on new torch
RNG = np.random.default_rng(0)
DATA = {"x": RNG.normal(size=(40, 6, 6, 1)).astype("f4"), "y": np.eye(2, dtype="f4")[RNG.integers(0, 2, 40)]}


class Doubled(layers.Layer):
    def call(self, x):
        return x * 2


@keras.saving.register_keras_serializable("mine")
def own_loss(truth, prediction):
    return keras.ops.mean((truth - prediction) ** 2)


def model_of(*middle, **compiled):
    steps = [keras.Input((6, 6, 1)), *middle, layers.Flatten(), layers.Dense(2, activation="softmax")]
    model = keras.Sequential(steps)
    model.compile(**{"optimizer": "adam", "loss": "categorical_crossentropy", **compiled})
    return model


def functional_model():
    x = keras.Input((6, 6, 1))
    y = layers.BatchNormalization()(layers.Conv2D(3, 3, activation="relu", kernel_regularizer="l2")(x))
    y = layers.Dropout(0.2)(keras.ops.tanh(y) + y)
    y = layers.Dense(2, activation=keras.activations.softmax)(layers.Flatten()(y))
    model = keras.Model(x, y)
    schedule = keras.optimizers.schedules.ExponentialDecay(0.01, 10, 0.9)
    model.compile(
        keras.optimizers.SGD(schedule, momentum=0.9), keras.losses.CategoricalCrossentropy(label_smoothing=0.1)
    )
    return model


def pipeline_of(model, name="net"):
    x, y = Input("x", (6, 6, 1)), Input("y", (2,))
    return Pipeline([x, y], Keras(model)([x, y], "out"), name=name)


@pytest.mark.parametrize("make", [functional_model, lambda: model_of(layers.Conv2D(2, 3), metrics=["accuracy"])])
def test_a_trained_model_predicts_the_same_and_trains_on_the_same(make, tmp_path):
    pipeline = pipeline_of(make()).fit(DATA)
    path = pipeline.save(tmp_path)
    loaded = load_pipeline(path)
    features = {"x": DATA["x"]}
    np.testing.assert_array_equal(loaded.transform(features)["out"], pipeline.transform(features)["out"])
    one, other = loaded.layer("out").metadata["model"], pipeline.layer("out").metadata["model"]
    for name in ("variables", "optimizer"):
        mine, theirs = (getattr(each, name) for each in (one, other))
        for a, b in zip(getattr(mine, "variables", mine), getattr(theirs, "variables", theirs), strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())
    assert load_pipeline(path).save(tmp_path / "again").read_bytes() == path.read_bytes()
    loaded.partial_fit(DATA)


def test_own_classes_and_functions_need_trust(tmp_path):
    path = pipeline_of(model_of(Doubled(), loss=own_loss)).fit(DATA).save(tmp_path)
    names = [f"{__name__}.Doubled", f"{__name__}.own_loss"]
    with pytest.raises(PipelineError) as caught:
        load_pipeline(path)
    assert str(caught.value).endswith(f"trusted={names!r})")
    for trusted in (names, [Doubled, own_loss], [__name__]):
        model = load_pipeline(path, trusted=trusted).layer("out").metadata["model"]
        assert isinstance(model.layers[0], Doubled)
        assert model.loss is own_loss


def test_a_lambda_in_a_model_is_refused_when_saving(tmp_path):
    pipeline = pipeline_of(model_of(layers.Lambda(lambda x: x)))
    with pytest.raises(PipelineError, match=r"node 'out' \(Keras\), parameter model: .*holds a lambda"):
        pipeline.save(tmp_path)


def test_a_local_class_in_a_model_is_refused_when_saving(tmp_path):
    class Local(layers.Layer):
        def call(self, x):
            return x

    with pytest.raises(PipelineError, match=r"parameter model: Local of the Keras model cannot be found again"):
        pipeline_of(model_of(Local())).save(tmp_path)


@keras.saving.register_keras_serializable("mine")
class Registered(layers.Dense):
    @classmethod
    def from_config(cls, config):
        pytest.fail("it ran")


def test_what_the_program_has_registered_cannot_be_called_by_a_second_name(saved, tmp_path):
    path = hostile(saved, tmp_path / "x.pkl", lambda config: layer_of(config).update(registered_name="mine>Registered"))
    with pytest.raises(PipelineError, match="is called 'mine>Registered' too"):
        load_pipeline(path)


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    return pipeline_of(model_of(layers.Conv2D(2, 3))).save(tmp_path_factory.mktemp("keras"))


def hostile(saved, to, change):
    """Copy a file with a change of the configuration of its model."""

    def change_config(_, parts):
        config = json.loads(parts["models/0.json"])
        change(config)
        parts["models/0.json"] = json.dumps(config).encode()

    shutil.copy(saved, to)
    return changed(to, change_config)


def layer_of(config):
    return config["config"]["layers"][1]


HOSTILE = [
    {"module": "os", "class_name": "system"},
    {"module": "builtins", "class_name": "eval"},
    {"module": "keras.layers", "class_name": "Lambda"},
    {"module": "keras.layers", "class_name": "TorchModuleWrapper"},
    {"module": "keras.layers", "class_name": "TFSMLayer"},
    {"module": "keras.layers", "class_name": "StringLookup"},
    {"module": "keras.src.utils.file_utils", "class_name": "get_file"},
    {"module": "keras.utils", "class_name": "function", "config": "get_file"},
    {"module": "keras.src.models.functional", "class_name": "os"},
    {"module": "keras.saving", "class_name": "function", "config": "load_model"},
    {"module": "keras.src.ops.numpy", "class_name": "os"},
    {"module": "subprocess", "class_name": "function", "config": "run"},
    {"module": None, "class_name": "Thing"},
    {"class_name": "Dense", "module": "evil"},
]


@pytest.mark.parametrize("names", HOSTILE)
def test_a_hostile_configuration_is_refused(names, saved, tmp_path):
    path = hostile(saved, tmp_path / "hostile.pkl", lambda config: layer_of(config).update(names))
    with pytest.raises(PipelineError, match=r"this file names .* not part of mlpipeline|damaged"):
        load_pipeline(path)


@pytest.mark.parametrize(
    "change",
    [
        lambda config: layer_of(config).update(class_name="__lambda__", config={"value": "AAAA"}),
        lambda config: layer_of(config).update(class_name="__typespec__"),
        lambda config: layer_of(config).update(registered_name="mine>Thing"),
        lambda config: config.update(class_name="Dense", module="keras.layers", config={"units": 3}),
        lambda config: config.pop("config"),
        lambda config: config.update(
            compile_config={"optimizer": {"class_name": "eval", "config": {}, "module": "os"}}
        ),
        lambda config: layer_of(config)["config"].update(filters=7),
        lambda config: layer_of(config)["config"].update(activation="system"),
        lambda config: layer_of(config)["config"].update(
            kernel_initializer={"module": "os", "class_name": "function", "config": "system"}
        ),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(change, saved, tmp_path):
    path = hostile(saved, tmp_path / "hostile.pkl", change)
    with pytest.raises(PipelineError):
        load_pipeline(path)


def test_what_computes_is_allowed_and_what_looks_things_up_is_not():
    allowed = ["keras.layers:Conv2D", "keras.losses:mean_squared_error", "keras.optimizers:Adam", "keras.metrics:AUC"]
    assert all(map(_is_allowed, allowed))
    refused = [
        "keras.losses:get",
        "keras.losses:deserialize",
        "keras.metrics:MeanMetricWrapper.x",
        "keras.layers:Lambda",
    ]
    assert not any(map(_is_allowed, [*refused, "keras.layers:_x", "keras:utils", "keras.src.ops.numpy:np"]))
