"""Geometry: rotations, shifts, shears, zooms and flips of a whole batch, one transformation matrix an image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

Shift = float | int | tuple[float, ...]
PADDING = {"nearest": "border", "reflect": "reflection", "constant": "zeros", "wrap": "zeros"}


@dataclass(frozen=True)
class Geometry:
    """How images are moved, each by parameters of its own; the meaning of ImageDataGenerator's options.

    Args:
        rotation: degrees, from -rotation to rotation.
        width_shift, height_shift: a float below 1 is the largest share of the size, from 1 on the largest number of
            pixels; an int leaves fewer whole pixels than it; of a tuple one element is drawn, with either sign.
        shear: degrees, from -shear to shear.
        zoom: smallest and largest factor, drawn for each axis; above 1 shows more of the image, smaller.
        horizontal_flip, vertical_flip: half of the images.
        fill_mode: what is seen beyond the edges: "nearest", "constant", "reflect" or "wrap". cval: the constant.
    """

    rotation: float = 0.0
    width_shift: Shift = 0.0
    height_shift: Shift = 0.0
    shear: float = 0.0
    zoom: tuple[float, float] = (1.0, 1.0)
    horizontal_flip: bool = False
    vertical_flip: bool = False
    fill_mode: str = "nearest"
    cval: float = 0.0

    @property
    def is_affine(self) -> bool:
        """Whether pixels are moved by more than flips."""
        return bool(self.rotation or self.width_shift or self.height_shift or self.shear or self.zoom != (1.0, 1.0))

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return moved copies of images, float32[n, channels, height, width]."""
        if self.is_affine:
            images = warp(images, self.draw(images, generator), self.fill_mode, self.cval)
        for flips, axis in ((self.horizontal_flip, 3), (self.vertical_flip, 2)):
            if flips:
                chosen = uniform(len(images), 0.0, 1.0, generator).to(images.device) < 0.5
                images = torch.where(chosen[:, None, None, None], images.flip(axis), images)
        return images

    def draw(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return a matrix an image, float32[n, 2, 3], on the device of the images; see `matrices`."""
        count, _, height, width = images.shape
        return matrices(
            torch.deg2rad(uniform(count, -self.rotation, self.rotation, generator)),
            _shifts(self.width_shift, width, count, generator),
            _shifts(self.height_shift, height, count, generator),
            torch.deg2rad(uniform(count, -self.shear, self.shear, generator)),
            uniform(count, *self.zoom, generator),
            uniform(count, *self.zoom, generator),
        ).to(images.device)


def matrices(angle: Tensor, right: Tensor, down: Tensor, shear: Tensor, zoom_x: Tensor, zoom_y: Tensor) -> Tensor:
    """Return what turns places in the new image into places in the old one, [n, 2, 3].

    Places are (x, y, 1) in pixels from the middle of the image, so what is looked up to the right moves left.
    The product is rotation, shift, shear, zoom, as in `apply_affine_transform` of Keras.

    Args:
        angle, shear: radians, [n]. right, down: pixels, [n]. zoom_x, zoom_y: factors, [n].
    """
    one, zero = torch.ones_like(angle), torch.zeros_like(angle)
    cos, sin = torch.cos(angle), torch.sin(angle)
    factors = (
        ((cos, -sin, zero), (sin, cos, zero), (zero, zero, one)),
        ((one, zero, right), (zero, one, down), (zero, zero, one)),
        ((one, -torch.sin(shear), zero), (zero, torch.cos(shear), zero), (zero, zero, one)),
        ((zoom_x, zero, zero), (zero, zoom_y, zero), (zero, zero, one)),
    )
    rotation, shift, slant, zoom = (torch.stack([torch.stack(row, 1) for row in rows], 1) for rows in factors)
    return (rotation @ shift @ slant @ zoom)[:, :2]


def warp(images: Tensor, places: Tensor, fill_mode: str = "nearest", cval: float = 0.0) -> Tensor:
    """Return images as they are seen at other places, bilinearly between pixels.

    Args:
        images: float32[n, channels, height, width]. places: matrices [n, 2, 3], see `matrices`.
        fill_mode, cval: of `Geometry`.
    """
    height, width = images.shape[2:]
    # affine_grid measures from the middle in halves of the image, x in widths and y in heights
    in_halves = torch.tensor([[1.0, height / width, 2 / width], [width / height, 1.0, 2 / height]])
    grid = functional.affine_grid(places * in_halves.to(places.device), list(images.shape), align_corners=False)
    if fill_mode == "wrap":
        images, grid = _wrapped(images, grid)
    offset = cval if fill_mode == "constant" else 0.0
    moved = functional.grid_sample(images - offset, grid, "bilinear", PADDING[fill_mode], align_corners=False)
    return moved + offset


def uniform(count: int, low: float, high: float, generator: torch.Generator) -> Tensor:
    """Return numbers from low to high, float32[count], on the generator's device."""
    return low + (high - low) * torch.rand(count, generator=generator, device=generator.device)


def _shifts(shift: Shift, size: int, count: int, generator: torch.Generator) -> Tensor:
    """Return pixels, float32[count]."""
    if isinstance(shift, float):
        return uniform(count, -shift, shift, generator) * (size if shift < 1 else 1)
    choices = torch.tensor(shift if isinstance(shift, tuple) else range(max(shift, 1)), dtype=torch.float32)
    place = generator.device
    signs = 2.0 * torch.randint(2, (count,), generator=generator, device=place) - 1
    chosen = choices.to(place)[torch.randint(len(choices), (count,), generator=generator, device=place)]
    return chosen * signs * (size if choices.max() < 1 else 1)


def _wrapped(images: Tensor, grid: Tensor) -> tuple[Tensor, Tensor]:
    """Return images with a border from their other side, and places that lie within it."""
    inside = []
    for values, size in zip(grid.unbind(-1), (images.shape[3], images.shape[2]), strict=True):
        pixels = (((values + 1) * size - 1) / 2) % size
        inside.append((2 * (pixels + 1) + 1) / (size + 2) - 1)
    return functional.pad(images, (1, 1, 1, 1), mode="circular"), torch.stack(inside, -1)
