"""Values of pixels: colours changed at random, and the scaling that every image gets."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mlpipeline.ensemble.augmentation.base import Statistics
from mlpipeline.ensemble.augmentation.geometry import uniform
from mlpipeline.errors import EnsembleError

WHITE = "white"  # name of the statistic: 255, or 1 where training images go from 0 to 1
_EPSILON = 1e-6  # ImageDataGenerator's
_CHUNK = 256  # images that statistics are taken of at a time


@dataclass(frozen=True)
class Colours:
    """How colours are changed, each image by parameters of its own.

    Args:
        channel_shift: the largest number that is added to all channels; the image keeps its darkest and brightest.
        brightness: smallest and largest factor; None for none.
    """

    channel_shift: float = 0.0
    brightness: tuple[float, float] | None = None

    def __call__(self, images: Tensor, statistics: Statistics, generator: torch.Generator) -> Tensor:
        """Return changed copies of images, float32[n, channels, height, width]."""
        if self.channel_shift:
            added = uniform(len(images), -self.channel_shift, self.channel_shift, generator).to(images.device)
            lowest, highest = images.amin((1, 2, 3), keepdim=True), images.amax((1, 2, 3), keepdim=True)
            images = (images + added[:, None, None, None]).clamp(lowest, highest)
        if self.brightness:
            factors = uniform(len(images), *self.brightness, generator).to(images.device)
            images = (images * factors[:, None, None, None]).clamp(0.0, float(statistics[WHITE]))
        return images


@dataclass(frozen=True)
class Scaling:
    """What every image gets, in training and prediction; in the order of the arguments.

    Args:
        preprocessing_function: of one image [height, width, channels], returns one of the same shape.
        rescale: factor.
        samplewise_center, samplewise_std_normalization: subtract an image's own mean, divide by its own deviation.
        featurewise_center, featurewise_std_normalization: subtract the mean of each channel of the training images
            as they are after all of the above, divide by its deviation.
    """

    preprocessing_function: Callable[[Any], Any] | None = None
    rescale: float | None = None
    samplewise_center: bool = False
    samplewise_std_normalization: bool = False
    featurewise_center: bool = False
    featurewise_std_normalization: bool = False

    @property
    def steps(self) -> tuple[Hashable, ...]:
        """The options that are set, with their values."""
        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        return tuple((name, value) for name, value in values if value)

    @property
    def needs_statistics(self) -> bool:
        return self.featurewise_center or self.featurewise_std_normalization

    def fit(self, images: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """Return mean and deviation of each channel of training images, float32[n, channels, height, width]."""
        count, total, squares = 0, torch.zeros(()), torch.zeros(())
        for start in range(0, len(images), _CHUNK):
            chunk = self._own(torch.tensor(images[start : start + _CHUNK], dtype=torch.float32)).double()
            count += chunk[:, 0].numel()
            total = total + chunk.sum((0, 2, 3))
            squares = squares + chunk.square().sum((0, 2, 3))
        mean = total / count
        deviation = (squares / count - mean.square()).clamp(min=0).sqrt()
        return {"mean": mean.float().numpy(), "deviation": deviation.float().numpy()}

    def __call__(self, images: Tensor, statistics: Statistics) -> Tensor:
        """Return scaled copies of images, float32[n, channels, height, width]."""
        images = self._own(images)
        if self.featurewise_center:
            images = images - _channels(statistics["mean"], images)
        if self.featurewise_std_normalization:
            images = images / (_channels(statistics["deviation"], images) + _EPSILON)
        return images

    def _own(self, images: Tensor) -> Tensor:
        """Return images after the steps that look at one image alone."""
        if self.preprocessing_function is not None:
            images = _each(self.preprocessing_function, images)
        if self.rescale is not None:
            images = images * self.rescale
        if self.samplewise_center:
            images = images - images.mean((1, 2, 3), keepdim=True)
        if self.samplewise_std_normalization:
            images = images / (images.std((1, 2, 3), correction=0, keepdim=True) + _EPSILON)
        return images


def white(images: NDArray[np.float32]) -> float:
    """Return the value of white in training images: 255, or 1 where none is brighter.

    Raises: EnsembleError: values are negative or above 255.
    """
    lowest, highest = float(images.min()), float(images.max())
    if lowest < 0 or highest > 255:
        raise EnsembleError(
            "brightness_range needs images from 0 to 255 or from 0 to 1, but the training images go from "
            f"{lowest:g} to {highest:g}; leave rescaling and centring to the augmentation"
        )
    return 255.0 if highest > 1 else 1.0


def _channels(values: NDArray[Any], images: Tensor) -> Tensor:
    return torch.tensor(values, dtype=torch.float32, device=images.device)[:, None, None]


def _each(function: Callable[[Any], Any], images: Tensor) -> Tensor:
    """Return what a function makes of each image, which it gets as a copy [height, width, channels]."""
    results = []
    for image in images.detach().cpu().permute(0, 2, 3, 1):
        given = image.numpy().copy()
        result = np.asarray(function(given), dtype=np.float32)
        if result.shape != tuple(image.shape):
            raise EnsembleError(
                f"preprocessing_function must return an image of the shape {tuple(image.shape)}, as it got, "
                f"but returned {result.shape}"
            )
        results.append(torch.tensor(result))
    return torch.stack(results).permute(0, 3, 1, 2).to(images.device)
