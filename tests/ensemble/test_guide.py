"""The guide's code and commands run and show what they say, and its tables tell of what is there."""

from __future__ import annotations

import ast
import builtins
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import sklearn.naive_bayes  # noqa: F401  (loads the pools of threads that are limited below)
import torch
from threadpoolctl import threadpool_limits

from mlpipeline import ensemble
from mlpipeline.ensemble.augmentation import options
from mlpipeline.ensemble.given_plans import GivenSplits
from mlpipeline.ensemble.plans import Plan
from mlpipeline.ensemble.result import EnsembleResult
from mlpipeline.ensemble.scores import CLASS_METRICS, VALUE_METRICS
from tests.guides import run
from tests.support import Folder

REPOSITORY = Path(__file__).parents[2]
GUIDE = REPOSITORY / "docs" / "ensemble.md"
TEXT = GUIDE.read_text(encoding="utf-8")
RETURNED = {"Blend", "EnsembleResult", "LeakReport", "Metric", "Split", "Splits", "StackResult"}  # what is given back


class Block(NamedTuple):
    """A piece of the guide."""

    line: int
    content: str


def blocks(language: str) -> Iterator[Block]:
    for found in re.finditer(rf"^```{language}\n((?:.*\n)*?)```$", TEXT, flags=re.MULTILINE):
        yield Block(TEXT[: found.start()].count("\n") + 2, found[1])


@pytest.fixture
def one_thread() -> Iterator[None]:
    """What is promised bit for bit, and far faster where many processes share a machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        yield
    torch.set_num_threads(before)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module in which the guide's code runs, in a folder of its own that has the data."""
    made = ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", made)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").symlink_to(REPOSITORY / "data")
    return made


@pytest.mark.usefixtures("one_thread")
def test_code_runs_from_top_to_bottom_and_shows_what_it_says(module: ModuleType) -> None:
    def shown(value: object, expected: str) -> None:
        assert expected in (str(value), repr(value))

    vars(module).update(__builtins__=builtins, print=lambda value: value, shown=shown)
    pieces = list(blocks("python"))
    for block in pieces:
        run(GUIDE, block.line, block.content, vars(module))
    assert len(pieces) > 10
    left = {path.name for path in Path("checkpoints/bayes").glob("[!.]*")}
    known = first_cells("file in `").replace("<run>", "bayes").replace(".keras", ".skops")
    assert {name.replace("fold1", "fold0") for name in left} <= set(re.findall(r"bayes_[\w.]+", known))


def test_the_script_runs_as_the_commands_say(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    (script,), (commands,) = blocks("python script"), blocks("sh")
    (folder.root / "data").symlink_to(REPOSITORY / "data")
    (folder.models / "ionosphere.py").write_text(script.content)
    folder.queue()
    folder.environment["OMP_NUM_THREADS"] = "1"
    for line in commands.content.splitlines():
        command, *arguments = shlex.split(line, comments=True)
        assert command == "mlpipeline"
        folder.run(*arguments)
    left = {path.name for path in folder.model_dir("ionosphere-bayes").glob("[!.]*")}
    (told,) = re.findall(r"^The run that ends last(?:.+\n)+", TEXT, flags=re.MULTILINE)
    assert left >= set(re.findall(r"`(\w+\.(?:npy|json|csv|txt|png))`", told)) >= {"ensemble.json", "folds.png"}


def table(heading: str) -> list[str]:
    """Return the rows of the table whose first line begins so."""
    (found,) = re.findall(rf"^\| {re.escape(heading)}.*\n\|.*\n((?:\|.*\n)+)", TEXT, flags=re.MULTILINE)
    return str(found).splitlines()


def first_cells(heading: str) -> str:
    return " ".join(row.split(" | ")[0] for row in table(heading))


def test_the_table_of_plans_has_all_with_their_defaults() -> None:
    plans = {name for name in ensemble.__all__ if is_plan(getattr(ensemble, name))}
    calls = re.findall(r"`((\w+)\(\d+.*?\))`", first_cells("plan |"))
    assert {name for _, name in calls} | {GivenSplits.__name__} == plans
    for call, name in calls:
        plan = getattr(ensemble, name)
        assert eval(call, {name: plan}) == plan()


def is_plan(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, Plan)


def test_the_table_of_the_result_has_all_that_it_says() -> None:
    listed = set(re.findall(r"`(\w+)", first_cells("attribute |")))
    known = {field.name for field in fields(EnsembleResult)} | {*dir(EnsembleResult)}
    assert listed == {name for name in known if not name.startswith("_")} - {"work"}


def test_the_table_of_arguments_has_all_with_their_defaults() -> None:
    known = {field.name: field.default for field in fields(ensemble.KerasDirectoryFlowPipeline) if field.init}
    cells = first_cells("arguments |")
    assert set(re.findall(r"`(\w+)(?:=[^`]*)?`", cells)) == set(known)
    for name, default in re.findall(r"`(\w+)=([^`]*)`", cells):
        assert known[name] == ast.literal_eval(default), name


def test_every_public_name_is_told_of() -> None:
    assert {name for name in ensemble.__all__ if not re.search(rf"\b{name}\b", TEXT)} <= RETURNED


def test_metrics_and_options_are_those_that_there_are() -> None:
    (told,) = re.findall(r"Metrics are (.*?), or functions", TEXT.replace("\n", " "))
    assert set(re.findall(r"\w+", told)) - {"and", "or"} == {*CLASS_METRICS, *VALUE_METRICS}
    (dicts,) = re.findall(r"ImageDataGenerator's options \((.*?)\)", TEXT.replace("\n", " "))
    assert set(re.findall(r"`(\w+)`", dicts)) <= set(options._OPTIONS)
