"""Journals made by hand, for tests that need many runs or odd ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def end(number: int, **values: Any) -> dict[str, Any]:
    """Return the record of a run's end; what is not given is ordinary."""
    minute, second = divmod(number, 60)
    moment = f"2026-01-02T{3 + minute // 60:02d}:{minute % 60:02d}:{second:02d}.000+00:00"
    name = values.get("version", f"v{number}")
    ordinary = {
        "event": "end",
        "run_id": f"run{number:06d}",
        "script": "a.py",
        "version": name,
        "status": "SUCCEEDED",
        "fingerprint": f"f{name}",
        "started": moment,
        "host": "h1",
        "pid": 1,
        "model_dir": f"model_ckpts/{str(values.get('script', 'a.py')).removesuffix('.py')}-{name}",
        "seed": number,
        "resumed": False,
        "source_digest": "0" * 32,
        "parameters": {"learning_rate": 0.1, "batch_size": 4, "epoc_count": 2, "dataloader": "a.Data"},
        "git_commit": "c" * 40,
        "git_clean": True,
        "ended": moment,
        "recorded": moment,
        "seconds": 1.5,
        "peak_memory_mb": 100.0,
        "steps": 4,
        "metrics": {"train.accuracy": 0.9, "test.accuracy": 0.8},
        "python": "3.11.7",
        "libraries": {"numpy": "2.0.0"},
    }
    return {**ordinary, **values}


def start(number: int, **values: Any) -> dict[str, Any]:
    """Return the record of a run's start."""
    kept = ("event", "run_id", "script", "version", "status", "fingerprint", "started", "host", "pid", "model_dir")
    kept = (*kept, "seed", "resumed", "source_digest", "parameters")
    record = end(number, **{"event": "start", "status": "RUNNING", **values})
    return {key: record[key] for key in kept}


def write(outputs: Path, *records: dict[str, Any] | str, host: str = "h1") -> Path:
    """Append records, or lines as they are, to the journal of a host."""
    outputs.mkdir(exist_ok=True)
    path = outputs / f"history-{host}"
    with path.open("a", encoding="utf-8") as file:
        for record in records:
            line = record if isinstance(record, str) else json.dumps(record, separators=(",", ":"))
            file.write(line + "\n")
    return path


def write_curve(outputs: Path, record: dict[str, Any], points: dict[str, list[float]]) -> None:
    """Write the metrics of a run over the steps 1, 2, ..., one list a metric."""
    folder = outputs / record["model_dir"]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"run_id": record["run_id"]}) + "\n")
        for place in range(max(map(len, points.values()))):
            metrics = {name: values[place] for name, values in points.items() if place < len(values)}
            file.write(json.dumps({"step": place + 1, "time": 1.7e9 + place, "metrics": metrics}) + "\n")
