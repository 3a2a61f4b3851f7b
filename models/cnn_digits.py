"""Which digit? Ten classes from images of 8 x 8 pixels, which come with scikit-learn."""

from sklearn.datasets import load_digits
from torch import nn
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR

from mlpipeline.pytorch import ArrayLoader, TorchModel
from mlpipeline.utils import Version, Versions


def load(seed: int = 0) -> ArrayLoader:
    digits = load_digits()
    return ArrayLoader(digits.images[:, None], digits.target, task="multiclass", scale="whole", seed=seed)


class Digits(TorchModel):
    def build(self, version: Version) -> nn.Module:
        channels = version["channels"]
        network = nn.Sequential(
            nn.Conv2d(1, channels, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(channels, 2 * channels, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(version["dropout"]),
            nn.Linear(2 * channels * 16, version["dataloader"].output_count),
        )
        self.add_to_summary(network)
        return network

    def optimizer(self, parameters: list[nn.Parameter], version: Version) -> Optimizer:
        return SGD(parameters, lr=version["learning_rate"], momentum=0.9, nesterov=True, weight_decay=5e-4, fused=True)

    def scheduler(self, optimizer: Optimizer, version: Version, steps: int) -> LRScheduler:
        return OneCycleLR(optimizer, max_lr=version["learning_rate"], total_steps=steps)


versions = Versions(
    dataloader=load, batch_size=32, epoc_count=10, learning_rate=0.1, dropout=0.2, keep_predictions=True
)
versions.grid({"channels": [8, 16]}, name="channels{channels}")

MODEL = Digits(versions)
