"""All folds at once, the overhead of an ensemble, and its import, each beside a bare loop in torch.

Usage: python -m benchmarks.ensemble_speed [--quick]

The bare loop is what a user writes by hand: for each member a network, Adam, batches that are cut from a permutation
of its rows, the loss of its validation rows after each epoch, and its predictions of them at the end. An ensemble does
the same and, besides, checks what it is given, computes scores and, all at once, compares a first step. The ways take
turns; the times are medians.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from benchmarks.table import print_table
from mlpipeline.ensemble import Bags, Ensemble, Folds, Splits, TorchTrainer

BATCH = 32
IMPORT = "import time; t = time.perf_counter(); import mlpipeline.ensemble; print(time.perf_counter() - t)"


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(34, 10), nn.ReLU(), nn.Linear(10, 8), nn.ReLU(), nn.Linear(8, 1))


def adam(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=0.003)


def data() -> tuple[Any, Any]:
    table = pd.read_csv("data/ionosphere.csv", header=None)
    return table.iloc[:, :34].to_numpy(np.float32), (table[34] == "g").to_numpy().astype(np.int64)


def bare(rows: Any, y: Any, splits: Splits, epochs: int) -> float:
    """Train member after member; return the mean accuracy."""
    inputs, targets, loss = torch.from_numpy(rows), torch.from_numpy(y).float()[:, None], nn.BCEWithLogitsLoss()
    accuracies = []
    for number, split in enumerate(splits):
        torch.manual_seed(number)
        model = network()
        optimizer = adam(list(model.parameters()))
        train, valid, history = torch.from_numpy(split.train), torch.from_numpy(split.valid), []
        for _ in range(epochs):
            model.train()
            order = train[torch.randperm(len(train))]
            for batch in torch.split(order, BATCH):
                optimizer.zero_grad()
                loss(model(inputs[batch]), targets[batch]).backward()
                optimizer.step()
            model.eval()
            with torch.no_grad():
                history.append(float(loss(model(inputs[valid]), targets[valid])))
        with torch.no_grad():
            accuracies.append(float(((model(inputs[valid]) > 0) == (targets[valid] > 0)).float().mean()))
    return statistics.mean(accuracies)


def ensemble(rows: Any, y: Any, splits: Splits, epochs: int, together: bool) -> float:
    trainer = TorchTrainer(network, epochs=epochs, batch_size=BATCH, optimizer=adam)
    return Ensemble(trainer, splits, metrics="accuracy", together=together).fit(rows, y).scores["accuracy"].mean


def measured(ways: dict[str, Callable[[], float]], rounds: int) -> tuple[dict[str, float], dict[str, float]]:
    """Return the median seconds and the last score of each way."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    scores = {}
    for _ in range(rounds):
        for name, way in ways.items():
            started = time.perf_counter()
            scores[name] = way()
            seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(taken) for name, taken in seconds.items()}, scores


def compare(plan: Any, epochs: int, rounds: int, aim: str) -> list[str]:
    rows, y = data()
    splits = plan.split(len(y), y, None, 0)
    ways = {
        "bare": lambda: bare(rows, y, splits, epochs),
        "alone": lambda: ensemble(rows, y, splits, epochs, together=False),
        "at once": lambda: ensemble(rows, y, splits, epochs, together=True),
    }
    seconds, scores = measured(ways, rounds)
    what = f"{len(splits)} {splits.kind}s, {epochs} epochs"
    cells = [f"{seconds[name]:.2f} s ({scores[name]:.3f})" for name in ways]
    overhead, gain = seconds["alone"] / seconds["bare"] - 1, seconds["bare"] / seconds["at once"]
    return [what, *cells, f"{overhead:+.1%}", f"{gain:.1f}", aim]


def import_seconds() -> float:
    done = [
        subprocess.run([sys.executable, "-c", IMPORT], capture_output=True, text=True, check=True) for _ in range(7)
    ]
    return statistics.median(float(each.stdout) for each in done)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="one round")
    rounds = 1 if parser.parse_args().quick else 3
    torch.set_num_threads(1)  # a second one only costs time on networks of this size
    compare(Folds(2), 2, 1, "")  # warms up
    rows = [
        compare(Folds(5), 60, rounds, "4"),
        compare(Folds(10), 60, rounds, "7"),
        compare(Bags(50), 30, rounds, "9"),
    ]
    headings = ["small perceptron, ionosphere", "bare loop", "one after the other", "all at once"]
    headings += ["overhead (aim: 3 %)", "times as fast, all at once", "aim"]
    print_table("All folds at once (validation accuracy in parentheses)", headings, rows)
    print(f"`import mlpipeline.ensemble` takes {import_seconds() * 1000:.1f} ms (aim: 100)")


if __name__ == "__main__":
    main()
