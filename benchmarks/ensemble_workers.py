"""How much faster two workers train the folds of a network than one process does, and what memory they take.

Usage: python -m benchmarks.ensemble_workers [--quick]

Both have one torch thread a process. The workers are those of an earlier run, as from the second run on; what
starting them costs is said too. The ratio is that of medians. The memory of a worker is what it has for itself, at its
most, beyond what it had when it was idle; the rows, which it maps, are not in it.
"""

from __future__ import annotations

import argparse
import os
import statistics
import threading
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.table import print_table
from mlpipeline.ensemble import Ensemble, EnsembleResult, Folds
from mlpipeline.ensemble.torch_trainer import TorchTrainer

ROWS, COLUMNS, FOLDS, EPOCHS, BATCH = 200_000, 150, 4, 2, 512
MIB = 2**20


def perceptron() -> nn.Module:
    return nn.Sequential(nn.Linear(COLUMNS, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 2))


def make_data(row_count: int) -> tuple[np.ndarray, np.ndarray]:
    rows = np.random.default_rng(0).standard_normal((row_count, COLUMNS), dtype=np.float32)
    return rows, (rows[:, 0] * rows[:, 1] > 0).astype(np.int64)


def train(data: tuple[np.ndarray, np.ndarray], workers: int) -> tuple[EnsembleResult, float]:
    trainer = TorchTrainer(perceptron, epochs=EPOCHS, batch_size=BATCH)
    start = time.perf_counter()
    result = Ensemble(trainer, Folds(FOLDS), metrics="accuracy", together=False, workers=workers).fit(*data)
    return result, time.perf_counter() - start


def worker_processes() -> list[int]:
    """Return the processes of the pool."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    return [int(child) for child in children if b"popen_loky" in Path(f"/proc/{child}/cmdline").read_bytes()]


def own_bytes(process: int) -> int:
    """Return the memory of a process that is no file's, which every process has for itself."""
    lines = Path(f"/proc/{process}/status").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


class MemoryWatch:
    """The most that a worker has had for itself, looked at some ten times a second."""

    def __init__(self) -> None:
        self.idle = max(map(own_bytes, worker_processes()))
        self.most = self.idle
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> MemoryWatch:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(0.1):
            self.most = max(self.most, *map(own_bytes, worker_processes()))


def measure(row_count: int, repeats: int) -> tuple[list[list[str]], str]:
    data = make_data(row_count)
    tiny = (data[0][:2000], data[1][:2000])
    start = time.perf_counter()
    train(tiny, 2)
    started = time.perf_counter() - start
    seconds: dict[int, list[float]] = {1: [], 2: []}
    results = {}
    train(data, 1)  # warms up
    with MemoryWatch() as memory:
        for _ in range(repeats):
            for workers, taken in seconds.items():  # take turns, so that a change of the machine's pace meets both
                results[workers], duration = train(data, workers)
                taken.append(duration)
    same = np.array_equal(results[1].oof, results[2].oof)
    medians = {workers: statistics.median(taken) for workers, taken in seconds.items()}
    rows = [
        [str(workers), f"{median:.2f}", f"{median / FOLDS:.2f}", f"{medians[1] / median:.2f}"]
        for workers, median in medians.items()
    ]
    note = (
        f"Out-of-fold predictions {'are the same bit for bit' if same else 'DIFFER'}. The first start of the workers "
        f"took {started:.1f} s. The data are {data[0].nbytes / MIB:.0f} MiB; a worker had at most "
        f"{(memory.most - memory.idle) / MIB:.0f} MiB more for itself than idle ({memory.idle / MIB:.0f} MiB)."
    )
    return rows, note


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="fewer rows and repeats")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    row_count = ROWS // 4 if quick else ROWS
    rows, note = measure(row_count, 3 if quick else 7)
    title = f"{FOLDS} folds of a perceptron, {row_count:,} rows of {COLUMNS}, {EPOCHS} epochs"
    print_table(title, ["processes", "seconds", "seconds a fold", "times as fast as one"], rows)
    print(note)


if __name__ == "__main__":
    main()
