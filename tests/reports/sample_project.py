"""A project with many recorded runs that look like real ones: a grid of a small network, some of it failed."""

from __future__ import annotations

import base64
import itertools
import math
import random
from pathlib import Path
from typing import Any

from tests.reports.records import end, write, write_curve

# one grey pixel
PIXEL = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg==")
DIGEST = "abcdef0123456789"
CODE = '"""Digits."""\n\nfrom mlpipeline.helper import Model\n\nLABELS = "</script><b>&amp;"\n'


def make_project(root: Path, count: int = 48, steps: int = 60) -> Path:
    """Write a project of `count` runs with curves, and for the last one code, log, artifacts; return its folder."""
    outputs = root / "outputs"
    (root / "models").mkdir(parents=True)
    (root / "mlp.config").write_text("[MLP]\nmodels_dir = models\n")
    chance = random.Random(7)
    grid = itertools.product((32, 64, 128, 256), (0.0, 0.2, 0.5), (0.1, 0.03, 0.01, 0.003, 0.001), ("relu", "gelu"))
    records = [_record(k, values, chance) for k, values in enumerate(itertools.islice(itertools.cycle(grid), count))]
    write(outputs, *records)
    for record in records:
        if record["status"] == "SUCCEEDED":
            write_curve(outputs, record, _curve(record, steps, chance))
    _keep(outputs / records[-1]["model_dir"], records[-1]["run_id"], chance)
    return root


def _record(number: int, values: tuple[Any, ...], chance: random.Random) -> dict[str, Any]:
    width, dropout, rate, activation = values
    parameters = {"learning_rate": rate, "width": width, "dropout": dropout, "activation": activation, "epoc_count": 20}
    accuracy = 0.985 - 0.035 * abs(math.log10(rate) + 2) - 0.8 / width - 0.03 * abs(dropout - 0.2)
    accuracy += chance.gauss(0, 0.003)
    metrics = {
        "train.accuracy": min(1.0, accuracy + 0.01),
        "test.accuracy": accuracy,
        "test.loss": (1 - accuracy) * 3.1,
    }
    ordinary = {
        "script": "digits.py",
        "version": f"lr{rate:g}-w{width}-d{dropout:g}-{activation}" + (f"-{number}" if number >= 120 else ""),
        "parameters": parameters,
        "metrics": metrics,
        "seconds": 4 + width / 20 + chance.random(),
        "peak_memory_mb": 300 + width,
        "steps": 1200,
        "source_digest": DIGEST,
        "libraries": {"torch": "2.9.1", "numpy": "2.3.5"},
    }
    if number % 17 == 5:
        error = 'Traceback (most recent call last):\n  File "digits.py", line 41\nValueError: loss is not finite'
        ordinary |= {
            "status": "FAILED",
            "metrics": {},
            "error": error,
            "error_summary": "ValueError: loss is not finite",
        }
    return end(number, **ordinary)


def _curve(record: dict[str, Any], steps: int, chance: random.Random) -> dict[str, list[float]]:
    best, rate = record["metrics"]["test.accuracy"], record["parameters"]["learning_rate"]
    speed = 2 + 30 * rate**0.5 + record["parameters"]["width"] / 80
    fall = [math.exp(-speed * k / steps) for k in range(steps)]
    return {
        "loss": [2.3 * part + (1 - best) * 3 * (1 + chance.gauss(0, 0.06)) for part in fall],
        "valid.accuracy": [best - (best - 0.1) * part + chance.gauss(0, 0.004) for part in fall],
    }


def _keep(folder: Path, run_id: str, chance: random.Random) -> None:
    code, kept = folder / "code" / DIGEST[:12], folder / "artifacts" / run_id
    code.mkdir(parents=True)
    kept.mkdir(parents=True)
    (code / "digits.py").write_text(CODE)
    (code / "layers.py").write_text("WIDTH = 64\n")
    (folder / "stdout.log").write_text(
        f"--- digits.py:old other ---\nold\n--- digits.py:{folder.name[7:]} {run_id} ---\nepoch 1\n"
    )
    (kept / "weights.png").write_bytes(PIXEL)
    (kept / "worst.csv").write_text("id,loss\n4,2.5\n9,1.75\n")
    rows = []
    for k in range(400):
        truth = k % 10
        rows.append(f"{k},{truth},{truth if chance.random() < 0.93 else chance.randrange(10)}")
    (kept / "test.predictions.csv").write_text("id,truth,prediction\n" + "\n".join(rows) + "\n")
