"""Which digit? Several small convolutional networks, trained on bags of images that are shifted and turned at random.

Each bag is a run of its own. A test image is shown several times, each time moved a little, to every network of an
ensemble, and the mean of what they say is the answer. `mlpipeline blend ensemble_digits` blends the two ensembles.
"""

from sklearn.datasets import load_digits
from torch import nn
from torch.optim import SGD, Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR

from mlpipeline.ensemble import Bags, EnsembleModel, ObservationsLoader, TorchTrainer
from mlpipeline.utils import Version, Versions

SCALED = {"rescale": 1 / 6, "featurewise_center": True}  # the mean of each member's own training images
MOVED = SCALED | {"rotation_range": 8, "width_shift_range": 0.08, "height_shift_range": 0.08}
NUDGED = SCALED | {"rotation_range": 4, "width_shift_range": 0.04, "height_shift_range": 0.04}


def load(seed: int = 0) -> ObservationsLoader:
    digits = load_digits()
    return ObservationsLoader(digits.images[:, None], digits.target, test_fraction=0.33, seed=seed)


def two_layers(channels: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, channels, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(channels, 2 * channels, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(2 * channels * 16, 10),
    )


def three_layers(channels: int) -> nn.Module:
    return nn.Sequential(
        *normalised(1, channels),
        *normalised(channels, 2 * channels),
        nn.MaxPool2d(2),
        *normalised(2 * channels, 4 * channels),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(4 * channels * 4, 10),
    )


def normalised(channels_in: int, channels_out: int) -> list[nn.Module]:
    return [nn.Conv2d(channels_in, channels_out, 3, padding=1), nn.BatchNorm2d(channels_out), nn.ReLU()]


class DigitsEnsemble(EnsembleModel):
    def trainer(self, version: Version) -> TorchTrainer:
        rate = version["learning_rate"]

        def optimizer(parameters: list[nn.Parameter]) -> Optimizer:
            return SGD(parameters, lr=rate, momentum=0.9, nesterov=True, weight_decay=5e-4)

        def scheduler(optimizer: Optimizer, steps: int) -> LRScheduler:
            return OneCycleLR(optimizer, max_lr=rate, total_steps=steps)

        return TorchTrainer(
            version["network"],
            version["channels"],
            optimizer=optimizer,
            scheduler=scheduler,
            epochs=version["epoch_count"],
            batch_size=version["batch_size"],
            train_augmentation=MOVED,
            test_augmentation=NUDGED,
            test_passes=8,
        )


versions = Versions(dataloader=load, batch_size=32, epoch_count=20, learning_rate=0.1, channels=16)
versions.add("two", network=two_layers)
versions.add("three", network=three_layers)

MODEL = DigitsEnsemble(versions, Bags(5, valid_size=0.15, stratify=True))
