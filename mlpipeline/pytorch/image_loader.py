"""ImageLoader: torchvision's sets of small images, held in memory as bytes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mlpipeline.errors import DataError, did_you_mean
from mlpipeline.pytorch.batches import Rows
from mlpipeline.pytorch.loading import Parts, TensorLoader
from mlpipeline.pytorch.targets import ClassLabels
from mlpipeline.pytorch.tasks import MULTICLASS

# the sets that torchvision reads from plain idx files; CIFAR's are pickles, which are not read here
DATASETS = ("MNIST", "FashionMNIST", "KMNIST")


class ImageLoader(TensorLoader):
    """A set of images and its labels, with the training and test part that it comes with.

    The pixels stay bytes, 1/4 of the memory of floats; a batch is standardised when it is cut.

    Args:
        dataset: a torchvision data set of images as idx files: MNIST, FashionMNIST or KMNIST.
        folder: where it lies, as torchvision puts it: `<folder>/MNIST/raw`.
        download: fetch it into that folder where it is missing.
        train_count: use only the first so many images of the training part; all if None.

    Raises: DataError: the data set is not one of those.
    """

    def __init__(
        self,
        dataset: str = "MNIST",
        folder: str | Path = "data",
        download: bool = False,
        train_count: int | None = None,
    ) -> None:
        if dataset not in DATASETS:
            nearest = did_you_mean(str(dataset), DATASETS)
            raise DataError(
                f"dataset must be one of {', '.join(DATASETS)}, but got {dataset!r}{nearest}; "
                "pass the images of any other as arrays to ArrayLoader"
            )
        self.dataset = dataset
        self.folder = folder
        self.download = download
        self.train_count = train_count

    def load(self) -> Parts:
        """Read both parts. Raises: DataError: the files are missing or cannot be fetched."""
        self._refuse_pickles()
        images, labels, names = self._read(train=True)
        test_images, test_labels, _ = self._read(train=False)
        images, labels = images[: self.train_count], labels[: self.train_count]
        scaling = PixelScale.fit(images)
        train, test = (
            Rows(image, label, scaling.prepare) for image, label in ((images, labels), (test_images, test_labels))
        )
        return Parts(train, test, MULTICLASS, ClassLabels(np.array(names)), scaling.encode)

    def _read(self, *, train: bool) -> tuple[Tensor, Tensor, list[str]]:
        """Return uint8[n, 1, height, width], int64[n] and the names of the classes."""
        import torchvision

        try:
            part = getattr(torchvision.datasets, self.dataset)(str(self.folder), train=train, download=self.download)
        except (RuntimeError, OSError) as error:
            raise DataError(
                f"{self.dataset} is not in {Path(self.folder).absolute()} and was not fetched ({error}); "
                f"name the folder that holds {self.dataset}/raw, or pass download=True where there is a network"
            ) from error
        # torchvision names the digits "3 - three"
        names = [str(name).split(" - ")[0] for name in part.classes]
        return part.data[:, None].contiguous(), part.targets.long(), names

    def _refuse_pickles(self) -> None:
        old_format = Path(self.folder) / self.dataset / "processed"
        if any(old_format.glob("*.pt")):
            raise DataError(f"{old_format} holds pickles of an old torchvision, which are not read; remove that folder")


@dataclass(frozen=True)
class PixelScale:
    """Bytes -> standardised floats; mean and deviation are those of the training pixels."""

    mean: float
    deviation: float
    image_shape: tuple[int, ...]

    @classmethod
    def fit(cls, images: Tensor) -> PixelScale:
        """Fit on uint8[n, channels, height, width]."""
        counts = torch.bincount(images.flatten(), minlength=256).double()
        levels = torch.arange(256, dtype=torch.float64)
        mean = float((counts * levels).sum() / counts.sum())
        variance = float((counts * (levels - mean) ** 2).sum() / counts.sum())
        return cls(mean, variance**0.5 or 1.0, tuple(images.shape[1:]))

    def prepare(self, images: Tensor) -> Tensor:
        """Return float32 of the same shape."""
        return (images.float() - self.mean).mul_(1 / self.deviation)

    def encode(self, rows: Any) -> Tensor:
        """Return uint8[n, channels, height, width] for images of 0 to 255, with or without the channel.

        Raises: DataError: their shape differs from that of the training images.
        """
        images = torch.as_tensor(np.asarray(rows))
        if images.numel() % np.prod(self.image_shape) or images.shape[-2:] != self.image_shape[-2:]:
            raise DataError(f"each image must have the shape {self.image_shape}, but got {tuple(images.shape)}")
        if images.is_floating_point() and images.numel() and float(images.max()) <= 1.0:
            raise DataError("images must hold pixels from 0 to 255, but got numbers up to 1; multiply them by 255")
        return images.clamp(0, 255).to(torch.uint8).reshape(-1, *self.image_shape)
