"""How long the command line takes to answer, with a thousand records.

Usage: python -m benchmarks.response
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.large_queue import write_project
from benchmarks.table import print_table


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_project(Path(folder), scripts=10, versions=100, lines=2000)
        command = Path(sys.executable).with_name("mlpipeline")
        asked = {"--help": ["--help"], "status": ["-C", folder, "status"]}
        rows = [
            [name, f"{_median_seconds(command, arguments):.3f} s", "under 0.12 s"] for name, arguments in asked.items()
        ]
    print_table("answers with 1,000 records, medians of 20", ["command", "measured", "target"], rows)


def _median_seconds(command: Path, arguments: list[str]) -> float:
    times = []
    for _ in range(20):
        began = time.perf_counter()
        subprocess.run([command, *arguments], check=True, capture_output=True)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


if __name__ == "__main__":
    main()
