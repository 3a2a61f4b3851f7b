"""Stack: the weights of several networks, each tensor along a new first axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(eq=False)
class Stack:
    """Several networks of one kind.

    Args:
        parameters: by name, [members, ...]; those that are trained are leaves that need a gradient.
        buffers: by name, [members, ...]; running means are changed in place.
        generators: one a member, which its dropout draws from.
    """

    parameters: dict[str, Tensor]
    buffers: dict[str, Tensor]
    generators: list[torch.Generator]

    @classmethod
    def of(cls, networks: Sequence[nn.Module], random_states: Sequence[Tensor]) -> Stack:
        """Stack copies of the networks' weights; each member goes on drawing from its random state."""
        named = [dict(network.named_parameters()) for network in networks]
        buffers = [dict(network.named_buffers()) for network in networks]
        parameters = {
            name: _laid_out(torch.stack([each[name].detach() for each in named])).requires_grad_(
                named[0][name].requires_grad
            )
            for name in named[0]
        }
        generators = [torch.Generator() for _ in networks]
        for generator, state in zip(generators, random_states, strict=True):
            generator.set_state(state)
        return cls(parameters, {name: torch.stack([each[name] for each in buffers]) for name in buffers[0]}, generators)

    def __len__(self) -> int:
        return len(self.generators)

    @property
    def trained(self) -> list[Any]:
        """The parameters that an optimizer is given, in the order of the networks."""
        return [parameter for parameter in self.parameters.values() if parameter.requires_grad]

    def values(self) -> dict[str, Tensor]:
        """Return parameters and buffers by name, without gradients."""
        return {name: values.detach() for name, values in (self.parameters | self.buffers).items()}

    def split(self, counts: list[int]) -> list[Stack]:
        """Return neighbours in parts of so many; gradients flow back to these parameters, and buffers are these."""
        parts, ends = [Stack({}, {}, []) for _ in counts], list(accumulate(counts))
        for part, count, end in zip(parts, counts, ends, strict=True):
            part.generators = self.generators[end - count : end]
        for name, values in self.parameters.items():
            for part, own in zip(parts, torch.split(values, counts), strict=True):
                part.parameters[name] = own
        for name, values in self.buffers.items():
            for part, own in zip(parts, torch.split(values, counts), strict=True):
                part.buffers[name] = own
        return parts

    def take(self, places: list[int]) -> Stack:
        """Return a copy of some of the networks, on their own."""
        parameters = {
            name: _laid_out(values.detach()[places]).requires_grad_(values.requires_grad)
            for name, values in self.parameters.items()
        }
        buffers = {name: values[places] for name, values in self.buffers.items()}
        return Stack(parameters, buffers, [self.generators[place] for place in places])

    def copy(self) -> Stack:
        """Return the same networks, independent of these."""
        taken = self.take(list(range(len(self))))
        taken.generators = [generator.clone_state() for generator in self.generators]
        return taken


def _laid_out(weights: Tensor) -> Tensor:
    """Return the weights of convolutions with the channels innermost, as `Placement` lays out those of one network."""
    if weights.ndim != 5:
        return weights
    # a copy even where there is one channel, which lies alike either way: torch goes by the strides
    innermost = weights.permute(0, 1, 3, 4, 2).clone(memory_format=torch.contiguous_format)
    return innermost.permute(0, 1, 4, 2, 3)


def write_back(values: dict[str, Tensor], place: int, network: nn.Module) -> None:
    """Give a network the weights at its place in the stack."""
    with torch.no_grad():
        for name, tensor in (*network.named_parameters(), *network.named_buffers()):
            tensor.copy_(values[name][place])
