"""Torch modules in saved pipelines."""

import functools

import numpy as np
import pytest
import torch
from torch import nn

from mlpipeline.dataflow import Input, Pipeline, load_pipeline
from mlpipeline.dataflow.layers import Torch
from mlpipeline.errors import PipelineError
from tests.dataflow import saved_files
from tests.dataflow.saved_files import through_a_file

RNG = np.random.default_rng(0)
DATA = {"x": RNG.normal(size=(30, 8)).astype("f4"), "y": RNG.integers(0, 3, 30)}


class Net(nn.Module):
    """A custom module, with its argument kept."""

    def __init__(self, hidden=5):
        super().__init__()
        self.hidden = hidden
        self.body = nn.Sequential(nn.Linear(8, hidden), nn.ReLU(), nn.Linear(hidden, 3))

    def forward(self, x):
        return self.body(x)


class Silent(nn.Module):
    """A custom module that does not keep its argument."""

    def __init__(self, width):
        super().__init__()
        self.head = nn.Linear(width, 3)

    def forward(self, x):
        return self.head(x)


def make_silent():
    return Silent(8)


def plain():
    first = nn.Linear(8, 6, bias=False)
    first.weight.requires_grad_(False)
    return nn.Sequential(first, nn.BatchNorm1d(6), nn.LeakyReLU(0.2), nn.Dropout(0.1), nn.Linear(6, 3)).double().float()


def pipeline_of(module, loss="cross_entropy", **arguments):
    x, y = Input("x", (8,)), Input("y")
    return Pipeline([x, y], Torch(module, loss, **arguments)([x, y], "out"), name="net")


@pytest.mark.parametrize(
    ("module", "trusted"),
    [
        (plain(), []),
        (Net(7), [Net]),
        (make_silent, [make_silent]),
        (Net, [f"{__name__}.Net"]),
        (functools.partial(Net, 4), [Net]),
    ],
)
def test_a_trained_module_gives_the_same(module, trusted, tmp_path):
    pipeline = pipeline_of(module).fit(DATA)
    path = pipeline.save(tmp_path)
    state = torch.get_rng_state()
    loaded = load_pipeline(path, trusted=trusted)
    assert torch.equal(state, torch.get_rng_state())
    features = {"x": DATA["x"]}
    np.testing.assert_array_equal(loaded.transform(features)["out"], pipeline.transform(features)["out"])
    assert loaded.save(tmp_path / "again").read_bytes() == path.read_bytes()
    again = loaded.fit(DATA).transform(DATA)["out"]
    np.testing.assert_array_equal(again, pipeline.fit(DATA).transform(DATA)["out"])


def test_own_classes_and_functions_need_trust(tmp_path):
    with pytest.raises(PipelineError, match=rf"names {__name__}.Net, which"):
        load_pipeline(pipeline_of(Net()).save(tmp_path))
    with pytest.raises(PipelineError, match=rf"names {__name__}.make_silent, which"):
        load_pipeline(pipeline_of(make_silent).save(tmp_path, overwrite=True))


def test_losses_optimizers_and_frozen_weights_survive(tmp_path):
    loss = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 3.0]), label_smoothing=0.1)
    optimizer = functools.partial(torch.optim.SGD, momentum=0.5)
    loaded = load_pipeline(pipeline_of(plain(), loss, optimizer=optimizer).save(tmp_path))
    layer = loaded.graph.applications[0].layer
    assert torch.equal(layer.loss.weight, loss.weight)
    assert layer.loss.label_smoothing == 0.1
    assert layer.optimizer.func is torch.optim.SGD
    assert [each.requires_grad for each in layer.module.parameters()] == [False, True, True, True, True]
    assert loaded.fit(DATA).fitted is not None


