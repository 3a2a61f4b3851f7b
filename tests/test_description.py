"""What is described must be the same in the next process: the values are made in two fresh ones and compared."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

import mlpipeline
from mlpipeline.description import describe, describe_version
from mlpipeline.model import DataLoader
from mlpipeline.versions import Versions

CASES = """
import collections, datetime, decimal, enum, functools, json, random
from pathlib import Path

import numpy as np

from mlpipeline.model import DataLoader
from mlpipeline.description import describe

class Loader(DataLoader):
    def __init__(self, path, scale=1, names=()): pass
    def part(self): pass

class Plain: pass

class Holder:
    def __init__(self, **values): vars(self).update(values)

class Slots:
    __slots__ = ("size",)
    def __init__(self, size): self.size = size

class Colour(enum.Enum):
    RED = 1

def make(path): return Loader(path)

@functools.cache
def cached(): return Loader("a")

def enclosing(value):
    def inner(): return value
    return inner

def recursive():
    def inner(): return inner
    return inner

class Cycle:
    def __init__(self): self.me, self.all = self, [self]

WORDS = {"alpha", "beta", "gamma", "delta", "epsilon"}
CASES = {
    "plain values": [1, 2.5, "text", None, True],
    "set of texts": WORDS,
    "set of objects": {Plain(), Holder(a=1), Holder(b=2)},
    "nested": {"a": ({"b": WORDS}, frozenset(WORDS))},
    "data loader": Loader("a.csv", scale=2, names=WORDS),
    "object without a state": Plain(),
    "object with a state": Holder(b=WORDS, a=Plain()),
    "cycle": Cycle(),
    "enum": Colour.RED,
    "class": Loader,
    "function": make,
    "closure": enclosing(WORDS),
    "recursive function": recursive(),
    "partial": functools.partial(make, "a.csv"),
    "partial of a class": functools.partial(Loader, scale=WORDS),
    "bound method": Loader("a").part,
    "builtin": [len, [].append],
    "cached function": cached,
    "numpy function": np.sqrt,
    "lambda": lambda: Loader("a"),
    "lambda with a comprehension": lambda: [Loader(name) for name in "ab"],
    "lambda with an inner lambda": lambda: (lambda: Loader("a")),
    "lambda with a set": lambda name: name in {"alpha", "beta", "gamma", "delta", "epsilon"},
    "path": Path("data/a.csv"),
    "date": datetime.date(2024, 5, 6),
    "decimal": decimal.Decimal("0.1"),
    "bytes, range, complex": [b"a", range(3), 1j],
    "ordered": collections.OrderedDict(a=1),
    "objects as keys": {Plain(): 1, make: 2, Loader: 3},
    "array": np.arange(6.0).reshape(2, 3),
    "array of texts": np.array(["a", "bc"]),
    "array of objects": np.array(["alpha", None, (1, 2)], dtype=object),
    "structured array": np.zeros(2, dtype=[("a", "i4"), ("b", "f8")]),
    "numpy scalars": [np.int64(3), np.float32(0.5), np.bool_(True)],
    "generators": [np.random.default_rng(1), random.Random(1), iter([1]), (x for x in "a")],
}
def described(value):
    try:
        return describe(value)
    except Exception as error:
        return f"raised {error!r}"
if __name__ == "__main__":
    print(json.dumps({name: described(value) for name, value in CASES.items()}))
