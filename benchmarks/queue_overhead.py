"""What a process of its own costs: the queue against `python script.py`, and against a bare fork.

Usage: python -m benchmarks.queue_overhead [--versions 50]
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from benchmarks.table import print_table

TORCH_BODY = """
import torch
def work(seed):
    torch.manual_seed(seed)
    net = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 1))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    x, y = torch.randn(64, 8), torch.randn(64, 1)
    for _ in range(10):
        optimizer.zero_grad()
        loss = ((net(x) - y) ** 2).mean()
        loss.backward()
        optimizer.step()
    return loss.item()
"""
EMPTY_BODY = """
def work(seed):
    return 0.0
"""
SCRIPT = """
import time
from mlpipeline.helper import DataLoader, Model
from mlpipeline.utils import Versions
{body}
class Data(DataLoader):
    def get_train_input(self, mode=None): pass
    def get_test_input(self): pass
    def get_train_sample_count(self): return 64
    def get_test_sample_count(self): return 64
class Bench(Model):
    def train_model(self, input_fn, steps):
        began = time.perf_counter()
        self.loss = work(0)
        self.seconds = time.perf_counter() - began
    def evaluate_model(self, input_fn, steps): return {{"loss": self.loss, "seconds": self.seconds}}
versions = Versions(dataloader=Data, batch_size=64, epoc_count=10)
for index in range({versions}):
    versions.add(f"v{{index}}")
MODEL = Bench(versions)
"""
BARE_LOOP = """
import gc, os, sys
{body}
{late}
gc.collect(); gc.freeze()
for index in range({versions}):
    pid = os.fork()
    if pid == 0:
        work(index)
        os._exit(0)
    os.waitpid(pid, 0)
os._exit(0)
"""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--versions", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        compare(Path(folder), arguments.versions, arguments.rounds)


def compare(folder: Path, versions: int, rounds: int) -> None:
    """Measure each way of running the same work, in turns, and print medians."""
    torch_project = _project(folder / "torch", TORCH_BODY, versions)
    empty_project = _project(folder / "empty", EMPTY_BODY, versions)
    single = folder / "single.py"
    single.write_text(TORCH_BODY + "\nwork(0)\n")
    bare = folder / "bare.py"
    bare.write_text(BARE_LOOP.format(body=TORCH_BODY, late="import torch._dynamo", versions=versions))
    ways: dict[str, Callable[[], float]] = {
        "queue, torch": lambda: _seconds("-m", "mlpipeline", "-C", torch_project, "-r", "-q"),
        "bare fork loop, torch": lambda: _seconds(str(bare)),
        "queue, nothing imported": lambda: _seconds("-m", "mlpipeline", "-C", empty_project, "-r", "-q"),
        "python -c pass": lambda: statistics.median(_seconds("-c", "pass") for _ in range(20)) * versions,
        "python script.py, torch": lambda: statistics.median(_seconds(str(single)) for _ in range(3)) * versions,
    }
    measured: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, measure in ways.items():
            measured[name].append(measure())
    median = {name: statistics.median(times) for name, times in measured.items()}
    beyond = _beyond_training(Path(torch_project))
    queue, bare_loop = median["queue, torch"], median["bare fork loop, torch"]
    rows = [[name, f"{seconds:.2f} s", f"{1000 * seconds / versions:.1f} ms"] for name, seconds in median.items()]
    print_table(f"{versions} versions one after the other", ["way", "all", "each"], rows)
    print_table(
        "against the targets",
        ["ratio", "measured", "target"],
        [
            ["python script.py / queue", f"{median['python script.py, torch'] / queue:.1f}", "at least 30"],
            ["queue / bare fork loop", f"{queue / bare_loop:.2f}", "at most 1.2"],
            ["free slot to result, beyond training", f"{1000 * beyond:.1f} ms", "at most 20 ms"],
            [
                "queue / python -c pass",
                f"{median['queue, nothing imported'] / median['python -c pass']:.2f}",
                "at most 3",
            ],
        ],
    )


def _project(root: Path, body: str, versions: int) -> str:
    (root / "models").mkdir(parents=True)
    (root / "mlp.config").write_text("[MLP]\n")
    (root / "models.config").write_text("[WHITELISTED_MODELS]\nbench.py\n")
    (root / "models" / "bench.py").write_text(SCRIPT.format(body=body, versions=versions))
    os.utime(root / "models.config", (0, 0))  # it was not edited a moment ago
    return str(root)


def _seconds(*arguments: str) -> float:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    began = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, env=environment, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def _beyond_training(root: Path) -> float:
    """Return the median time from the record of an end, which frees the slot, to the next result; seconds.

    The training itself is taken off.
    """
    (path,) = (root / "outputs").glob("history-*")
    ends = [record for record in map(json.loads, path.read_text().splitlines()) if record["event"] == "end"]
    pairs = itertools.pairwise(ends)
    spans = [_when(later["ended"]) - _when(earlier["recorded"]) for earlier, later in pairs]
    trainings = [record["metrics"]["train.seconds"] for record in ends[1:]]
    return statistics.median(span - training for span, training in zip(spans, trainings, strict=True))


def _when(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


if __name__ == "__main__":
    main()
