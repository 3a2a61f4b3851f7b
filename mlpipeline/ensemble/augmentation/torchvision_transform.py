"""Transforms of `torchvision.transforms.v2`, called for one image at a time, so that each draws for itself.

Which transforms are random is told by their class: those called `Random...`, those that draw parameters
(`make_params`), and a few more. Any other one, a `Lambda` or a module of the user's own too, is taken to treat all
images alike, and is part of prediction.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torchvision.transforms import v2

from mlpipeline.ensemble.augmentation.base import CHANNELS_LAST, Statistics, check_images
from mlpipeline.errors import EnsembleError

_RANDOM = (
    v2.AugMix, v2.AutoAugment, v2.RandAugment, v2.TrivialAugmentWide, v2.ColorJitter, v2.ElasticTransform,
    v2.GaussianBlur, v2.GaussianNoise, v2.JPEG, v2.ScaleJitter,
)  # fmt: skip
_SHAPES = (v2.Resize, v2.CenterCrop, v2.Pad, v2.ToImage, v2.ToPureTensor, v2.Identity)  # leave values as they are
_BYTES = "bytes"  # name of the statistic: 1 where images hold whole numbers from 0 to 255


@dataclass(frozen=True, eq=False)
class ImageTransform:
    """Applies a transform to images [channels, height, width] one by one.

    Images of whole numbers from 0 to 255 reach it as uint8, as images from files do in torchvision, so that
    `ToDtype(torch.float32, scale=True)` brings them to 0..1 and colours are those of 0..255; images from 0 to 1
    reach it as float32.
    """

    layout: str
    transform: nn.Module

    @property
    def is_random(self) -> bool:
        return any(_is_random(leaf) for leaf in _leaves(self.transform))

    @property
    def needs_statistics(self) -> bool:
        return True

    @property
    def scaling(self) -> tuple[Hashable, ...]:
        return tuple(
            _description(leaf)
            for leaf in _leaves(self.transform)
            if not _is_random(leaf) and not isinstance(leaf, _SHAPES)
        )

    def fit(self, images: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        check_images(images.shape, self.layout)
        lowest, highest = float(images.min()), float(images.max())
        is_bytes = lowest >= 0 and 1 < highest <= 255 and bool((images == np.floor(images)).all())
        if not is_bytes and not 0 <= lowest <= highest <= 1:
            raise EnsembleError(
                "torchvision's transforms take images of whole numbers from 0 to 255 or of numbers from 0 to 1, but "
                f"the training images have numbers from {lowest:g} to {highest:g}; give images as they are in their "
                "files, and leave scaling to the transforms"
            )
        return {_BYTES: np.array([is_bytes])}

    def __call__(self, images: torch.Tensor, statistics: Statistics, generator: torch.Generator) -> torch.Tensor:
        check_images(tuple(images.shape), self.layout)
        is_last = self.layout == CHANNELS_LAST
        given = (images.permute(0, 3, 1, 2) if is_last else images).detach().cpu()
        given = given.round().clamp(0, 255).to(torch.uint8) if statistics[_BYTES][0] else given.clone()
        seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.default_generator.manual_seed(seed)  # of the CPU alone: torch.manual_seed seeds devices as well
            results = [self._transformed(image) for image in given.contiguous()]
        if len({tuple(result.shape) for result in results}) != 1:
            raise EnsembleError(
                f"augmentation: the transform makes images of different sizes of images {tuple(given.shape[1:])}: "
                f"{', '.join(sorted({str(tuple(result.shape)) for result in results}))}; end it with v2.Resize"
            )
        stacked = torch.stack(results).float().to(images.device)
        return stacked.permute(0, 2, 3, 1).contiguous() if is_last else stacked

    def fixed(self) -> ImageTransform:
        return ImageTransform(self.layout, v2.Compose([_fixed(leaf) for leaf in _leaves(self.transform)]))

    def _transformed(self, image: torch.Tensor) -> torch.Tensor:
        try:
            result = self.transform(image)
        except (TypeError, ValueError, RuntimeError) as error:
            raise EnsembleError(
                f"augmentation: the transform fails for an image {tuple(image.shape)} of {image.dtype}: {error}"
            ) from error
        if not isinstance(result, torch.Tensor) or result.ndim != 3:
            raise EnsembleError(f"augmentation: a transform must return one image, but returned {result!r:.80}")
        return result


def _fixed(leaf: nn.Module) -> nn.Module:
    """Return what stands for a transform in prediction: itself, or of a random one what gives images their size."""
    if isinstance(leaf, v2.RandomResizedCrop):
        resize: nn.Module = v2.Resize(leaf.size, leaf.interpolation, antialias=leaf.antialias)
        return resize
    if isinstance(leaf, v2.RandomCrop):
        crop: nn.Module = v2.CenterCrop(leaf.size)
        return crop
    return v2.Identity() if _is_random(leaf) else leaf


def _description(leaf: Any) -> Hashable:
    """Return what is equal for two transforms that do the same."""
    if isinstance(leaf, v2.Lambda):
        return "Lambda", leaf.lambd
    return (repr(leaf), str(getattr(leaf, "dtype", ""))) if isinstance(leaf, nn.Module) else leaf


def _leaves(transform: nn.Module) -> Iterator[nn.Module]:
    """Yield the transforms that are applied one after the other."""
    if isinstance(transform, v2.Compose):
        for each in transform.transforms:
            yield from _leaves(each)
    elif isinstance(transform, nn.Sequential):
        for each in transform:
            yield from _leaves(each)
    else:
        yield transform


def _is_random(leaf: nn.Module) -> bool:
    draws = getattr(type(leaf), "make_params", None) is not getattr(v2.Transform, "make_params", None)
    named = any(base.__name__.startswith("Random") for base in type(leaf).__mro__)
    return named or isinstance(leaf, _RANDOM) or (isinstance(leaf, v2.Transform) and draws)
