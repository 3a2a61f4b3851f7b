"""A project folder with scripts and a queue, and the command run in it by real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from string import Template
from typing import Any

from mlpipeline.project import Project, load_project

DEADLINE_SECONDS = 60.0
Report = tuple[int, int | None, Mapping[str, float]]

SCRIPT = Template("""
import ctypes, os, signal, sys, time
from pathlib import Path
from mlpipeline.helper import DataLoader, Model
from mlpipeline.utils import Versions

def wait_for(name):
    deadline = time.monotonic() + 60
    while not Path(name).exists():
        assert time.monotonic() < deadline, f"{name} never came"
        time.sleep(0.005)

class Data(DataLoader):
    def get_train_input(self, mode=None): return "train"
    def get_test_input(self): return "test"
    def get_train_sample_count(self): return 8
    def get_test_sample_count(self): return 4

class M(Model):
    def pre_execution_hook(self, version, model_dir, exec_mode=None):
        self.version, self.model_dir, self.exec_mode = version, model_dir, exec_mode
    def train_model(self, input_fn, steps):
        version = self.version
$train
    def evaluate_model(self, input_fn, steps):
        return $evaluate
$more

versions = Versions(dataloader=Data, batch_size=4, epoc_count=2)
$versions
MODEL = M(versions$arguments)
""")


class Folder:
    """A project folder and the commands that a user gives in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.models = root / "models"
        self.outputs = root / "outputs"
        self.models.mkdir()
        (root / "mlp.config").write_text("[MLP]\nmodels_dir = models\n")
        self.environment = dict(os.environ)
        self._started: list[subprocess.Popen[str]] = []

    @property
    def project(self) -> Project:
        return load_project(self.root)

    def script(
        self,
        name: str,
        train: str = "pass",
        *,
        versions: str | list[str] = "v1",
        evaluate: str = "{'accuracy': 0.5}",
        more: str = "",
        arguments: str = "",
    ) -> Path:
        """Write a model script with this body of `train_model`; versions are names, or lines of code."""
        names = [versions] if isinstance(versions, str) else versions
        lines = [name if "(" in name else f"versions.add({name!r})" for name in names]
        text = SCRIPT.substitute(
            train=textwrap.indent(textwrap.dedent(train).strip(), " " * 8),
            evaluate=evaluate,
            more=textwrap.indent(textwrap.dedent(more), " " * 4),
            versions="\n".join(lines),
            arguments=f", {arguments}" if arguments else "",
        )
        path = self.models / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def queue(self, *scripts: str) -> None:
        """Write both queue files, the way an editor does: aside, then in place."""
        for name in ("models.config", "models_test.config"):
            aside = self.root / f"{name}.new"
            aside.write_text("[WHITELISTED_MODELS]\n" + "".join(f"{script}\n" for script in scripts))
            os.replace(aside, self.root / name)

    def run(self, *arguments: str, expect: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run the command to its end; its exit status must be as expected."""
        done = subprocess.run(
            self._command(arguments), capture_output=True, text=True, timeout=DEADLINE_SECONDS, env=self.environment
        )
        assert expect is None or done.returncode == expect, f"status {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the command and go on."""
        process = subprocess.Popen(
            self._command(arguments), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=self.environment
        )
        self._started.append(process)
        return process

    def history(self, event: str = "end") -> list[dict[str, Any]]:
        """Return the journal's records of one kind."""
        lines = [line for path in sorted(self.outputs.glob("history-*")) for line in path.read_text().splitlines()]
        return [record for record in map(json.loads, lines) if record["event"] == event]

    def ended(self) -> list[tuple[str, str]]:
        """Return (version or script, status) of each recorded end."""
        return [(record["version"] or record["script"], record["status"]) for record in self.history()]

    def model_dir(self, name: str) -> Path:
        return self.outputs / "model_ckpts" / name

    def close(self) -> None:
        for process in self._started:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
            process.communicate()

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-W", "error", "-m", "mlpipeline", "-C", str(self.root), *arguments]


def wait_until(condition: Callable[[], Any], seconds: float = DEADLINE_SECONDS) -> Any:
    """Return the condition's value once it is true; fail after the deadline."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, "the condition never came true"
        time.sleep(0.005)
    return value


def is_alive(pid: int) -> bool:
    """Tell whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
