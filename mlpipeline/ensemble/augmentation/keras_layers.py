"""Preprocessing layers of Keras, called for whole batches of images [n, height, width, channels]."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mlpipeline.ensemble.augmentation.base import CHANNELS_LAST, Statistics, check_images
from mlpipeline.errors import EnsembleError

_SHAPES = ("Resizing", "CenterCrop")  # classes that leave values as they are
_MIXING = ("MixUp", "CutMix")
_LABELS = ("name", "trainable", "dtype")  # of a layer's description, which say nothing about what it does


@dataclass(frozen=True, eq=False)
class KerasLayers:
    """Calls layers with training=True, or with training=False for the part that is not random.

    A `Normalization` that was not adapted is fitted on the training images of each member, as they reach it.

    Args:
        layout: of the images.
        layer: a layer, or a Sequential of them; its seeds are the same before and after a call.
        trains: random layers work.
    """

    layout: str
    layer: Any
    trains: bool = True

    def __post_init__(self) -> None:
        for each in _leaves(self.layer):
            if type(each).__name__ in _MIXING:
                raise EnsembleError(
                    f"augmentation: {type(each).__name__} mixes labels too, which an ensemble's trainer cannot"
                )

    @property
    def is_random(self) -> bool:
        return self.trains and bool(_seeds(self.layer))

    @property
    def needs_statistics(self) -> bool:
        return any(_is_unfitted(each) for each in _leaves(self.layer))

    @property
    def scaling(self) -> tuple[Hashable, ...]:
        return tuple(
            _description(each)
            for each in _leaves(self.layer)
            if not _seeds(each) and type(each).__name__ not in _SHAPES
        )

    def fit(self, images: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        if not self.needs_statistics:
            return {}
        check_images(images.shape, self.layout)
        images = images if self.layout == CHANNELS_LAST else images.transpose(0, 2, 3, 1)
        statistics: dict[str, NDArray[Any]] = {}
        for number, each in enumerate(_leaves(self.layer)):
            if _is_unfitted(each):
                kept = _axes(each, images.ndim)
                others = tuple(axis for axis in range(images.ndim) if axis not in kept)
                statistics[f"mean{number}"] = images.mean(others, np.float64, keepdims=True).astype(np.float32)
                statistics[f"deviation{number}"] = images.std(others, np.float64, keepdims=True).astype(np.float32)
            images = _called(each, number, images, statistics, trains=False)
        return statistics

    def __call__(self, images: torch.Tensor, statistics: Statistics, generator: torch.Generator) -> torch.Tensor:
        check_images(tuple(images.shape), self.layout)
        is_last = self.layout == CHANNELS_LAST
        changed = (images if is_last else images.permute(0, 2, 3, 1)).detach().cpu().numpy()
        seed = int(torch.randint(2**31, (), generator=generator, device=generator.device))
        with _seeded(self.layer, seed), torch.no_grad():
            for number, each in enumerate(_leaves(self.layer)):
                changed = _called(each, number, changed, statistics, self.trains)
        result = torch.tensor(changed, dtype=torch.float32, device=images.device)
        return result if is_last else result.permute(0, 3, 1, 2).contiguous()

    def fixed(self) -> KerasLayers:
        return replace(self, trains=False)


def _called(layer: Any, number: int, images: NDArray[Any], statistics: Statistics, trains: bool) -> NDArray[Any]:
    """Return what one layer makes of images."""
    if _is_unfitted(layer):
        return np.asarray((images - statistics[f"mean{number}"]) / np.maximum(statistics[f"deviation{number}"], 1e-7))
    import keras

    return np.asarray(keras.ops.convert_to_numpy(layer(images, training=trains)))


def _leaves(layer: Any) -> Iterator[Any]:
    """Yield the layers that are called one after the other."""
    import keras

    if isinstance(layer, keras.Sequential):
        for each in layer.layers:
            yield from _leaves(each)
    else:
        yield layer


def _seeds(layer: Any) -> list[Any]:
    """Return the variables that a layer's random numbers come from; a layer without any is not random."""
    return [variable for variable in layer.variables if variable.name == "seed_generator_state"]


def _is_unfitted(layer: Any) -> bool:
    import keras

    return isinstance(layer, keras.layers.Normalization) and layer.input_mean is None and not layer.built


def _axes(layer: Any, dimensions: int) -> set[int]:
    """Return the axes along which a Normalization keeps means apart."""
    axes = layer.axis if isinstance(layer.axis, tuple | list) else () if layer.axis is None else (layer.axis,)
    return {axis % dimensions for axis in axes}


def _description(layer: Any) -> Hashable:
    """Return what is equal for two layers that do the same."""
    config = {key: value for key, value in layer.get_config().items() if key not in _LABELS}
    weights = tuple(np.asarray(weight).tobytes() for weight in layer.get_weights())
    return type(layer).__name__, json.dumps(config, sort_keys=True, default=repr), weights


@contextmanager
def _seeded(layer: Any, seed: int) -> Iterator[None]:
    """Let a layer's random numbers follow from a seed; its own seeds and torch's global state are put back."""
    import keras

    states = [(variable, np.array(keras.ops.convert_to_numpy(variable))) for variable in _seeds(layer)]
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        for number, (variable, _) in enumerate(states):
            variable.assign(np.array([seed, number * 2**16]))
        try:
            yield
        finally:
            for variable, state in states:
                variable.assign(state)
