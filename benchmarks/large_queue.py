"""What choosing the next run costs in a large project, in the real daemon with an engine that takes no time.

Usage: python -m benchmarks.large_queue [--scripts 1000] [--versions 100] [--history 100000]
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.table import print_table


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--scripts", type=int, default=1000)
    parser.add_argument("--versions", type=int, default=100, help="of each script")
    parser.add_argument("--history", type=int, default=100_000, help="lines")
    parser.add_argument("--measure", metavar="FOLDER", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(Path(arguments.measure), arguments.versions)
        return
    with tempfile.TemporaryDirectory() as folder:
        write_project(Path(folder), arguments.scripts, arguments.versions, arguments.history)
        # a process of its own, so that the memory is the daemon's and not that of writing the project
        command = [sys.executable, "-m", "benchmarks.large_queue", "--measure", folder, "--versions"]
        done = subprocess.run([*command, str(arguments.versions)], check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    print_table(
        f"{arguments.scripts} scripts, {arguments.scripts * arguments.versions} versions, {arguments.history} lines",
        ["what", "measured", "target"],
        [
            ["start-up, history read", f"{found['startup']:.2f} s", "under 2 s"],
            ["a turn, all versions listed, median", f"{1000 * found['turn_median']:.1f} ms", "under 50 ms"],
            ["a turn, worst", f"{1000 * found['turn_worst']:.1f} ms", ""],
            ["memory of the daemon", f"{found['peak']:.0f} MB at most", "under 150 MB"],
        ],
    )


def write_project(root: Path, scripts: int, versions: int, lines: int) -> None:
    """Write scripts, a queue, and a history in which most versions have succeeded."""
    (root / "models").mkdir()
    (root / "outputs").mkdir()
    (root / "mlp.config").write_text("[MLP]\n")
    names = [f"script_{index:04}.py" for index in range(scripts)]
    (root / "models.config").write_text("[WHITELISTED_MODELS]\n" + "\n".join(names) + "\n")
    for name in names:
        (root / "models" / name).write_text(f"import torch\nimport numpy as np\nMODEL = '{name}'\n")
    with (root / "outputs" / "history-earlier").open("w") as file:
        for index in range(lines):
            run, is_end = divmod(index, 2)
            script, version = names[run // versions % scripts], f"version_{run % versions}"
            file.write(_line(run, script, version, is_end=bool(is_end)) + "\n")


def _line(run: int, script: str, version: str, *, is_end: bool) -> str:
    own = {
        "event": "end" if is_end else "start",
        "run_id": f"20260101T000000-{run:012x}",
        "script": script,
        "version": version,
        "status": "SUCCEEDED" if is_end else "RUNNING",
        "fingerprint": f"{run:032x}",
    }
    details = {
        "started": "2026-01-01T00:00:00.000+00:00",
        "host": "earlier",
        "pid": 1,
        "model_dir": f"/project/outputs/model_ckpts/{script}-{version}",
        "parameters": {"batch_size": 32, "dataloader": "module.Loader(path=data.csv)", "epoc_count": 10, "hidden": 64},
    }
    if is_end:
        details |= {
            "ended": "2026-01-01T00:00:01.000+00:00",
            "seconds": 1.0,
            "metrics": {"train.accuracy": 0.9, "test.accuracy": 0.8},
            "libraries": {"torch": "2.0", "numpy": "2.0"},
        }
    return json.dumps({**own, **details})


class InstantEngine:
    """Ends every run at once, with the result that a real one would leave."""

    def __init__(self, versions: int) -> None:
        from mlpipeline.records import Job

        self._versions = versions
        self._jobs: list[Job] = []

    def start(self, job: object) -> None:
        self._jobs.append(job)  # type: ignore[arg-type]

    def wait(self, seconds: float) -> list[object]:
        from mlpipeline.records import Result, now
        from mlpipeline.runner.engine import Exit

        ended = []
        for job in self._jobs:
            listed = () if job.version else tuple(_listed(index) for index in range(self._versions))
            result = Result(job.run_id, "SUCCEEDED", now(), 0.001, versions=listed)
            path = Path(job.result_file)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(result.to_json())
            ended.append(Exit(job.run_id, 0, 10.0))
        self._jobs = []
        return ended

    def signal(self, run_id: str, number: int) -> None:
        pass

    def close(self) -> None:
        pass


def _listed(index: int) -> dict[str, object]:
    parameters = {"batch_size": 32, "dataloader": "module.Loader(path=data.csv)", "epoc_count": 10, "hidden": index}
    return {"name": f"version_{index}", "suffix": f"version_{index}", "seed": index, "parameters": parameters}


def measure(root: Path, versions: int) -> None:
    """Print start-up, time a turn and memory as JSON."""
    from mlpipeline.cli.plain_screen import PlainScreen
    from mlpipeline.project import load_project
    from mlpipeline.runner.daemon import Daemon
    from mlpipeline.runner.mode import EXECUTION
    from mlpipeline.runner.options import Options
    from mlpipeline.runner.queue import QueueReader
    from mlpipeline.runner.workplace import Kept

    project = load_project(root)
    screen = PlainScreen(quiet=True)
    reader = QueueReader(root / "models.config", project, screen.warn)
    workplace = Kept(project, writes_logs=False)
    options = Options(uses_history=True)
    began = time.perf_counter()
    daemon = Daemon(project, EXECUTION, options, InstantEngine(versions), workplace, screen, reader)
    daemon.workplace.open(screen)
    daemon._turn()
    startup = time.perf_counter() - began
    scripts = reader.read()
    for script in scripts[1:]:  # as after a day of work: every script has been listed
        daemon._free_slots = daemon._free_slots or [0]
        daemon._list(script)
        for ended in daemon.engine.wait(0):
            daemon._finish(ended)
    turns = []
    for _ in range(200):
        began = time.perf_counter()
        daemon._turn()
        turns.append(time.perf_counter() - began)
    gc.collect()
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20
    daemon.close()
    found = {
        "startup": startup,
        "turn_median": statistics.median(turns),
        "turn_worst": max(turns),
        "memory": resident,
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    os.write(1, json.dumps(found).encode())


if __name__ == "__main__":
    main()
