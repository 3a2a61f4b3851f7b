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
SCRIPTS = """mlp_binary_ionosphere.py
mlp_multiclass_iris.py
cnn_digits.py
"""
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
    for name in ("models.config", "models_test.config"):  # whatever a reader has added
        (tmp_path / name).write_text(f"[WHITELISTED_MODELS]\n{SCRIPTS}")
    return tmp_path


def test_every_command_succeeds_from_the_top(clone: Path) -> None:
    lines = [line for block in blocks("sh") for line in block.splitlines() if not line.startswith(SET_UP)]
    script = "set -e\n" + "\n".join(lines).replace("/tmp/experiments", str(clone / "experiments"))
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-x", "-c", script], cwd=clone, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    assert "cnn_mnist.py\ncnn_digits.py" in (clone / "models.config").read_text()
    assert "7 skipped" in done.stdout
    assert "example.py:rate0.5  SUCCEEDED" in done.stdout


def test_the_scripts_run_and_what_follows_them_works(folder: Folder) -> None:
    mean, my_iris, *_ = blocks("python")
    shutil.copytree(REPOSITORY / "data", folder.root / "data", ignore=shutil.ignore_patterns("mnist"))
    (folder.models / "mean.py").write_text(mean)
    (folder.models / "my_iris.py").write_text(my_iris)
    folder.queue("mean.py", "my_iris.py")
    assert "4 succeeded, 0 failed" in folder.run("-r").stdout
    (predicting,) = blocks("python continued")
    assert "Iris-setosa" in _python(predicting, folder)
    (reading,) = [block for block in blocks("python") if "mlpipeline import reports" in block]
    shown = _python(f"{reading}\nprint(len(runs), 'test.error' in runs, list(best['learning_rate']))", folder)
    assert shown == "4 True [0.4, 0.1, 0.05]\n"


@pytest.mark.parametrize("room", ["mlpipeline.dataflow", "mlpipeline.ensemble"])
def test_the_code_gives_what_is_written_beside_it(folder: Folder, room: str) -> None:
    shutil.copytree(REPOSITORY / "data", folder.root / "data", ignore=shutil.ignore_patterns("mnist"))
    (code,) = [block for block in blocks("python") if room in block]
    assert _python(code, folder).splitlines() == re.findall(r"^print.*  # (.*)$", code, flags=re.MULTILINE)


def _python(code: str, folder: Folder) -> str:
    environment = {**os.environ, "PYTHONPATH": str(folder.models)}
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder.root, env=environment, capture_output=True, text=True, check=True).stdout
