"""How long `status`, `compare` and `report` take on many records, and how much memory: `make bench`.

Each command is a process of its own, timed from its start to its end, its output going to a file. The index beside the
history is there from an earlier command, or absent: then the command makes it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.table import print_table
from mlpipeline.helper import DataLoader, Model
from mlpipeline.reporting import Recorder, listen
from mlpipeline.utils import Versions

VERSIONS = 1_000  # the other records are earlier runs of these
CURVE_STEPS = 500


def record(number: int, versions: int) -> tuple[str, str]:
    """Return the two lines of one run."""
    second = 1_760_000_000 + number
    started = time.strftime("%Y-%m-%dT%H:%M:%S.000+00:00", time.gmtime(second))
    ended = time.strftime("%Y-%m-%dT%H:%M:%S.900+00:00", time.gmtime(second))
    version = number % versions
    common = {
        "run_id": f"{second:x}-{number:08x}",
        "script": f"mlp_{version % 7}.py",
        "version": f"v{version}",
        "fingerprint": f"{version:032x}",
    }
    details = {
        "started": started,
        "host": "machine",
        "pid": 1,
        "model_dir": f"model_ckpts/mlp_{version % 7}-v{version}",
        "seed": version,
        "resumed": False,
        "source_digest": "0" * 64,
        "parameters": {
            "batch_size": 32,
            "dataloader": "data.Loader(folder='data/ionosphere', fraction=0.8)",
            "epoc_count": 20,
            "hidden": 2 ** (version % 8),
            "learning_rate": 0.001 * (1 + version % 50),
            "model_dir_suffix": None,
        },
    }
    metrics = {f"{part}.{name}": 1 / (1 + number % 977) for part in ("train", "test") for name in ("loss", "accuracy")}
    outcome = {
        "git_commit": "c" * 40,
        "git_clean": True,
        "ended": ended,
        "recorded": ended,
        "seconds": 0.9,
        "peak_memory_mb": 512.5,
        "steps": 220,
        "metrics": metrics,
        "python": "3.11.7",
        "libraries": {"numpy": "2.4.0", "torch": "2.9.1"},
    }
    start = {"event": "start", **common, "status": "RUNNING", **details}
    # as the journal writes them: what identifies a run stands first
    start = {key: start[key] for key in ("event", "run_id", "script", "version", "status", "fingerprint", *details)}
    end = {**start, "event": "end", "status": "SUCCEEDED", **outcome}
    return json.dumps(start, separators=(",", ":")), json.dumps(end, separators=(",", ":"))


def project(folder: Path, records: int, versions: int) -> Path:
    """Make a project whose history has so many records, half a million bytes a thousand."""
    (folder / "outputs" / "model_ckpts").mkdir(parents=True)
    (folder / "mlp.config").write_text("[MLP]\n")
    with (folder / "outputs" / "history-machine").open("w") as file:
        for number in range(records):
            file.write("\n".join(record(number, versions)) + "\n")
    return folder


def add_curves(folder: Path, runs: int) -> None:
    """Write two metrics over the steps of each run."""
    for number in range(runs):
        end = json.loads(record(number, runs)[1])
        model_dir = folder / "outputs" / end["model_dir"]
        model_dir.mkdir()
        lines = [json.dumps({"run_id": end["run_id"]})]
        for step in range(CURVE_STEPS):
            metrics = {"loss": 1 / (1 + step + number % 13), "accuracy": 1 - 1 / (2 + step)}
            lines.append(json.dumps({"step": step, "time": 1.76e9 + step / 10, "metrics": metrics}))
        (model_dir / "metrics.jsonl").write_text("\n".join(lines) + "\n")


def measured(folder: Path, *arguments: str) -> tuple[float, float]:
    """Run a command; return its seconds and its largest resident set in MiB."""
    command = [sys.executable, "-m", "mlpipeline", "-C", str(folder), *arguments]
    began = time.perf_counter()
    with (folder / "printed").open("w") as printed:
        process = subprocess.Popen(command, stdout=printed)
        _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    if status:
        raise SystemExit(f"{' '.join(arguments)} ended with status {status}")
    return seconds, usage.ru_maxrss / 1024


def rows_for(records: int, versions: int) -> list[list[str]]:
    rows = []
    with tempfile.TemporaryDirectory() as place:
        folder = project(Path(place), records, versions)
        for arguments in (["status"], ["compare", "--metric", "test.accuracy"]):
            for index in folder.glob("outputs/.index-*"):
                index.unlink()
            cold, cold_memory = measured(folder, *arguments)
            warm = [measured(folder, *arguments) for _ in range(5)]
            seconds, memory = min(warm)
            what = f"{arguments[0]}, {records:,} records of {versions:,} versions"
            rows.append([what, f"{seconds:.2f} s, {memory:.0f} MiB", f"{cold:.2f} s, {cold_memory:.0f} MiB"])
    return rows


def report_row(runs: int) -> list[str]:
    with tempfile.TemporaryDirectory() as place:
        folder = project(Path(place), runs, runs)
        add_curves(folder, runs)
        page = folder / "report.html"
        seconds, memory = measured(folder, "report", "--output", str(page))
        size = page.stat().st_size / 2**20
        what = f"report, {runs:,} runs with 2 curves of {CURVE_STEPS} steps"
        return [what, f"{seconds:.1f} s, {memory:.0f} MiB, page of {size:.1f} MiB", ""]


def call_rows(calls: int = 20_000) -> list[list[str]]:
    """Return what a call of `Model.report` costs in a recorded run, its line in the file of metrics included."""
    model = Model(Versions(dataloader=DataLoader, batch_size=1, epoch_count=1))
    rows = []
    for count in (1, 4, 10):
        metrics = {f"metric_{number}": 0.123456789 * (number + 1) for number in range(count)}
        with tempfile.TemporaryDirectory() as place:
            listen(Recorder("run", Path(place, "progress.json"), Path(place, "metrics.jsonl")))
            began = time.perf_counter()
            for step in range(calls):
                model.report(step, calls, **metrics)
            microseconds = (time.perf_counter() - began) / calls * 1e6
            listen()
        rows.append([f"{count}", f"{microseconds:.1f} µs", "20 µs"])
    return rows


def main() -> None:
    sizes = [(records, versions) for records in (10_000, 100_000) for versions in (VERSIONS, records)]
    rows = [row for size in sizes for row in rows_for(*size)]
    rows.append(report_row(1_000))
    print_table("looking at records", ["command", "with the index", "making the index"], rows)
    print_table("a call of Model.report, a mean of 20,000", ["metrics", "measured", "aim"], call_rows())


if __name__ == "__main__":
    main()
