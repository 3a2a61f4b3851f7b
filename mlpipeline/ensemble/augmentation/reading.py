"""Read what a user gives as augmentation, and see that training and prediction agree on the values of images."""

from __future__ import annotations

import sys
from collections.abc import Hashable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlpipeline.ensemble.augmentation.base import CHANNELS_FIRST, CHANNELS_LAST, Augmentation, Identity
from mlpipeline.errors import EnsembleError

SAMPLE = 2_000
"""Training images, at most, that statistics are computed from."""


class Trio(NamedTuple):
    """The augmentations of training, validation and test images."""

    train: Augmentation
    valid: Augmentation
    test: Augmentation

    @property
    def needs_statistics(self) -> bool:
        """Whether `fit` has to see training images."""
        return any(each.needs_statistics for each in self)

    def fit(self, images: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        """Return the statistics of training images, float32[n, ...layout], that any of the three needs."""
        return {**self.test.fit(images), **self.valid.fit(images), **self.train.fit(images)}


def sampled(row_count: int, seed: int) -> NDArray[np.int64]:
    """Return which of a member's training images its statistics are computed from, in ascending order.

    Args:
        row_count: of the training images. seed: of the member.
    """
    return np.sort(np.random.default_rng(seed).permutation(row_count)[:SAMPLE])


def read_augmentation(spec: Any, layout: str, name: str = "augmentation") -> Augmentation:
    """Return the augmentation that a user described.

    Args:
        spec: None, options of ImageDataGenerator, a transform of `torchvision.transforms.v2`, a Keras preprocessing
            layer or a Sequential of them, or an `Augmentation`.
        layout: "channels_last" or "channels_first", of the images. name: what to call it in messages.
    Raises: EnsembleError: it is none of these, or has options that cannot be used.
    """
    if layout not in (CHANNELS_LAST, CHANNELS_FIRST):
        raise EnsembleError(f'layout must be "{CHANNELS_LAST}" or "{CHANNELS_FIRST}", but got {layout!r}')
    if spec is None:
        return Identity()
    if isinstance(spec, Mapping):
        from mlpipeline.ensemble.augmentation.options import read_options

        return read_options(spec, layout, name)
    if _is_a(spec, "keras", "Layer"):  # before torch: with torch underneath, layers are modules too
        from mlpipeline.ensemble.augmentation.keras_layers import KerasLayers

        return KerasLayers(layout, spec)
    if _is_a(spec, "torch.nn", "Module"):
        from mlpipeline.ensemble.augmentation.torchvision_transform import ImageTransform

        return ImageTransform(layout, spec)
    if isinstance(spec, Augmentation):
        return spec
    raise EnsembleError(
        f"{name} must be a dict of ImageDataGenerator's options, a transform of torchvision.transforms.v2, or a Keras "
        f"preprocessing layer or Sequential of them, but got {spec!r:.80}; "
        + (
            "give its options as a dict"
            if type(spec).__name__ == "ImageDataGenerator"
            else 'a function of an image can be given as {"preprocessing_function": ...}'
        )
    )


def read_trio(train: Any, valid: Any, test: Any, layout: str) -> Trio:
    """Return the augmentations of training, validation and test images.

    Where valid or test is None it is the part of train that is not random, so that a model always sees the values
    that it was trained on.

    Raises: EnsembleError: one of them cannot be read, or rescales or centres otherwise than train.
    """
    first = read_augmentation(train, layout, "train_augmentation")
    others = []
    for spec, name in ((valid, "valid_augmentation"), (test, "test_augmentation")):
        other = first.fixed() if spec is None else read_augmentation(spec, layout, name)
        if other.scaling != first.scaling:
            raise EnsembleError(
                f"{name} scales images otherwise than train_augmentation: {_text(other.scaling)} there, "
                f"{_text(first.scaling)} in training; the model would be shown values that it was not trained on: give "
                f"both the same, as the same kind of augmentation, or leave {name} out to take training's"
            )
        others.append(other)
    return Trio(first, *others)


def _is_a(spec: Any, module: str, name: str) -> bool:
    """Tell whether something is of a class of a library, which was not loaded if nothing is."""
    found = sys.modules.get(module)
    return found is not None and isinstance(spec, getattr(found, name))


def _text(scaling: tuple[Hashable, ...]) -> str:
    steps = (" ".join(map(str, step)) if isinstance(step, tuple) else str(step) for step in scaling)
    return ", ".join(steps) or "nothing"
