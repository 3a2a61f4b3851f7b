"""Engines: the fork server has the libraries loaded and stays fit to fork; without fork, runs are spawned."""

from __future__ import annotations

import dataclasses
import os
import signal
from pathlib import Path

import pytest

from mlpipeline.records import Job, Result
from mlpipeline.runner import engine as engine_module
from mlpipeline.runner.daemon import Daemon
from mlpipeline.runner.engine import Engine, Exit
from mlpipeline.runner.fork_engine import ForkEngine
from mlpipeline.runner.mode import TEST
from mlpipeline.runner.options import Options, SelectedScripts
from mlpipeline.runner.spawn_engine import SpawnEngine
from mlpipeline.runner.workplace import Scratch
from mlpipeline.selection import Selection
from tests.support import Folder, wait_until

LOOKS_AROUND = """
import os, sys
LOADED = {name: name in sys.modules for name in ("torch", "torch._dynamo", "torch.utils.data")}
import torch
from mlpipeline.helper import DataLoader, Model
from mlpipeline.utils import Versions
class Data(DataLoader):
    def get_train_input(self, mode=None): pass
    def get_test_input(self): pass
    def get_train_sample_count(self): return 1
    def get_test_sample_count(self): return 1
class M(Model):
    def train_model(self, input_fn, steps):
        before = set(sys.modules)
        torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
        self.late = len(set(sys.modules) - before)
    def evaluate_model(self, input_fn, steps):
        server_threads = len(os.listdir(f"/proc/{os.getppid()}/task"))
        cuda = float(torch.cuda.is_initialized())
        return {**LOADED, "server_threads": server_threads, "late": self.late, "cuda": cuda}
v = Versions(dataloader=Data, batch_size=1, epoc_count=1)
v.add("v1")
MODEL = M(v)
"""


class Listening:
    """A screen that keeps what it is told."""

    def __init__(self) -> None:
        self.results: list[Result] = []
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)

    warn = say

    def printed(self, text: str, prefix: str) -> None:
        self.said.append(prefix + text)

    def started(self, script: str, version: str, *, resumed: bool) -> None:
        pass

    def ended(self, script: str, version: str | None, result: Result) -> None:
        self.results.append(result)

    def show(self, board: object) -> None:
        pass


def queue_of(*scripts: str) -> SelectedScripts:
    return SelectedScripts([Selection(script) for script in scripts], lambda: scripts)


def run_with(engine: Engine, folder: Folder, *scripts: str) -> list[Result]:
    screen = Listening()
    daemon = Daemon(folder.project, TEST, Options(), engine, Scratch(), screen, queue_of(*scripts))
    daemon.run()
    return screen.results


def test_libraries_and_what_they_pull_in_late_are_loaded_before_a_run(folder: Folder) -> None:
    (folder.models / "a.py").write_text(LOOKS_AROUND)
    (result,) = run_with(ForkEngine(), folder, "a.py")
    assert {name: result.metrics[f"test.{name}"] for name in ("torch", "torch._dynamo", "torch.utils.data")} == {
        "torch": 1,
        "torch._dynamo": 1,
        "torch.utils.data": 1,
    }
    assert result.metrics["test.late"] == 0
    assert (result.metrics["test.server_threads"], result.metrics["test.cuda"]) == (1, 0)
    assert "torch" in result.libraries


def test_pyarrow_beside_pandas_does_not_keep_libraries_from_the_server(folder: Folder) -> None:
    pytest.importorskip("pyarrow", reason="pandas loads it where it is installed")
    script = LOOKS_AROUND.replace('"torch",', '"torch", "pandas",', 1).replace(
        "import torch\n", "import pandas, torch\n", 1
    )
    (folder.models / "a.py").write_text(script)
    (result,) = run_with(ForkEngine(), folder, "a.py")
    assert (result.metrics["test.pandas"], result.metrics["test.server_threads"]) == (1, 1)


def test_without_fork_a_run_comes_to_the_same_result(folder: Folder) -> None:
    folder.script("a.py", evaluate="{'drawn': __import__('random').random()}")
    (forked,) = run_with(ForkEngine(), folder, "a.py")
    (spawned,) = run_with(SpawnEngine(), folder, "a.py")
    assert forked.metrics == spawned.metrics


