import functools
import os
import subprocess
import sys
import threading
import types
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.compose import make_column_transformer
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, MinMaxScaler
from torch import nn
from torchvision.transforms import v2

from mlpipeline.dataflow import Input, Pipeline, layers
from mlpipeline.ensemble.fingerprint import fingerprint

os.environ.setdefault("KERAS_BACKEND", "torch")
import keras

SOURCE = """
WIDTH = 8

def doubled(width):
    return width * 2

class Net:
    depth = 3
    def forward(self, x):
        return x + self.depth

def build(params, scale=1):
    return [Net() for _ in range(doubled(WIDTH))], {"a", "b", "c", "d"}

def unrelated():
    return 1
"""


def build_of(source):
    """Return the function `build` of a user's module with this source."""
    module = ModuleType("own_script")
    exec(source, module.__dict__)
    return module.build


@pytest.mark.parametrize(
    ("old", "new"),
    [("WIDTH = 8", "WIDTH = 9"), ("width * 2", "width * 3"), ("depth = 3", "depth = 4"), ("x + self", "x - self"),
     ("scale=1", "scale=2"), ("doubled(WIDTH)", "doubled(1)")],
)  # fmt: skip
def test_a_change_of_the_code_behind_a_function_changes_its_fingerprint(old, new):
    assert fingerprint(build_of(SOURCE)) != fingerprint(build_of(SOURCE.replace(old, new)))


@pytest.mark.parametrize(
    ("old", "new"),
    [("WIDTH = 8", "# a comment\n\nWIDTH = 8"), ("return 1", "return 2"), ("WIDTH = 8", "WIDTH = 4 * 2")],
)
def test_what_has_no_bearing_on_a_function_does_not_change_its_fingerprint(old, new):
    assert fingerprint(build_of(SOURCE)) == fingerprint(build_of(SOURCE.replace(old, new)))


def test_the_fingerprint_is_the_same_in_another_process():
    code = (
        "import sys, types; from mlpipeline.ensemble.fingerprint import fingerprint\n"
        "module = types.ModuleType('own_script'); exec(sys.argv[1], module.__dict__)\n"
        "module.build([]); print(fingerprint([module.build, {'rate': 0.1}, {'x', 'y', 'z'}]))"
    )
    done = subprocess.run([sys.executable, "-c", code, SOURCE], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == fingerprint([build_of(SOURCE), {"rate": 0.1}, {"x", "y", "z"}])


def nested(depth, leaf):
    return SimpleNamespace(inner=nested(depth - 1, leaf)) if depth else leaf


def pipeline(components):
    measures = Input("measures", (4,))
    main = layers.Sklearn(PCA(components))(layers.Whiten()(measures), "main")
    return Pipeline(measures, main, name="prepared")


def deep(low):
    steps = make_pipeline(make_column_transformer((make_pipeline(MinMaxScaler((low, 1))), [0])))
    return make_pipeline(make_pipeline(steps))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (lambda: deep(0), lambda: deep(-1)),
        (lambda: FunctionTransformer(np.log1p), lambda: FunctionTransformer(np.exp)),
        (lambda: FunctionTransformer(lambda x: x), lambda: FunctionTransformer(lambda x: x + 1)),
        (lambda: functools.partial(deep, 1), lambda: functools.partial(deep, 2)),
        (lambda: nested(9, 1), lambda: nested(9, 2)),
        (lambda: pipeline(2), lambda: pipeline(3)),
        (lambda: torch.float32, lambda: torch.float64),
        (lambda: nn.Dropout(0.1), lambda: nn.Dropout(0.2)),
        (lambda: v2.RandomRotation(10), lambda: v2.RandomRotation(20)),
        (lambda: keras.layers.RandomRotation(0.1), lambda: keras.layers.RandomRotation(0.2)),
        (lambda: {"rows": np.arange(3)}, lambda: {"rows": np.arange(3) + 1}),
        (lambda: [threading.Lock(), 1], lambda: [threading.Lock(), 2]),
    ],
)  # fmt: skip
def test_objects_made_alike_have_one_fingerprint_and_others_another(one, other):
    assert fingerprint(one()) == fingerprint(one()) != fingerprint(other())


def test_shared_and_equal_parts_have_one_fingerprint_and_circles_end():
    part, circle = [1, 2], []
    circle.append(circle)
    assert fingerprint([part, part]) == fingerprint([[1, 2], [1, 2]])
    assert fingerprint(circle) != fingerprint([part])


SETTINGS, WIDTHS = types.SimpleNamespace(rate=0.1), np.array([8, 4])


def reads_settings():
    return SETTINGS.rate, WIDTHS[0]


def test_settings_and_arrays_that_a_function_reads_count(monkeypatch):
    before = fingerprint(reads_settings)
    monkeypatch.setattr(SETTINGS, "rate", 0.2)
    changed = fingerprint(reads_settings)
    monkeypatch.setitem(globals(), "WIDTHS", np.array([16, 4]))
    assert len({before, changed, fingerprint(reads_settings)}) == 3
