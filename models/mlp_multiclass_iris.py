"""Which of three irises? Three classes from four measures of a flower, in cm."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR

from mlpipeline.pytorch import TableLoader, TorchModel
from mlpipeline.utils import Version, Versions


def load(seed: int = 0) -> TableLoader:
    return TableLoader("data/iris.csv", header=False, seed=seed)


class Perceptron(nn.Sequential):
    """Two hidden layers; it returns logits, since the loss applies the softmax."""

    def __init__(self, loader: TableLoader) -> None:
        super().__init__(
            nn.Linear(loader.feature_count, 10),
            nn.Tanh(),
            nn.Linear(10, 8),
            nn.Tanh(),
            nn.Linear(8, loader.output_count),
        )

    @staticmethod
    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return functional.cross_entropy(outputs, targets, label_smoothing=0.1)


class GaussianClasses(nn.Module):
    """A map under which each class is a round cloud: its outputs are log(density x share) of each class.

    The loss is the likelihood of rows and classes together, not of the classes alone: with 100
    rows the assumption about their shape is worth more than freedom is.
    """

    def __init__(self, loader: TableLoader) -> None:
        super().__init__()
        self.transform = nn.Parameter(torch.eye(loader.feature_count))
        self.centres = nn.Parameter(torch.zeros(loader.output_count, loader.feature_count))
        self.shares = nn.Parameter(torch.zeros(loader.output_count))

    def forward(self, rows: Tensor) -> Tensor:
        squares = ((rows @ self.transform)[:, None] - self.centres).square().sum(2)
        log_densities: Tensor = self.shares.log_softmax(0) + torch.linalg.slogdet(self.transform)[1] - squares / 2
        return log_densities

    @staticmethod
    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return -outputs.gather(1, targets[:, None]).mean()


class Iris(TorchModel):
    def build(self, version: Version) -> nn.Module:
        network: nn.Module = version["network"](version["dataloader"])
        self.add_to_summary(network)
        return network

    def loss(self, version: Version) -> Callable[[Tensor, Tensor], Tensor]:
        chosen: Callable[[Tensor, Tensor], Tensor] = version["network"].loss
        return chosen

    def optimizer(self, parameters: list[nn.Parameter], version: Version) -> Optimizer:
        return AdamW(parameters, lr=version["learning_rate"], weight_decay=0.0, fused=True)

    def scheduler(self, optimizer: Optimizer, version: Version, steps: int) -> LRScheduler:
        return OneCycleLR(optimizer, max_lr=version["learning_rate"], total_steps=steps)


versions = Versions(dataloader=load, batch_size=16, keep_predictions=True)
versions.add("perceptron", network=Perceptron, learning_rate=0.03, epoc_count=100)
versions.add("gaussian", network=GaussianClasses, learning_rate=0.1, epoc_count=200)

MODEL = Iris(versions)
