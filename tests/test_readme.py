"""The README's commands and scripts do what they say."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import Folder

REPOSITORY = Path(__file__).parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
SET_UP = ("make ", "source ")  # what has been done when this test runs


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.MULTILINE | re.DOTALL)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    for name in ("mlp.config", "models.config", "models_test.config", "models", "data"):
        source = REPOSITORY / name
        ignored = shutil.ignore_patterns("mnist", "__pycache__")
        _ = (
            shutil.copytree(source, tmp_path / name, ignore=ignored)
            if source.is_dir()
            else shutil.copy(source, tmp_path)
        )
    return tmp_path


def test_every_command_succeeds_from_the_top(clone: Path) -> None:
    lines = [line for block in blocks("sh") for line in block.splitlines() if not line.startswith(SET_UP)]
    script = "set -e\n" + "\n".join(lines).replace("/tmp/experiments", str(clone / "experiments"))
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-x", "-c", script], cwd=clone, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert "cnn_mnist.py\ncnn_digits.py" in (clone / "models.config").read_text()
    assert "9 skipped" in done.stdout
    assert "example.py:rate0.5  SUCCEEDED" in done.stdout


@pytest.mark.parametrize("index", range(len(blocks("python"))))
def test_every_script_runs(folder: Folder, index: int) -> None:
    shutil.copytree(REPOSITORY / "data", folder.root / "data", ignore=shutil.ignore_patterns("mnist"))
    (folder.models / "readme.py").write_text(blocks("python")[index])
    folder.queue("readme.py")
    assert "0 failed" in folder.run("-r").stdout
