"""Layers: the forward pass of many networks at once, written by hand for chains of the usual layers.

Values are [members, rows, ...]; convolutions, pooling and batch normalisation see them folded, as
[rows, members x channels, ...], in which the networks are groups of channels of one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from mlpipeline.ensemble.together.dropout import dropout_masks
from mlpipeline.ensemble.together.stack import Stack

# what has neither weights nor a mean over rows, and does not ask for the number of an axis
_ELEMENTWISE = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.CELU, nn.GELU, nn.SiLU, nn.Mish, nn.Tanh, nn.Sigmoid,
    nn.Softplus, nn.Softsign, nn.LogSigmoid, nn.Hardtanh, nn.Hardsigmoid, nn.Hardswish, nn.Tanhshrink,
)  # fmt: skip
_POOLING = (
    nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d,
    nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d,
)  # fmt: skip
_CONVOLUTIONS: dict[type[nn.Module], Callable[..., Tensor]] = {
    nn.Conv1d: functional.conv1d,
    nn.Conv2d: functional.conv2d,
}
_NORMALIZATIONS = (nn.BatchNorm1d, nn.BatchNorm2d)

# so many channels are computed at once by a processor; groups of whole blocks are summed as one network's channels are
_BLOCK = 16


class Flow(NamedTuple):
    """Values on their way through the layers.

    Args:
        values: [members, rows, channels, ...], or folded [rows, members x channels, ...].
        members: of the stack. is_folded: which of the two.
    """

    values: Tensor
    members: int
    is_folded: bool

    def stacked(self) -> Tensor:
        """Return [members, rows, ...], a view of folded values."""
        if not self.is_folded:
            return self.values
        shape = (len(self.values), self.members, -1, *self.values.shape[2:])
        return self.values.view(shape).transpose(0, 1)

    def folded(self) -> Tensor:
        """Return [rows, members x channels, ...], of images with the channels innermost."""
        if self.is_folded:
            return self.values
        if self.values.ndim == 5:
            members, rows, channels, height, width = self.values.shape
            innermost = self.values.permute(1, 3, 4, 0, 2).reshape(rows, height, width, members * channels)
            return innermost.permute(0, 3, 1, 2)
        return self.values.transpose(0, 1).flatten(1, 2)


class Pass(NamedTuple):
    """One pass through all layers.

    Args:
        stack: whose weights. is_training: dropout drops, running means run.
    """

    stack: Stack
    is_training: bool


Layer = Callable[[Flow, Pass], Flow]


class LayerByLayer:
    """The forward pass of a stack of networks.

    Args:
        layers: in their order.
        is_rowwise: each row goes through by itself, so that no sum depends on how rows are shared among threads.
    """

    def __init__(self, layers: list[Layer], is_rowwise: bool) -> None:
        self._layers, self.is_rowwise = layers, is_rowwise

    def __call__(self, stack: Stack, inputs: Tensor, is_training: bool) -> Tensor:
        """Return outputs, float[members, rows, k], for inputs [members, rows, ...]."""
        flow, context = Flow(inputs, len(stack), False), Pass(stack, is_training)
        for layer in self._layers:
            flow = layer(flow, context)
        return flow.stacked()


def read_layers(network: nn.Module) -> LayerByLayer | None:
    """Return the pass through a network that is a chain of layers which are known here; None for any other."""
    chain = _chain(network)
    if chain is None:
        return None
    names = {id(values): name for name, values in (*network.named_parameters(), *network.named_buffers())}
    layers = [_read(module, names) for module in chain if type(module) is not nn.Identity]
    known = [layer for layer in layers if layer is not None]
    is_rowwise = not any(type(module) in (*_CONVOLUTIONS, *_NORMALIZATIONS) for module in chain)
    return LayerByLayer(known, is_rowwise) if len(known) == len(layers) else None


def _chain(module: nn.Module) -> list[nn.Module] | None:
    """Return the layers of nested chains; None where something may happen between them."""
    if _has_hooks(module):
        return None
    if type(module) is not nn.Sequential:
        return [module]
    parts = [_chain(child) for child in module]
    return None if any(part is None for part in parts) else [layer for part in parts if part for layer in part]


def _has_hooks(module: nn.Module) -> bool:
    return any(getattr(module, name) for name in vars(module) if name.endswith("_hooks"))


def _read(module: Any, names: dict[int, str]) -> Layer | None:
    """Return what a layer does to a stack; None for a layer or a setting that is not known."""
    kind = type(module)
    if kind in _ELEMENTWISE:
        return lambda flow, context: Flow(module.forward(flow.values), flow.members, flow.is_folded)
    if kind in _POOLING and not getattr(module, "return_indices", False):
        return lambda flow, context: Flow(module(flow.folded()), flow.members, True)
    if kind is nn.Flatten and (module.start_dim, module.end_dim) == (1, -1):
        return lambda flow, context: Flow(flow.stacked().flatten(2), flow.members, False)
    if kind is nn.Unflatten and module.dim == 1:
        return lambda flow, context: Flow(
            torch.unflatten(flow.stacked(), 2, module.unflattened_size), flow.members, False
        )
    if kind is nn.Linear:
        return _linear(module, names)
    if kind in _CONVOLUTIONS and module.padding_mode == "zeros":
        return _convolution(module, names)
    if kind in _NORMALIZATIONS and module.track_running_stats and module.momentum is not None:
        return _normalization(module, names)
    if kind is nn.Dropout:
        return _dropout(module.p)
    return None


class _Linear(torch.autograd.Function):
    """The product of rows and weights, written so that each sum is computed as torch does it for one network."""

    @staticmethod
    def forward(context: Any, values: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return [members, rows, outputs] for values [members, rows, inputs] and weight [members, outputs, inputs]."""
        context.save_for_backward(values, weight)
        factors = (values, weight.transpose(1, 2))
        if weight.shape[1] == 1:
            factors = (weight, values.transpose(1, 2))
        if bias is None:
            product = torch.bmm(*factors)
        else:
            product = torch.baddbmm(bias.unsqueeze(2 if weight.shape[1] == 1 else 1), *factors)
        return product.transpose(1, 2) if weight.shape[1] == 1 else product

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of values, weight and bias."""
        values, weight = context.saved_tensors
        wanted = context.needs_input_grad
        return (
            torch.bmm(gradient, weight) if wanted[0] else None,
            torch.bmm(gradient.transpose(1, 2), values) if wanted[1] else None,
            gradient.sum(dim=1) if wanted[2] else None,
        )


def _linear(module: Any, names: dict[int, str]) -> Layer:
    weight, bias = names[id(module.weight)], names.get(id(module.bias))

    def run(flow: Flow, context: Pass) -> Flow:
        values, parameters = flow.stacked(), context.stack.parameters
        inputs = values if values.ndim == 3 else values.flatten(1, -2)
        outputs = _Linear.apply(inputs, parameters[weight], None if bias is None else parameters[bias])
        return Flow(outputs if values.ndim == 3 else outputs.view(*values.shape[:-1], -1), flow.members, False)

    return run


def _convolution(module: Any, names: dict[int, str]) -> Layer:
    weight, bias, convolve = names[id(module.weight)], names.get(id(module.bias)), _CONVOLUTIONS[type(module)]
    settings = (module.stride, module.padding, module.dilation)
    is_whole = not (module.in_channels % _BLOCK or module.out_channels % _BLOCK)

    def run(flow: Flow, context: Pass) -> Flow:
        weights, members = context.stack.parameters[weight], flow.members
        biases = None if bias is None else context.stack.parameters[bias]
        if is_whole:
            flat = None if biases is None else biases.flatten()
            groups = module.groups * members
            return Flow(convolve(flow.folded(), weights.flatten(0, 1), flat, *settings, groups), members, True)
        values = flow.stacked()
        each = [None] * members if biases is None else biases
        parts = [convolve(*one, *settings, module.groups) for one in zip(values, weights, each, strict=True)]
        return Flow(torch.cat(parts, dim=1), members, True)

    return run


def _normalization(module: Any, names: dict[int, str]) -> Layer:
    keys = [names.get(id(value)) for value in (module.running_mean, module.running_var, module.num_batches_tracked)]
    scales = [names.get(id(value)) for value in (module.weight, module.bias)]

    def run(flow: Flow, context: Pass) -> Flow:
        mean, variance, batches = (context.stack.buffers[str(key)] for key in keys)
        weight, bias = (None if key is None else context.stack.parameters[key].flatten() for key in scales)
        if context.is_training:
            batches += 1
        folded = functional.batch_norm(
            flow.folded(), mean.view(-1), variance.view(-1), weight, bias, context.is_training, module.momentum,
            module.eps,
        )  # fmt: skip
        return Flow(folded, flow.members, True)

    return run


def _dropout(share: float) -> Layer:
    def run(flow: Flow, context: Pass) -> Flow:
        if not context.is_training or share == 0:
            return flow
        values = flow.stacked()
        # torch fills a mask in the order of the values in memory: images have their channels innermost
        layout = torch.channels_last if values.ndim == 5 else torch.contiguous_format
        like = torch.empty(values.shape[1:], device=values.device, memory_format=layout)
        return Flow(values * dropout_masks(like, share, context.stack.generators), flow.members, False)

    return run
