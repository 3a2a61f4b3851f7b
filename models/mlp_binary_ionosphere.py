"""Is there structure in the ionosphere? Two classes from 34 numbers of a radar return.

Good returns resemble each other, bad ones are bad in many ways: distances to examples tell more
than weighted sums do, so the radial network is ahead of the perceptrons.
"""

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR

from mlpipeline.pytorch import TableLoader, TorchModel
from mlpipeline.utils import Version, Versions


def load(seed: int = 0) -> TableLoader:
    return TableLoader("data/ionosphere.csv", header=False, seed=seed)


def perceptron(loader: TableLoader) -> nn.Module:
    return nn.Sequential(
        nn.Linear(loader.feature_count, 10), nn.ReLU(), nn.Linear(10, 8), nn.ReLU(), nn.Linear(8, loader.output_count)
    )


class WithSquares(nn.Module):
    """A perceptron that sees each number and its square, so that a class may lie on both sides of another."""

    def __init__(self, loader: TableLoader) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Dropout(0.1), nn.Linear(2 * loader.feature_count, 64), nn.ReLU(), nn.Dropout(0.3), nn.Linear(64, 1)
        )

    def forward(self, rows: Tensor) -> Tensor:
        outputs: Tensor = self.layers(torch.cat([rows, rows.square()], dim=1))
        return outputs


class RadialNetwork(nn.Module):
    """A weighted sum of how near a row is to each of many centres, which are learnt from training rows on."""

    def __init__(self, loader: TableLoader, centre_count: int = 150, width: float = 0.03) -> None:
        super().__init__()
        rows = loader.get_train_input().inputs
        self.centres = nn.Parameter(rows[torch.randperm(len(rows))[:centre_count]].clone())
        self.log_width = nn.Parameter(torch.full([len(self.centres)], width).log())
        self.dropout = nn.Dropout(0.2)
        self.sum = nn.Linear(len(self.centres), loader.output_count)
        nn.init.zeros_(self.sum.weight)

    def forward(self, rows: Tensor) -> Tensor:
        squares = rows.square().sum(1, keepdim=True) + self.centres.square().sum(1) - 2 * rows @ self.centres.T
        nearness = torch.exp(-self.log_width.exp() * squares.clamp_min(0))
        outputs: Tensor = self.sum(self.dropout(nearness))
        return outputs


class Ionosphere(TorchModel):
    def build(self, version: Version) -> nn.Module:
        network: nn.Module = version["network"](version["dataloader"])
        self.add_to_summary(network)
        return network

    def optimizer(self, parameters: list[nn.Parameter], version: Version) -> Optimizer:
        return AdamW(parameters, lr=version["learning_rate"], weight_decay=0.0, fused=True)

    def scheduler(self, optimizer: Optimizer, version: Version, steps: int) -> LRScheduler:
        return OneCycleLR(optimizer, max_lr=version["learning_rate"], total_steps=steps)


versions = Versions(dataloader=load, batch_size=32, epoc_count=60, learning_rate=0.01, keep_predictions=True)
versions.add("perceptron", network=perceptron)
versions.add("squares", network=WithSquares, epoc_count=100)
versions.add("radial", network=RadialNetwork, learning_rate=0.03)

MODEL = Ionosphere(versions)
