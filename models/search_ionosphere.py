"""Which perceptron is best for the ionosphere? Twelve trials of a search, each chosen by what those before it reached.

What a search maximises is found by looking, and so it flatters: what was chosen on some rows must be judged on others.
The rows are therefore divided into three. `test.accuracy`, which is searched by, is measured on 78 validation rows;
`test.held_out_accuracy` on 116 rows that no choice has looked at: the test part of `mlp_binary_ionosphere.py`.
"""

from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR

from mlpipeline.pytorch import Parts, Rows, TableLoader, TorchModel
from mlpipeline.utils import Version, Versions

VALIDATION_FRACTION = 1 / 3


class ThreeParts(TableLoader):
    """The table in three parts: the rows to validate on are taken from the training part."""

    held_out: Rows

    def load(self) -> Parts:
        parts = super().load()
        self.held_out = parts.test
        count = round(VALIDATION_FRACTION * len(parts.train))
        order = torch.randperm(len(parts.train), generator=torch.Generator().manual_seed(self.seed))
        return replace(parts, train=parts.train.at(order[count:]), test=parts.train.at(order[:count]))


def load(seed: int = 0) -> ThreeParts:
    return ThreeParts("data/ionosphere.csv", header=False, seed=seed)


class Ionosphere(TorchModel):
    def build(self, version: Version) -> nn.Module:
        self.loader: ThreeParts = version["dataloader"]
        count, hidden = self.loader.feature_count, version["hidden"]
        return nn.Sequential(nn.Linear(count, hidden), nn.ReLU(), nn.Dropout(version["dropout"]), nn.Linear(hidden, 1))

    def optimizer(self, parameters: list[nn.Parameter], version: Version) -> Optimizer:
        return AdamW(parameters, lr=version["learning_rate"], weight_decay=version["weight_decay"], fused=True)

    def scheduler(self, optimizer: Optimizer, version: Version, steps: int) -> LRScheduler:
        return OneCycleLR(optimizer, max_lr=version["learning_rate"], total_steps=steps)

    def evaluate_model(self, input_fn: Any, steps: int) -> dict[str, float]:
        metrics = super().evaluate_model(input_fn, steps)
        if input_fn is self.loader.get_test_input():
            held_out = super().evaluate_model(self.loader.held_out, len(self.loader.held_out))
            metrics["held_out_accuracy"] = held_out["accuracy"]
        return metrics


versions = Versions(dataloader=load, epoc_count=40, evaluation_epochs=4)
versions.search(
    {
        "learning_rate": (1e-3, 1e-1, "log"),
        "weight_decay": (1e-4, 1.0, "log"),
        "hidden": (8, 128, "log"),
        "dropout": (0.0, 0.5),
        "batch_size": [16, 32, 64],
    },
    metric="test.accuracy",
    direction="maximize",
    trials=12,
    pruner="median",
)

MODEL = Ionosphere(versions)
