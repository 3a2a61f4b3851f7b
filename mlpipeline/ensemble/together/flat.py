"""Flat: the parameters of a stack as one long vector, so that an optimizer has one tensor to compute with."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from mlpipeline.ensemble.together.stack import Stack
from mlpipeline.ensemble.torch_loop import Stepper


class Flat:
    """Parameters that lie in one vector behind each other, as do their gradients.

    Args:
        parameters: leaves, [members, ...]; from now on they are views of the vector.
    """

    def __init__(self, parameters: list[Tensor]) -> None:
        self._shapes = [(each.shape, each.stride(), each.numel()) for each in parameters]
        first = parameters[0]
        self.vector = nn.Parameter(first.new_empty(sum(each.numel() for each in parameters)))
        self.vector.grad = torch.zeros_like(self.vector)
        views = zip(parameters, self.views(self.vector.detach()), self.views(self.vector.grad), strict=True)
        for parameter, values, gradient in views:
            values.copy_(parameter.detach())
            parameter.data = values
            parameter.grad = gradient

    def views(self, vector: Tensor) -> list[Tensor]:
        """Return what belongs to each parameter in a vector of this length, in the parameter's shape and layout."""
        views, first = [], 0
        for shape, strides, count in self._shapes:
            views.append(vector.as_strided(shape, strides, first))
            first += count
        return views


class FlatStepper:
    """What changes the weights of a stack: an optimizer that was made for its parameters, one vector a group.

    Args:
        stepper: with the optimizer, each number of which is computed by itself. stack: whose parameters it has.
    """

    def __init__(self, stepper: Stepper, stack: Stack) -> None:
        self._optimizer, self._scheduler = stepper.optimizer, stepper.scheduler
        self._places = {id(parameter): place for place, parameter in enumerate(stack.trained)}
        self._groups = [[self._places[id(each)] for each in group["params"]] for group in self._optimizer.param_groups]
        self._flats = [Flat(list(group["params"])) for group in self._optimizer.param_groups]
        for group, flat in zip(self._optimizer.param_groups, self._flats, strict=True):
            # Adagrad has a state before its first step
            states = [self._optimizer.state.pop(each) for each in group["params"] if each in self._optimizer.state]
            if states:
                self._optimizer.state[flat.vector] = _merged(states, flat)
            group["params"] = [flat.vector]

    def step(self, loss: Tensor) -> None:
        """Change the weights so that the loss falls."""
        for flat in self._flats:
            assert flat.vector.grad is not None
            flat.vector.grad.zero_()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        if self._scheduler is not None:
            self._scheduler.step()

    def go_on_with(self, places: list[int], stack: Stack) -> None:
        """Go on with some members only, with what the optimizer remembers of them.

        Args:
            places: of those members. stack: of them alone.
        """
        before, trained = self._flats, stack.trained
        self._flats = [Flat([trained[place] for place in group]) for group in self._groups]
        for group, old, new in zip(self._optimizer.param_groups, before, self._flats, strict=True):
            state: dict[str, Any] = self._optimizer.state.pop(old.vector, {})
            self._optimizer.state[new.vector] = {name: _taken(value, old, new, places) for name, value in state.items()}
            group["params"] = [new.vector]


def _merged(states: list[dict[str, Any]], flat: Flat) -> dict[str, Any]:
    """Return the states of several parameters as that of their vector."""
    merged = dict(states[0])
    for name, value in states[0].items():
        if isinstance(value, Tensor) and value.ndim:
            merged[name] = torch.zeros_like(flat.vector, requires_grad=False)
            for state, view in zip(states, flat.views(merged[name]), strict=True):
                view.copy_(state[name])
    return merged


def _taken(value: Any, old: Flat, new: Flat, places: list[int]) -> Any:
    """Return what an optimizer remembers of all members, for some of them."""
    if not isinstance(value, Tensor) or value.shape != old.vector.shape:
        return value
    taken = torch.zeros_like(new.vector, requires_grad=False)
    for view, whole in zip(new.views(taken), old.views(value), strict=True):
        view.copy_(whole[places])
    return taken