def test_a_spawned_run_can_be_stopped(folder: Folder) -> None:
    folder.script("a.py", "wait_for('never')")
    screen = Listening()
    options = Options(timeout_seconds=1.0)
    daemon = Daemon(folder.project, TEST, options, SpawnEngine(), Scratch(), screen, queue_of("a.py"))
    assert daemon.run() == 1
    assert [result.status for result in screen.results] == ["TIMED_OUT"]


@pytest.mark.parametrize(
    "harm",
    [
        "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()",
        "import os; os._exit(7)",
    ],
    ids=["starts a thread", "ends the server"],
)
def test_a_library_that_harms_the_server_is_left_to_the_runs(
    folder: Folder, harm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # `this` counts as a library because the standard library has a module of that name
    # and the server is told from a run by where its standard output goes
    in_server = "import os\nif os.readlink('/proc/self/fd/1') == '/dev/null':"
    (folder.root / "this.py").write_text(f"{in_server} {harm}\n")
    monkeypatch.setenv("PYTHONPATH", str(folder.root))
    folder.script("a.py", "import this; assert 'models' not in this.__file__")
    engine = ForkEngine()
    job = _listing_job(folder, "a.py", imports=("this",))
    assert _run_job(engine, job).code == 0
    assert _run_job(engine, dataclasses.replace(job, run_id="second")).code == 0
    engine.close()


def test_a_child_that_is_running_when_its_server_dies_is_reported(folder: Folder) -> None:
    (folder.models / "a.py").write_text("import os, time; open('server', 'w').write(str(os.getppid())); time.sleep(60)")
    engine = ForkEngine()
    engine.start(_listing_job(folder, "a.py"))
    server = wait_until(lambda: (folder.root / "server").exists() and (folder.root / "server").read_text())
    os.kill(int(server), signal.SIGKILL)
    (ended,) = wait_until(lambda: engine.wait(0.1))
    assert ended.code == -signal.SIGKILL
    engine.close()


def test_threads_are_shared_out_unless_the_user_has_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(engine_module.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert [engine_module.threads_per_run(slots) for slots in (1, 3, 16)] == [8, 2, 1]
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert engine_module.threads_per_run(2) == 5


def _listing_job(folder: Folder, script: str, imports: tuple[str, ...] = ()) -> Job:
    return Job(
        run_id="first",
        script=script,
        version=None,
        root=str(folder.root),
        models_dir=str(folder.models),
        model_dir="",
        result_file=str(folder.root / "result.json"),
        output_file=str(folder.root / "stdout.log"),
        imports=imports,
    )


def _run_job(engine: Engine, job: Job) -> Exit:
    engine.start(job)
    (ended,) = wait_until(lambda: engine.wait(0.1))
    result = Result.from_json(Path(job.result_file).read_text())
    assert (result.run_id, result.status) == (job.run_id, "SUCCEEDED"), result.error
    return ended


def test_a_library_that_hangs_while_it_is_imported_can_be_stopped(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    # `this` counts as a library because the standard library has a module of that name
    (folder.root / "libraries").mkdir()
    hanging = folder.root / "hanging"
    library = f"open({str(hanging)!r}, 'w').close(); import time; time.sleep(1000)"
    (folder.root / "libraries" / "this.py").write_text(library)
    monkeypatch.setenv("PYTHONPATH", str(folder.root / "libraries"))
    monkeypatch.setattr("mlpipeline.runner.daemon.LISTING_SECONDS", 1.0)
    folder.script("a.py", "import this")
    folder.script("b.py")
    screen = Listening()
    options = Options(timeout_seconds=1.0)
    mode = dataclasses.replace(TEST, halts_on_failure=False)
    Daemon(folder.project, mode, options, ForkEngine(), Scratch(), screen, queue_of("a.py", "b.py")).run()
    assert hanging.exists()
    assert [result.status for result in screen.results] == ["TIMED_OUT", "SUCCEEDED"]
