"""Which digit? Ten classes from the 70,000 images of 28 x 28 pixels of MNIST.

The images are looked for in the folder that the environment variable MNIST_FOLDER names, or else
in data/mnist; if they are not there, torchvision fetches them.
"""

import os

import torchvision  # noqa: F401  (so that it is imported once for all runs)
from torch import nn
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR

from mlpipeline.pytorch import ImageLoader, TorchModel
from mlpipeline.utils import Version, Versions


def load() -> ImageLoader:
    return ImageLoader("MNIST", os.environ.get("MNIST_FOLDER", "data/mnist"), download=True)


class Mnist(TorchModel):
    def build(self, version: Version) -> nn.Module:
        channels = version["channels"]
        network = nn.Sequential(
            nn.Conv2d(1, channels, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(channels, channels, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(channels * 5 * 5, 100),
            nn.ReLU(),
            nn.Linear(100, version["dataloader"].output_count),
        )
        self.add_to_summary(network)
        return network

    def optimizer(self, parameters: list[nn.Parameter], version: Version) -> Optimizer:
        return SGD(parameters, lr=version["learning_rate"], momentum=0.9, nesterov=True, weight_decay=5e-4, fused=True)

    def scheduler(self, optimizer: Optimizer, version: Version, steps: int) -> LRScheduler:
        return OneCycleLR(optimizer, max_lr=version["learning_rate"], total_steps=steps)


versions = Versions(dataloader=load, batch_size=64, learning_rate=0.1)
versions.add("three-epochs", epoc_count=3, channels=32)
versions.add("ten-epochs", epoc_count=10, channels=64)

MODEL = Mnist(versions)
