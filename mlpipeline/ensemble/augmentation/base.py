"""What every augmentation can do, and the one that does nothing."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from mlpipeline.errors import EnsembleError

if TYPE_CHECKING:
    import torch

CHANNELS_LAST, CHANNELS_FIRST = "channels_last", "channels_first"
Statistics = Mapping[str, NDArray[Any]]
_MOST_CHANNELS = 4  # that an axis can have and still be taken for the channels by its length alone


@runtime_checkable
class Augmentation(Protocol):
    """Changes a batch of images; it holds no state.

    Attributes:
        is_random: two calls may differ, so that averaging over several has a meaning.
        needs_statistics: it must be fitted before it is called.
        scaling: what it does to the values of every image, in training and prediction alike: two augmentations with
            the same scaling show a model the same image.
    """

    @property
    def is_random(self) -> bool: ...

    @property
    def needs_statistics(self) -> bool: ...

    @property
    def scaling(self) -> tuple[Hashable, ...]: ...

    def fit(self, images: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """Return what it has to know of training images, [n, ...layout]; nothing if it needs no statistics."""
        ...

    def __call__(self, images: torch.Tensor, statistics: Statistics, generator: torch.Generator) -> torch.Tensor:
        """Return changed copies of images.

        Args:
            images: float32[n, ...layout], never changed.
            statistics: what `fit` returned for the training images.
            generator: everything that is drawn comes from it; global random state is the same before and after.
        Returns: float32[n, ...layout], on the device of the images.
        """
        ...

    def fixed(self) -> Augmentation:
        """Return the part that is not random: rescaling, centring, sizes."""
        ...


@dataclass(frozen=True)
class Identity:
    """Leaves images, and rows of any other shape, as they are."""

    is_random = False
    needs_statistics = False
    scaling: tuple[Hashable, ...] = ()

    def fit(self, images: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        return {}

    def __call__(self, images: torch.Tensor, statistics: Statistics, generator: torch.Generator) -> torch.Tensor:
        return images

    def fixed(self) -> Identity:
        return self


def check_images(shape: tuple[int, ...], layout: str) -> None:
    """Raises: EnsembleError: a batch of this shape holds no images, or holds them in the other layout."""
    expected = "[n, height, width, channels]" if layout == CHANNELS_LAST else "[n, channels, height, width]"
    if len(shape) != 4:
        advice = "; add the axis of channels" if len(shape) == 3 else ""
        raise EnsembleError(f"augmentation needs images {expected}, but the rows have the shape {shape}{advice}")
    here, there = (shape[3], shape[1]) if layout == CHANNELS_LAST else (shape[1], shape[3])
    if here > _MOST_CHANNELS >= there:
        raise EnsembleError(
            f"augmentation needs images {expected} here, but {shape} has its channels elsewhere; move that axis"
        )
