"""What storing, looking up and finding outputs costs: a folder, an SQLite file, and joblib.Memory beside them.

Usage: python -m benchmarks.storage_speed [--rounds 7]
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
from pathlib import Path
from typing import Any

import numpy as np
from joblib import Memory

from benchmarks.table import print_table
from mlpipeline.dataflow.storage import Storage, open_storage

ROWS, COLUMNS = 100_000, 50
LOOKUPS = 2000
SMALL_WRITES = 3000


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--memory", metavar="PLACE", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.memory:
        print(json.dumps(peak_while_storing(arguments.memory)))
        return
    with tempfile.TemporaryDirectory() as folder:
        compare(Path(folder), arguments.rounds)


def compare(folder: Path, rounds: int) -> None:
    """Measure in turns, so that a change of the machine's pace meets all, and print medians."""
    values, ids = observations(), np.arange(ROWS)
    places = {"folder": str(folder / "outputs"), "SQLite": f"sqlite:///{folder}/outputs.db"}
    versions = itertools.count()
    for place in places.values():
        for version in ("first", "second"):  # the first also warms up
            open_storage(place, "looked_up", version).write(ids, {"y": values}, key="k")
    opened = {
        (kind, version): open_storage(place, "looked_up", version)
        for kind, place in places.items()
        for version in ("first", "second")
    }
    remembered = Memory(folder / "joblib", verbose=0).cache(whiten)
    remembered(values)
    ways: dict[str, Callable[[], object]] = {
        **{f"store, {kind}": storing(place, versions, ids, values) for kind, place in places.items()},
        **{f"look up, {kind}, {version} version": looking_up(each) for (kind, version), each in opened.items()},
        "find, folder": lambda: opened["folder", "first"].find("k", ids),
        "find, SQLite": lambda: opened["SQLite", "first"].find("k", ids),
        "find, joblib.Memory": lambda: remembered(values),
    }
    median = medians(ways, rounds)
    print_table(
        f"{ROWS} observations of {COLUMNS} float64, {values.nbytes / 1e6:.0f} MB, medians of {rounds}",
        ["what", "measured", "target"],
        [
            ["store, folder", f"{median['store, folder']:.3f} s", "at most 0.08 s"],
            ["store, SQLite", f"{median['store, SQLite']:.3f} s", "at most 0.3 s"],
            *([f"peak memory while storing, {kind}", *memory(place)] for kind, place in places.items()),
            *small_write_rows(folder),
            *lookup_rows(median),
            ["find 40 MB, folder", f"{1000 * median['find, folder']:.3f} ms", "well under 1 ms"],
            ["find 40 MB, SQLite", f"{1000 * median['find, SQLite']:.0f} ms", ""],
            ["find 40 MB, joblib.Memory", f"{1000 * median['find, joblib.Memory']:.0f} ms", ""],
        ],
    )


def observations() -> Any:
    return np.random.default_rng(0).normal(size=(ROWS, COLUMNS))


def whiten(values: Any) -> Any:
    return (values - values.mean(0)) / values.std(0)


def storing(place: str, versions: Any, ids: Any, values: Any) -> Callable[[], object]:
    """Return what stores the values as a version of their own."""

    def store() -> None:
        with open_storage(place, "stored", next(versions)) as storage:
            storage.write(ids, {"y": values})

    return store


def looking_up(storage: Storage) -> Callable[[], object]:
    """Return what looks up observations one by one, in random order."""
    asked = np.random.default_rng(1).integers(0, ROWS, LOOKUPS).tolist()

    def look_up() -> None:
        for each in asked:
            storage.read(rows=[each])

    return look_up


def medians(ways: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median seconds of each way."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _, (name, work) in itertools.product(range(rounds), ways.items()):
        began = time.perf_counter()
        work()
        seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(each) for name, each in seconds.items()}


def lookup_rows(median: dict[str, float]) -> list[list[str]]:
    rows = []
    for kind, target in (("folder", "at most 20 µs"), ("SQLite", "at most 60 µs")):
        first, second = (median[f"look up, {kind}, {version} version"] / LOOKUPS for version in ("first", "second"))
        rows.append([f"one look-up, {kind}", f"{1e6 * first:.1f} µs", target])
        rows.append([f"the same, second version, {kind}", f"{1e6 * second:.1f} µs", "as the first"])
    return rows


def small_write_rows(folder: Path) -> list[list[str]]:
    rows = []
    for kind, place in (("folder", folder / "small"), ("SQLite", folder / "small.db")):
        milliseconds = small_writes(place)
        first, last = statistics.mean(milliseconds[:500]), statistics.mean(milliseconds[-500:])
        rows.append([f"one row written, {kind}, mean of the first 500", f"{first:.2f} ms", ""])
        rows.append([f"the same, the last 500 of {SMALL_WRITES}, {kind}", f"{last:.2f} ms", "as the first"])
    return rows


def small_writes(place: Path) -> list[float]:
    """Return the milliseconds of each of many writes of one row, each of another id."""
    milliseconds = []
    with open_storage(place, "small", None) as storage:
        for number in range(SMALL_WRITES):
            began = time.perf_counter()
            storage.write([number], {"y": np.zeros((1, COLUMNS))})
            milliseconds.append(1000 * (time.perf_counter() - began))
    return milliseconds


def memory(place: str) -> list[str]:
    """Return the peak of a process that stores, as a multiple of the data, beside the target."""
    command = [sys.executable, "-m", "benchmarks.storage_speed", "--memory", place]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [f"{json.loads(done.stdout):.2f} times the data", "at most 3 times"]


def peak_while_storing(place: str) -> float:
    """Return the highest resident memory while storing, the data included and what was loaded before not."""
    with open_storage(place, "warm", os.getpid()) as storage:
        storage.write([0], {"y": np.zeros((1, COLUMNS))})
    before = _status("VmRSS")
    values, ids = observations(), np.arange(ROWS)
    with open_storage(place, "memory", os.getpid()) as storage:
        storage.write(ids, {"y": values})
    return (_status("VmHWM") - before) / values.nbytes


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(field))


if __name__ == "__main__":
    main()
