"""The guide's code runs, shows what it says, and its tables tell of what is there."""

from __future__ import annotations

import builtins
import importlib.util
import re
import sqlite3
import sys
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import pytest
from sklearn.decomposition import PCA
from torch import nn

from mlpipeline.dataflow import explorers, io, layers, layertools
from mlpipeline.dataflow.layer import StatefulLayer
from mlpipeline.dataflow.onnx_export.exporting import CONVERTERS
from mlpipeline.errors import DataError, PipelineError
from tests.guides import run

GUIDE = Path(__file__).parents[2] / "docs" / "dataflow.md"
TEXT = GUIDE.read_text(encoding="utf-8")
BASES = {"Layer", "StatelessLayer", "StatefulLayer"}


class Block(NamedTuple):
    """A piece of the guide: `python` to run, with the packages that it needs, or `text` that was printed before."""

    line: int
    language: str
    remark: str
    content: str


def blocks() -> Iterator[Block]:
    for found in re.finditer(r"^```(python|text) ?(.*)\n((?:.*\n)*?)```$", TEXT, flags=re.MULTILINE):
        yield Block(TEXT[: found.start()].count("\n") + 2, *found.groups())


def is_runnable(block: Block) -> bool:
    if block.remark == "not run here":
        return False
    needs = block.remark.removeprefix("needs ").split()
    return all(importlib.util.find_spec(package) for package in needs)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module in which the guide's code runs, in a folder of its own; layers are saved by its name."""
    made = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", made)
    monkeypatch.chdir(tmp_path)
    yield made
    for value in vars(made).values():
        if isinstance(value, sqlite3.Connection):
            value.close()


def test_code_runs_from_top_to_bottom_and_shows_what_it_says(module: ModuleType) -> None:
    printed: list[str] = []

    def note(value: object) -> str:
        printed.append(str(value))
        return str(value)

    def shown(value: object, expected: str) -> None:
        assert expected in (str(value), repr(value))

    vars(module).update(__builtins__=builtins, print=note, shown=shown)
    ran = 0
    for block in blocks():
        if block.language == "text":
            assert printed[-1].rstrip() == block.content.rstrip(), f"{GUIDE.name}:{block.line}"
        elif is_runnable(block):
            run(GUIDE, block.line, block.content, vars(module))
            ran += 1
    assert ran > 10


def rows(heading: str) -> dict[str, list[str]]:
    """Return the rows of a table of the guide by the names in their first cells."""
    section = TEXT.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line[1:-1].split("|")] for line in lines]
    return {re.split(r"[(`]", first.strip("`"))[0]: rest for first, *rest in cells}


def test_the_table_has_every_public_layer() -> None:
    tools = {"layertools.maybe", "layertools.vectorize"}
    assert set(rows("Every layer")) == {*layers.__all__} - BASES | tools


def test_the_layers_that_onnx_cannot_say_are_named() -> None:
    section = TEXT.partition("\n## ONNX\n")[2].partition("\n## ")[0]
    missing = {*layers.__all__} - BASES - {each.__name__ for each in CONVERTERS}
    assert missing == {name for name in layers.__all__ if f"`{name}`" in section} - {"Lambda"}


def test_the_other_tables_have_every_public_name() -> None:
    listed = set(re.findall(r"`(\w+)\(", TEXT.partition("\n## Other names\n")[2]))
    found = {*io.__all__, *explorers.__all__, "Metric", "Accuracy", "map", "apply", "vectorize", "maybe"}
    assert listed == found - {"Explorer"}


class Example(NamedTuple):
    """A layer on what it takes, and one of the things that the guide says it refuses."""

    layer: Any
    arrays: list[Any]
    refused: Callable[[Any], Any] | None


def on(*arrays: Any) -> Callable[[Any], Any]:
    """Return what gives a layer other arrays than it takes."""
    return lambda layer: layer.fit(*arrays).transform(*arrays)


def built(make: Callable[[], Any]) -> Callable[[Any], Any]:
    return lambda layer: make()


ROWS = np.arange(1.0, 7.0).reshape(2, 3)
WORDS = np.array(["cat", "the dog"])
IMAGES = np.random.default_rng(0).random((2, 4, 6, 3))
FIELDS = np.array([{"a": 1}, {"a": 2}])
GAPS = np.array([[1.0, np.nan], [3.0, 4.0]])
WITHOUT = np.full((2, 1), np.nan)

