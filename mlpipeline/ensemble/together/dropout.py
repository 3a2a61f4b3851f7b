"""Dropout: masks for many networks, each drawn from its own generator as the network alone would draw it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn


def dropout_masks(like: Tensor, share: float, generators: Sequence[torch.Generator]) -> Tensor:
    """Return what values are multiplied by, [members, ...].

    Args:
        like: one member's values, [rows, ...], laid out in memory as its network lays them out. share: that is dropped.
        generators: one a member.
    """
    if share == 1:
        return like.new_zeros(len(generators), *like.shape)
    masks = [torch.empty_like(like).bernoulli_(1 - share, generator=generator) for generator in generators]
    return torch.stack(masks).div_(1 - share)


class Drawn:
    """What dropout layers of a network are given: masks in the order in which they ask for them.

    Attributes:
        is_recording: nothing is dropped, and it is written down what is asked for.
        asked: the values that dropout is applied to, with its share, in the order of the layers.
        masks: that are given.
    """

    def __init__(self) -> None:
        self.is_recording = False
        self.asked: list[tuple[Tensor, float]] = []
        self.masks: Iterator[Tensor] = iter(())


class GivenDropout(nn.Module):
    """Dropout that does not draw.

    Args:
        share: that is dropped. drawn: where the masks come from.
    """

    def __init__(self, share: float, drawn: Drawn) -> None:
        super().__init__()
        self.share, self.drawn = share, drawn

    def forward(self, values: Tensor) -> Tensor:
        if not self.training or self.share == 0:
            return values
        if self.drawn.is_recording:
            self.drawn.asked.append((values, self.share))
            return values
        return values * next(self.drawn.masks)
