"""The guide's code runs, shows what it says, and its tables tell of what is there."""

from __future__ import annotations

import ast
import builtins
import dataclasses
import inspect
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest

from mlpipeline import ensemble
from mlpipeline.ensemble import EnsembleResult, KerasDirectoryFlowPipeline
from mlpipeline.ensemble.augmentation.options import _OPTIONS as AUGMENTATION_OPTIONS
from mlpipeline.ensemble.scores import CLASS_METRICS, VALUE_METRICS
from mlpipeline.model import DataLoader, Model
from tests.support import Folder

REPOSITORY = Path(__file__).parents[2]
GUIDE = REPOSITORY / "docs" / "ensemble.md"
TEXT = GUIDE.read_text(encoding="utf-8")
SHOWN = re.compile(r"  # -> (.*)$")


class Block(NamedTuple):
    """A piece of the guide: `python` to run, or `text` that was printed before."""

    line: int
    language: str
    content: str


def blocks(languages: str) -> Iterator[Block]:
    for found in re.finditer(rf"^```({languages})\n((?:.*\n)*?)```$", TEXT, flags=re.MULTILINE):
        yield Block(TEXT[: found.start()].count("\n") + 2, *found.groups())


class Checking(ast.NodeTransformer):
    """Turns `expression  # -> value` into `shown(expression, "value")`."""

    def __init__(self, code: str) -> None:
        lines = enumerate(code.splitlines(), start=1)
        self.values = {number: found[1] for number, line in lines if (found := SHOWN.search(line))}

    def visit_Expr(self, node: ast.Expr) -> ast.Expr:
        value = self.values.pop(node.end_lineno or 0, None)
        if value is not None:
            node.value = ast.Call(ast.Name("shown", ast.Load()), [node.value, ast.Constant(value)], [])
        return node


def run(block: Block, names: dict[str, Any]) -> None:
    checking = Checking(block.content)
    tree = ast.fix_missing_locations(checking.visit(ast.parse(block.content)))
    assert not checking.values, f"{GUIDE.name}, from line {block.line}: no expression before {checking.values}"
    ast.increment_lineno(tree, block.line - 1)
    exec(compile(tree, GUIDE, "exec"), names)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module in which the guide's code runs, in a folder of its own that has the data."""
    made = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", made)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").symlink_to(REPOSITORY / "data")
    return made


def test_code_runs_from_top_to_bottom_and_shows_what_it_says(module: ModuleType) -> None:
    printed: list[str] = []

    def note(value: object) -> str:
        printed.append(str(value))
        return str(value)

    def shown(value: object, expected: str) -> None:
        assert expected in (str(value), repr(value))

    vars(module).update(__builtins__=builtins, print=note, shown=shown)
    ran = 0
    for block in blocks("python|text"):
        if block.language == "text":
            assert printed[-1].rstrip() == block.content.rstrip(), f"{GUIDE.name}:{block.line}"
        else:
            run(block, vars(module))
            ran += 1
    assert ran > 10