"""
NAMES = [line.split('"')[1] for line in CASES.splitlines() if line.startswith('    "')]


@pytest.fixture(scope="module")
def described_twice(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cases")
    (folder / "cases.py").write_text(CASES)
    environment = {**os.environ, "PYTHONPATH": str(Path(mlpipeline.__file__).parents[1])}
    processes = [
        subprocess.Popen(
            [sys.executable, "cases.py"],
            cwd=folder,
            env={**environment, "PYTHONHASHSEED": seed},
            stdout=subprocess.PIPE,
            text=True,
        )
        for seed in ("1", "2")
    ]
    return [json.loads(process.communicate(timeout=60)[0]) for process in processes]


@pytest.mark.parametrize("name", NAMES)
def test_a_value_is_described_alike_in_two_processes(described_twice, name):
    first, second = (each[name] for each in described_twice)
    assert first == second
    assert "0x" not in json.dumps(first)
    assert "raised" not in json.dumps(first)


class Loader(DataLoader):
    def __init__(self, path, scale=1):
        self.opened = object()


class Setting:
    def __init__(self, size):
        self.size = size

    def method(self):
        return self.size


class Slots:
    __slots__ = ("size",)

    def __init__(self, size):
        self.size = size


def enclosing(value):
    return lambda: value


def defaulting(value):
    return lambda value=value: value


def local(name):
    return f"{__name__}.{name}"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Loader("a.csv", scale=2), local("Loader(a.csv, scale=2)")),
        (Loader, local("Loader")),
        (enclosing, local("enclosing")),
        (partial(Loader, "a", scale=Setting(3)), f"partial {local('Loader')}(a, scale={local('Setting(size=3)')})"),
        (Setting([1, {"a": 2}]), local("Setting(size=[1, {'a': 2}])")),
        ((1, [2.5, (None,)]), [1, [2.5, [None]]]),
        ({1: "a", "b": {2}}, {"1": "a", "b": [2]}),
        (Path("a") / "b", "a/b"),
    ],
)
def test_an_object_is_described_by_class_and_arguments(value, expected):
    assert describe(value) == expected


def arrays():
    import numpy as np
    import torch

    return [
        np.zeros(3), np.zeros((3, 1)), np.zeros(3, dtype="float32"), np.ones(3), torch.zeros(3), torch.ones(3),
        torch.ones(3, dtype=torch.bfloat16), torch.zeros(3, dtype=torch.int32),
    ]  # fmt: skip


def test_arrays_are_described_by_shape_type_and_content():
    descriptions = [describe(array) for array in arrays()]
    assert descriptions == [describe(array) for array in arrays()]
    assert len(set(descriptions)) == len(descriptions)
    assert descriptions[0].startswith("numpy.ndarray(shape=(3,), dtype=float64, sha256=")


def test_a_tensor_is_described_whatever_its_memory_looks_like():
    import torch

    whole = torch.arange(6.0).reshape(2, 3)
    assert describe(whole.T.contiguous().T) == describe(whole)
    assert describe(whole.clone().requires_grad_()) == describe(whole)
    assert describe(torch.tensor(3)) == "3"


def test_tables_and_columns_are_described_by_their_content():
    import pandas as pd

    tables = [pd.DataFrame({"a": [1, 2]}), pd.DataFrame({"a": [1, 3]}), pd.Series([1, 2]), pd.Series([1, 3])]
    assert len({describe(table) for table in tables}) == 4


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Loader("a"), Loader("b")),
        (Setting(1), Setting(2)),
        (Slots(1), Slots(2)),
        (Setting(1).method, Setting(2).method),
        (partial(Loader, "a"), partial(Loader, "b")),
        (partial(Loader, path="a"), partial(Loader, path="b")),
        (enclosing(1), enclosing(2)),
        (defaulting(1), defaulting(2)),
        (lambda: 1, lambda: 2),
        (lambda: Loader("a"), lambda: Setting("a")),
        ([1, [2]], [1, 2]),
        (1, "1 "),
    ],
    ids=["data loader", "object", "slots", "bound method", "partial", "keyword", "closure", "default of a lambda",
         "constant of a lambda", "name in a lambda", "nesting", "text"],
)  # fmt: skip
def test_different_values_are_described_differently(first, second):
    assert describe(first) != describe(second)


def test_a_function_with_an_unset_cell_is_described():
    def uses_late():
        return late

    described = describe(uses_late)
    late = 1
    assert local("") in described
    assert late == 1


def test_plain_values_are_kept_however_deep_a_configuration_is():
    assert describe({"a": {"b": {"c": {"d": [1]}}}}) == {"a": {"b": {"c": {"d": [1]}}}}


def test_a_version_is_described_without_its_name_and_place():
    versions = Versions(0.1, Loader("a"), 4, 2)
    first = describe_version(versions.add("a", zeta=1, alpha=2))
    assert first == describe_version(versions.add("b", order=-5, alpha=2, zeta=1))
    assert list(first) == sorted(first)
    assert {"name", "order"}.isdisjoint(first)
    assert first["dataloader"] == local("Loader(a)")


def test_a_description_is_plain_json():
    version = Versions(0.1, Loader("a"), 4, 2).add("a", things=[Setting(1), {1, 2}, enclosing(3)], nothing=None)
    described = describe_version(version)
    assert json.loads(json.dumps(described)) == described