EXAMPLES = {
    "Add": Example(layers.Add(), [ROWS, ROWS, ROWS], on(ROWS, ROWS[:, :2])),
    "AddDim": Example(layers.AddDim(), [ROWS], built(lambda: layers.AddDim(axis=0))),
    "Cast": Example(layers.Cast(int), [ROWS], on(GAPS)),
    "Concatenate": Example(layers.Concatenate(), [ROWS, ROWS[:, :2]], on(ROWS, IMAGES)),
    "Divide": Example(layers.Divide(), [ROWS, ROWS], on(ROWS, WORDS)),
    "Dot": Example(layers.Dot(), [IMAGES[..., 0], ROWS[:, [0] * 6]], on(ROWS, ROWS[:, :2])),
    "Downsample": Example(layers.Downsample((2, 3)), [IMAGES], on(IMAGES[:, :1])),
    "ElementWiseMultiply": Example(layers.ElementWiseMultiply(), [ROWS, ROWS], on(ROWS, ROWS[:1])),
    "Filter": Example(layers.Filter(), [ROWS, np.array([True, False])], on(ROWS, np.array([1, 0]))),
    "Flatten": Example(layers.Flatten(), [IMAGES], None),
    "Impute": Example(layers.Impute({np.nan: 0}), [GAPS], built(lambda: layers.Impute({}))),
    "ImputeMean": Example(layers.ImputeMean(), [GAPS], on(WITHOUT)),
    "ImputeMedian": Example(layers.ImputeMedian(), [GAPS], on(WITHOUT)),
    "ImputeMode": Example(layers.ImputeMode(), [GAPS], on(WITHOUT)),
    "Lambda": Example(layers.Lambda(np.exp), [ROWS], built(lambda: layers.Lambda(3))),  # type: ignore[arg-type]
    "Normalize": Example(layers.Normalize(), [ROWS], on(np.array([[1.0, -1.0]]))),
    "OneHotLabels": Example(layers.OneHotLabels(), [WORDS], on(np.array(["a", 1], dtype=object))),
    "OneHotRange": Example(layers.OneHotRange(), [np.array([1, 3])], on(ROWS)),
    "RGBtoBinary": Example(layers.RGBtoBinary(keep_dim=False), [IMAGES], on(IMAGES * 255)),
    "RGBtoGrey": Example(layers.RGBtoGrey(), [IMAGES], on(ROWS)),
    "RemoveStopwords": Example(layers.RemoveStopwords("english"), [WORDS], on(ROWS)),
    "Reshape": Example(layers.Reshape(3, 1), [ROWS], on(GAPS)),
    "ScalarMultiply": Example(layers.ScalarMultiply(2), [ROWS], on(WORDS)),
    "Sklearn": Example(layers.Sklearn(PCA(2)), [ROWS], on(GAPS)),
    "Slice": Example(layers.Slice(slice(2)), [ROWS], built(lambda: layers.Slice(7).transform(ROWS))),
    "SplitDict": Example(layers.SplitDict(["a"]), [FIELDS], built(lambda: layers.SplitDict(["b"]).transform(FIELDS))),
    "StaticDot": Example(layers.StaticDot(np.eye(3)), [ROWS], on(GAPS)),
    "Subtract": Example(layers.Subtract(), [ROWS, ROWS], on(WORDS, WORDS)),
    "TimeSeries": Example(layers.TimeSeries(2), [ROWS], built(lambda: layers.TimeSeries(0))),
    "Torch": Example(layers.Torch(nn.Linear(3, 2)), [ROWS], built(lambda: layers.Torch(nn.Linear(3, 2), "none"))),
    "Upsample": Example(layers.Upsample((8, 12)), [IMAGES], built(lambda: layers.Upsample((2, 3)).transform(IMAGES))),
    "Whiten": Example(layers.Whiten(), [ROWS], on(np.array([1.0, np.inf]))),
    "layertools.maybe": Example(
        layertools.maybe(np.negative), [ROWS], built(lambda: layertools.maybe(layers.Whiten().transform, p=2))
    ),
    "layertools.vectorize": Example(
        layertools.vectorize(np.sum), [ROWS], built(lambda: layertools.vectorize(np.arange).transform(ROWS[:, 0]))
    ),
}


def test_every_row_has_an_example() -> None:
    assert set(EXAMPLES) == set(rows("Every layer")) - {"Keras"}


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_row_of_the_table_is_true(name: str) -> None:
    taken, given, learned, stream, refusals = rows("Every layer")[name]
    layer, arrays, refused = EXAMPLES[name]
    result = layer.fit(*arrays).transform(*arrays)
    assert matches(taken, [array.shape for array in arrays], given, result.shape)
    state = set(layer.metadata) if isinstance(layer, StatefulLayer) else set()
    assert state == set(re.findall(r"`(\w+)`", learned))
    can_stream = {True: "yes", False: "no"}[layer.can_stream] if isinstance(layer, StatefulLayer) else "-"
    assert stream == ("if it can" if name == "Sklearn" else can_stream)
    if refused is None:
        assert refusals == "nothing"
    else:
        with pytest.raises((DataError, PipelineError)):
            refused(layer)


def matches(taken: str, shapes: list[tuple[int, ...]], given: str, result: tuple[int, ...]) -> bool:
    """Return whether shapes are what cells say, such as `(n, ..., k)`: equal letters stand for equal lengths."""
    patterns = re.findall(r"`\((n.*?)\)`", taken)
    for chosen in product(patterns, repeat=len(shapes)):
        bound: dict[str, Any] = {}
        if all(fits(pattern, shape, bound) for pattern, shape in zip(chosen, shapes, strict=True)):
            return any(fits(pattern, result, dict(bound)) for pattern in re.findall(r"`\(([nm].*?)\)`", given))
    return False


def fits(pattern: str, shape: tuple[int, ...], bound: dict[str, Any]) -> bool:
    """Return whether a shape is what a pattern says, and note what its letters stand for."""
    letters = [letter.strip() for letter in pattern.split(",") if letter.strip()]
    lengths: list[Any] = list(shape)
    rest = next((at for at, letter in enumerate(letters) if letter == "..." or letter.startswith("*")), None)
    if rest is not None and len(lengths) + 1 >= len(letters):
        end = len(lengths) - (len(letters) - rest - 1)
        lengths[rest:end] = [shape[rest:end]]
    return len(letters) == len(lengths) and all(
        length == (int(letter) if letter.isdigit() else bound.setdefault(letter, length))
        for letter, length in zip(letters, lengths, strict=True)
    )