MODULES = [
    nn.Conv2d(2, 3, 3, padding="same", bias=False, padding_mode="reflect"),
    nn.ConvTranspose1d(2, 3, 3, stride=2, output_padding=1),
    nn.LayerNorm((3, 4), bias=False),
    nn.GroupNorm(2, 4, affine=False),
    nn.Embedding(5, 2, padding_idx=1, max_norm=1.0),
    nn.LSTM(3, 4, num_layers=2, bidirectional=True, batch_first=True, proj_size=2),
    nn.GRU(3, 4, bias=False, dropout=0.0),
    nn.RNN(3, 4, nonlinearity="relu"),
    nn.MultiheadAttention(4, 2, dropout=0.1, batch_first=True),
    nn.ModuleDict({"a": nn.Linear(2, 2), "b": nn.ModuleList([nn.PReLU(3, 0.1), nn.Softmax(dim=1)])}),
    nn.Sequential(nn.Flatten(2), nn.Unflatten(1, (2, 3)), nn.Upsample(scale_factor=2), nn.MaxPool2d(2, 1)),
    nn.Linear(3, 2, dtype=torch.float64),
    nn.Linear(3, 2, dtype=torch.bfloat16).eval(),
]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: type(module).__name__)
def test_modules_come_back_as_they_are(module, tmp_path):
    back = through_a_file(module, tmp_path / "module.pkl")
    assert repr(back) == repr(module)
    assert getattr(back, "mode", None) == getattr(module, "mode", None)
    assert [each.training for each in back.modules()] == [each.training for each in module.modules()]
    for (name, tensor), (other, came) in zip(module.state_dict().items(), back.state_dict().items(), strict=True):
        assert (name, tensor.dtype) == (other, came.dtype)
        assert torch.equal(tensor, came)


@pytest.mark.parametrize(
    "value", [torch.arange(3), torch.float16, torch.device("cpu"), torch.ones(2, dtype=torch.bfloat16)]
)
def test_values_of_torch_come_back(value, tmp_path):
    back = through_a_file({"value": value}, tmp_path / "value.pkl")["value"]
    assert torch.equal(back, value) if isinstance(value, torch.Tensor) else back == value


def tied(width):
    module = nn.Sequential(nn.Linear(width, width), nn.Linear(width, width))
    module[1].weight = module[0].weight
    return module


def changed():
    module = Net(5)
    module.body[0] = nn.Linear(8, 5, bias=False)
    return module


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (Silent(1), "Silent keeps no self.width.*a function or class at module level"),
        (changed(), "Net cannot be made again from its attributes"),
        (tied(8), "share their memory"),
        (nn.TransformerEncoderLayer(8, 2), "keeps no self.d_model"),
        (nn.Transformer(8, 2, 1, 1, activation="gelu", batch_first=True), "keeps no self.num_encoder_layers"),
        (nn.utils.parametrizations.weight_norm(nn.Linear(8, 3)), "the value"),
    ],
)
def test_a_module_that_would_not_come_back_is_refused(module, message, tmp_path):
    with pytest.raises(PipelineError, match=message):
        through_a_file(module, tmp_path / "module.pkl")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda told, parts: told["made"].update({"class": "os:system"}), r"names os.system, which is not part"),
        (lambda told, parts: told["made"]["children"][0][1].update({"class": "torch:load"}), "names torch.load"),
        (lambda told, parts: told["made"]["children"][0][1].update({"class": "torch.optim:Adam"}), "no torch module"),
        (lambda told, parts: told["made"]["children"][0][1]["arguments"].update(in_features=10**15), "should be there"),
        (lambda told, parts: told["made"]["children"].append(["x", told["made"]["children"][0][1]]), "should be there"),
        (lambda told, parts: parts.update({told["entry"]: b"\xff" * 8 + b"{}"}), "damaged|does not fit"),
        (lambda told, parts: told.pop("entry"), "damaged"),
        (
            lambda told, parts: told["made"].update(
                {"class": "torch.nn:MultiheadAttention", "arguments": {"embed_dim": 4, "num_heads": 0}}
            ),
            "damaged",
        ),
        (lambda told, parts: told["made"].update({"class": "torch.nn:Linear", "arguments": {"x": 1}}), "damaged"),
        (lambda told, parts: told.update(maker={"is": "name", "name": "numpy:mean"}, made=None), "damaged|cannot"),
    ],
)
def test_a_hostile_module_is_refused(change, message, tmp_path):
    path = pipeline_of(plain()).save(tmp_path)
    saved_files.changed(path, lambda document, parts: change(document["layers"][0]["arguments"]["module"], parts))
    with pytest.raises(PipelineError, match=message):
        load_pipeline(path)
