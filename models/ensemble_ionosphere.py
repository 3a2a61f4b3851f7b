"""Is there structure in the ionosphere? The same question as in `mlp_binary_ionosphere.py`, put to several networks.

Each version is an ensemble: a network is trained on each of the folds, every fold is a run of its own, and the last of
them puts together what they say. `mlpipeline blend ensemble_ionosphere` then weighs the ensembles against each other
by their out-of-fold predictions.
"""

from typing import Any

import pandas as pd
import torch
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR

from mlpipeline.ensemble import EnsembleModel, ObservationsLoader, StratifiedFolds, TorchTrainer
from mlpipeline.utils import Version, Versions

FEATURES = 34


def load(seed: int = 0) -> ObservationsLoader:
    table = pd.read_csv("data/ionosphere.csv", header=None)
    return ObservationsLoader(table.iloc[:, :FEATURES].to_numpy(), table[FEATURES], test_fraction=0.33, seed=seed)


class WithSquares(nn.Module):
    """A perceptron that sees each number and its square, so that a class may lie on both sides of another."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Dropout(0.2), nn.Linear(2 * FEATURES, 256), nn.ReLU(), nn.Dropout(0.5), nn.Linear(256, 1)
        )

    def forward(self, rows: Tensor) -> Tensor:
        outputs: Tensor = self.layers(torch.cat([rows, rows.square()], dim=1))
        return outputs


class RadialNetwork(nn.Module):
    """A weighted sum of how near a row is to each of many centres."""

    def __init__(self, centre_count: int = 150, width: float = 0.05) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.randn(centre_count, FEATURES))
        self.log_width = nn.Parameter(torch.full([centre_count], width).log())
        self.dropout = nn.Dropout(0.2)
        self.sum = nn.Linear(centre_count, 1)
        nn.init.zeros_(self.sum.weight)

    def forward(self, rows: Tensor) -> Tensor:
        squares = rows.square().sum(1, keepdim=True) + self.centres.square().sum(1) - 2 * rows @ self.centres.T
        nearness = torch.exp(-self.log_width.exp() * squares.clamp_min(0))
        outputs: Tensor = self.sum(self.dropout(nearness))
        return outputs


class IonosphereEnsemble(EnsembleModel):
    def trainer(self, version: Version) -> TorchTrainer:
        rate = version["learning_rate"]

        def optimizer(parameters: list[nn.Parameter]) -> Optimizer:
            return AdamW(parameters, lr=rate, weight_decay=version["weight_decay"])

        def scheduler(optimizer: Optimizer, steps: int) -> LRScheduler:
            return OneCycleLR(optimizer, max_lr=rate, total_steps=steps)

        return TorchTrainer(
            version["network"],
            optimizer=optimizer,
            scheduler=scheduler,
            epochs=version["epoch_count"],
            batch_size=version["batch_size"],
        )

    def preprocessing(self, version: Version) -> Any:
        return StandardScaler()  # fitted on the training rows of each fold alone


versions = Versions(dataloader=load, batch_size=32)
versions.add("squares", network=WithSquares, epoch_count=100, learning_rate=0.01, weight_decay=0.5)
versions.add("radial", network=RadialNetwork, epoch_count=60, learning_rate=0.06, weight_decay=0.0)

MODEL = IonosphereEnsemble(versions, StratifiedFolds(5))
