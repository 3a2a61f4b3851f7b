"""Vectorized: the forward pass of many networks of any kind at once, by `torch.vmap` over `functional_call`."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from mlpipeline.ensemble.together.dropout import Drawn, GivenDropout, dropout_masks
from mlpipeline.ensemble.together.stack import Stack

Named = dict[str, Tensor]


class Vectorized:
    """The forward pass of a stack of networks.

    Args:
        network: one of them; its weights are not used.
    """

    def __init__(self, network: nn.Module) -> None:
        self._drawn = Drawn()
        template = copy.deepcopy(network)
        for name, module in list(template.named_modules()):
            if type(module) is nn.Dropout and name:
                template.set_submodule(name, GivenDropout(module.p, self._drawn))
        # without values: a weight that is not replaced by the stack's cannot be used unnoticed
        self._template = template.to("meta")
        self._asked: dict[int, list[tuple[Tensor, float]]] = {}

    def __call__(self, stack: Stack, inputs: Tensor, is_training: bool) -> Tensor:
        """Return outputs, float[members, rows, k], for inputs [members, rows, ...]."""
        self._template.train(is_training)
        masks = [
            dropout_masks(values, share, stack.generators)
            for values, share in (self._asked_for(stack, inputs) if is_training else [])
        ]

        def one(parameters: Named, buffers: Named, inputs: Tensor, masks: list[Tensor]) -> Any:
            self._drawn.masks = iter(masks)
            return functional_call(self._template, (parameters, buffers), (inputs,))

        outputs: Tensor = torch.vmap(one, randomness="error")(stack.parameters, stack.buffers, inputs, masks)
        return outputs if outputs.ndim > 2 else outputs.unsqueeze(2)

    def _asked_for(self, stack: Stack, inputs: Tensor) -> list[tuple[Tensor, float]]:
        """Return what the dropout layers are applied to, in the order in which a network gets to them."""
        rows = inputs.shape[1]
        if rows not in self._asked:
            parameters = {name: values[0].detach() for name, values in stack.parameters.items()}
            buffers = {name: values[0].clone() for name, values in stack.buffers.items()}
            self._drawn.is_recording, self._drawn.asked = True, []
            try:
                with torch.no_grad():
                    functional_call(self._template, (parameters, buffers), (inputs[0],))
            finally:
                self._drawn.is_recording = False
            self._asked[rows] = self._drawn.asked
        return self._asked[rows]
