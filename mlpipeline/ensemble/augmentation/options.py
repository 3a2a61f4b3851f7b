"""Options: the familiar options of ImageDataGenerator, read from a dict and applied to whole batches."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mlpipeline.ensemble.augmentation.base import CHANNELS_LAST, Statistics, check_images
from mlpipeline.ensemble.augmentation.geometry import PADDING, Geometry, Shift
from mlpipeline.ensemble.augmentation.values import WHITE, Colours, Scaling, white
from mlpipeline.errors import EnsembleError, did_you_mean

_REFUSED = {
    "data_format": "the trainer knows where the channels are",
    "dtype": "images are float32",
    "validation_split": "the plan of the ensemble divides rows",
    "zca_whitening": "fit sklearn.decomposition.PCA(whiten=True) as preprocessing of flat rows instead",
    "zca_epsilon": "there is no zca_whitening",
    "interpolation_order": "pixels are interpolated bilinearly, order 1",
}
_HARMLESS = {"dtype": "float32", "zca_epsilon": 1e-6, "interpolation_order": 1}  # defaults besides None, False and 0
_FLAGS = (
    "horizontal_flip", "vertical_flip", "samplewise_center", "samplewise_std_normalization",
    "featurewise_center", "featurewise_std_normalization",
)  # fmt: skip
_OPTIONS = (
    "rotation_range", "width_shift_range", "height_shift_range", "shear_range", "zoom_range", "brightness_range",
    "channel_shift_range", "fill_mode", "cval", "rescale", "preprocessing_function", *_FLAGS,
)  # fmt: skip


@dataclass(frozen=True)
class ImageOptions:
    """Moves images, changes their colours and scales them, in this order, which is ImageDataGenerator's."""

    layout: str
    geometry: Geometry
    colours: Colours
    scales: Scaling

    @property
    def is_random(self) -> bool:
        return self != self.fixed()

    @property
    def needs_statistics(self) -> bool:
        return self.scales.needs_statistics or self.colours.brightness is not None

    @property
    def scaling(self) -> tuple[Hashable, ...]:
        return self.scales.steps

    def fit(self, images: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        check_images(images.shape, self.layout)
        statistics: dict[str, NDArray[Any]] = {}
        if self.colours.brightness is not None:
            statistics[WHITE] = np.array(white(images), np.float32)
        if self.scales.needs_statistics:
            channels_first = images.transpose(0, 3, 1, 2) if self.layout == CHANNELS_LAST else images
            statistics |= self.scales.fit(channels_first)
        return statistics

    def __call__(self, images: torch.Tensor, statistics: Statistics, generator: torch.Generator) -> torch.Tensor:
        check_images(tuple(images.shape), self.layout)
        is_last = self.layout == CHANNELS_LAST
        moved = self.geometry(images.permute(0, 3, 1, 2) if is_last else images, generator)
        scaled = self.scales(self.colours(moved, statistics, generator), statistics)
        return (scaled.permute(0, 2, 3, 1) if is_last else scaled).contiguous()

    def fixed(self) -> ImageOptions:
        geometry = Geometry(fill_mode=self.geometry.fill_mode, cval=self.geometry.cval)
        return replace(self, geometry=geometry, colours=Colours())


def read_options(options: Mapping[str, Any], layout: str, name: str) -> ImageOptions:
    """Return what options of ImageDataGenerator mean.

    Args:
        options: by the names that ImageDataGenerator has. layout: of the images. name: what to call them in messages.
    Raises: EnsembleError: an option is unknown, cannot be used here, or has a value that has no meaning.
    """
    _check_names(options, name)
    given = _Given(options, name)
    flags = {flag: given.flag(flag) for flag in _FLAGS}
    geometry = Geometry(
        given.number("rotation_range"),
        given.shift("width_shift_range"),
        given.shift("height_shift_range"),
        given.number("shear_range"),
        given.zoom(),
        flags.pop("horizontal_flip"),
        flags.pop("vertical_flip"),
        given.fill_mode(),
        given.number("cval", lowest=-math.inf),
    )
    colours = Colours(given.number("channel_shift_range"), given.brightness())
    for kind in ("samplewise", "featurewise"):  # as ImageDataGenerator: a deviation is one from the mean
        flags[f"{kind}_center"] |= flags[f"{kind}_std_normalization"]
    rescale = given.number("rescale", lowest=-math.inf) or None
    return ImageOptions(layout, geometry, colours, Scaling(given.function(), rescale, **flags))


def _check_names(options: Mapping[str, Any], name: str) -> None:
    for option, value in options.items():
        if option in _REFUSED:
            if value and value != _HARMLESS.get(option):
                raise EnsembleError(f"{name}: {option}={value!r} cannot be used: {_REFUSED[option]}")
        elif option not in _OPTIONS:
            raise EnsembleError(
                f"{name}: {option!r} is no option of ImageDataGenerator{did_you_mean(str(option), _OPTIONS)}; "
                f"expected some of {', '.join(_OPTIONS)}"
            )


@dataclass(frozen=True)
class _Given:
    """Options, read one by one with checks."""

    options: Mapping[str, Any]
    name: str

    def refuse(self, option: str, expected: str) -> EnsembleError:
        return EnsembleError(f"{self.name}: {option} must be {expected}, but got {self.options[option]!r}")

    def _value(self, option: str) -> Any:
        value = self.options.get(option)
        return 0.0 if value is None else value

    def flag(self, option: str) -> bool:
        value = self.options.get(option, False)
        if not isinstance(value, bool | np.bool_):
            raise self.refuse(option, "True or False")
        return bool(value)

    def number(self, option: str, lowest: float = 0.0) -> float:
        value = self._value(option)
        if not _is_number(value) or value < lowest:
            raise self.refuse(option, "a number" if lowest < 0 else f"a number from {lowest:g}")
        return float(value)

    def shift(self, option: str) -> Shift:
        value = self._value(option)
        if isinstance(value, list | tuple | np.ndarray) and len(value) and all(map(_is_number, value)):
            return tuple(map(float, value))
        if not _is_number(value) or value < 0:
            raise self.refuse(option, "a share below 1, a number of pixels from 1, or a list of these")
        return int(value) if isinstance(value, int | np.integer) else float(value)

    def zoom(self) -> tuple[float, float]:
        value = self._value("zoom_range")
        low, high = (1 - value, 1 + value) if _is_number(value) else self.pair("zoom_range")
        if not 0 < low <= high:
            raise self.refuse("zoom_range", "a share from 0 to below 1, or (lowest, highest) factor above 0")
        return float(low), float(high)

    def brightness(self) -> tuple[float, float] | None:
        if self.options.get("brightness_range") is None:
            return None
        low, high = self.pair("brightness_range")
        if not 0 <= low <= high:
            raise self.refuse("brightness_range", "(lowest, highest) factor from 0")
        return low, high

    def pair(self, option: str) -> tuple[float, float]:
        value = self.options[option]
        if not isinstance(value, list | tuple | np.ndarray) or len(value) != 2 or not all(map(_is_number, value)):
            raise self.refuse(option, "(lowest, highest)")
        return float(value[0]), float(value[1])

    def fill_mode(self) -> str:
        value = self.options.get("fill_mode", "nearest")
        if value not in PADDING:
            raise self.refuse("fill_mode", f"one of {', '.join(PADDING)}")
        return str(value)

    def function(self) -> Any:
        value = self.options.get("preprocessing_function")
        if value is not None and not callable(value):
            raise self.refuse("preprocessing_function", "a function of an image")
        return value


def _is_number(value: Any) -> bool:
    is_real = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    return is_real and math.isfinite(value)
