"""What is a house worth? The median value of a Boston census tract, in 1,000 USD, from 13 numbers.

Column 11 (`B`, counted from 0) of this old data set is made from the share of Black residents. It
is kept, so that results compare with what is published; no decision about people may rest on it.
"""

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR

from mlpipeline.pytorch import TableLoader, TorchModel
from mlpipeline.utils import Version, Versions


def load(seed: int = 0) -> TableLoader:
    return TableLoader("data/housing.csv", header=False, seed=seed)


class Members(nn.Module):
    """Several perceptrons side by side in one network, each seeing the rows with noise of its own.

    In training all their outputs are returned, [n, members], each of which the loss compares
    with the target; in use their mean, [n, 1].
    """

    def __init__(self, feature_count: int, member_count: int, width: int, noise: float) -> None:
        super().__init__()
        sizes = [feature_count, width, width, 1]
        self.weights = nn.ParameterList(
            torch.randn(member_count, inputs, outputs) * (2 / inputs) ** 0.5 for inputs, outputs in pairwise(sizes)
        )
        self.biases = nn.ParameterList(torch.zeros(member_count, 1, outputs) for outputs in sizes[1:])
        self.noise = noise

    def forward(self, rows: Tensor) -> Tensor:
        values = rows.expand(len(self.weights[0]), -1, -1)
        if self.training:
            values = values + self.noise * torch.randn_like(values)
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            values = torch.baddbmm(bias, values, weight).relu()
        outputs = torch.baddbmm(self.biases[-1], values, self.weights[-1])[..., 0].T
        return outputs if self.training else outputs.mean(dim=1, keepdim=True)


def mean_square(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the mean over rows and members; targets, [n, 1], hold for all members."""
    return (outputs - targets).square().mean()


class Housing(TorchModel):
    def build(self, version: Version) -> nn.Module:
        features = version["dataloader"].feature_count
        network = Members(features, version["members"], version["width"], version["noise"])
        self.add_to_summary(
            f"{version['members']} perceptrons of {features}-{version['width']}-{version['width']}-1 units"
        )
        return network

    def loss(self, version: Version) -> Callable[[Tensor, Tensor], Tensor]:
        return mean_square

    def optimizer(self, parameters: list[nn.Parameter], version: Version) -> Optimizer:
        return AdamW(parameters, lr=version["learning_rate"], weight_decay=version["weight_decay"], fused=True)

    def scheduler(self, optimizer: Optimizer, version: Version, steps: int) -> LRScheduler:
        return OneCycleLR(optimizer, max_lr=version["learning_rate"], total_steps=steps)


versions = Versions(
    dataloader=load,
    batch_size=32,
    epoc_count=100,
    learning_rate=0.01,
    weight_decay=0.3,
    width=64,
    noise=0.1,
    keep_predictions=True,
)
versions.add("single", members=1)
versions.add("eight", members=8)

MODEL = Housing(versions)
