"""Stack: the weights of several networks, each tensor along a new first axis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


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

    def part(self, places: list[int]) -> Stack:
        """Return some of the networks; gradients flow back to these parameters, but buffers are copies."""
        parameters = {name: _laid_out(values[places]) for name, values in self.parameters.items()}
        buffers = {name: values[places] for name, values in self.buffers.items()}
        return Stack(parameters, buffers, [self.generators[place] for place in places])

    def take(self, places: list[int]) -> Stack:
        """Return a copy of some of the networks, on their own."""
        part = self.part(places)
        parameters = {
            name: values.detach().requires_grad_(self.parameters[name].requires_grad)
            for name, values in part.parameters.items()
        }
        return Stack(parameters, part.buffers, part.generators)

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


def exchange(optimizer: Optimizer, old: list[Tensor], new: list[Tensor], places: list[int]) -> None:
    """Let an optimizer go on with some members only, with what it remembers of them.

    Args:
        optimizer: of the parameters `old`, each computed element by element.
        old, new: [members, ...] of all members, and of those at `places`.
    """
    by_old = {id(before): after for before, after in zip(old, new, strict=True)}
    for group in optimizer.param_groups:
        group["params"] = [by_old[id(parameter)] for parameter in group["params"]]
    for before, after in zip(old, new, strict=True):
        state = optimizer.state.pop(before)
        optimizer.state[after] = {
            name: value[places] if isinstance(value, Tensor) and value.shape == before.shape else value
            for name, value in state.items()
        }
