"""The guide's script runs, its commands succeed, and its code gives what stands beside it."""

from __future__ import annotations

import builtins
import importlib.util
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlpipeline import reports
from tests.guides import run
from tests.support import Folder

GUIDE = Path(__file__).parents[2] / "docs" / "reports.md"
TEXT = GUIDE.read_text(encoding="utf-8")


def blocks(language: str) -> Iterator[tuple[int, str]]:
    """Yield the line and the content of each block of a language, but for sketches."""
    for found in re.finditer(rf"^```{language}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL):
        yield TEXT[: found.start()].count("\n") + 2, found[1]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Folder]:
    """The guide's script, run by the guide's commands."""
    folder = Folder(tmp_path_factory.mktemp("guide"))
    (_, script), *_ = blocks("python")
    (folder.models / "mean.py").write_text(script)
    folder.queue("mean.py")
    yield folder
    folder.close()


def test_the_commands_succeed_and_the_code_gives_what_it_says(project: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.root)
    for _, content in blocks("sh"):
        for line in content.splitlines():
            if importlib.util.find_spec("plotly") or "report " not in line:
                command = line.replace("mlpipeline", f"{sys.executable} -W error -m mlpipeline", 1)
                done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
                assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    names: dict[str, Any] = {"__builtins__": builtins, "print": lambda *values: values, "shown": shown}
    for line, content in list(blocks("python"))[1:]:
        run(GUIDE, line, content, names)


def shown(value: tuple[Any, ...], text: str) -> None:
    """Compare what is printed with what stands beside it."""
    assert " ".join(map(str, value)) == text


def test_the_table_names_commands_and_functions_that_there_are(project: Folder) -> None:
    table = TEXT[TEXT.index("| | command") : TEXT.index("`SCRIPT:VERSION` means")]
    commands = {found.split()[0] for found in re.findall(r"`mlpipeline ([^`]+)`", table)}
    listed = set(re.findall(r"^  ([a-z-]+) ", project.run("--help").stdout, re.MULTILINE))
    assert commands <= listed
    functions = {
        name for row in table.strip().splitlines()[2:] for name in re.findall(r"`([a-z_]+)`", row.split("|")[3])
    }
    assert functions <= set(reports.__all__)
    assert all(callable(getattr(reports, name)) for name in functions)
