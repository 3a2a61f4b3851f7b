"""Mistakes that train without an error: what can be seen of them, and what to say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

Loss = Callable[[Tensor, Tensor], Tensor]

_SOFTMAX_ADVICE = (
    "the network ends in a softmax, but the loss is a cross-entropy, which applies one itself: "
    "gradients vanish and training stalls; let the network return logits"
)
_SIGMOID_ADVICE = (
    "the network ends in a sigmoid, but the loss is BCEWithLogits, which applies one itself: "
    "gradients vanish and training stalls; let the network return logits"
)
_CONSTANT_ADVICE = (
    "the outputs are the same for all {count} rows: the network has learnt nothing but a constant; "
    "scale the inputs, or lower the learning rate"
)

# operations between the activation and the returned tensor that leave the values as they are
_RESHAPING = ("Squeeze", "Unsqueeze", "View", "Reshape", "ToCopy", "Select", "Slice", "Permute", "T", "Clone", "Alias")


def doubled_activation(loss: Loss, outputs: Tensor) -> str | None:
    """Return advice where the outputs went through the activation that the loss applies as well.

    The graph of the outputs is asked, so that a layer and a function in `forward` are seen alike.
    """
    last = _last_operation(outputs)
    if _is_cross_entropy(loss) and (last.startswith("Softmax") or _are_distributions(outputs)):
        return _SOFTMAX_ADVICE
    if _is_bce_with_logits(loss) and last.startswith("Sigmoid"):
        return _SIGMOID_ADVICE
    return None


def constant_outputs(lowest: Tensor, highest: Tensor, count: int) -> str | None:
    """Return advice where all outputs of an evaluation are equal.

    Args:
        lowest, highest: [outputs], over the rows. count: of rows.
    """
    scale = torch.maximum(lowest.abs(), highest.abs()).clamp_min(1e-6)
    if count < 2 or bool(((highest - lowest) > 1e-5 * scale).any()):
        return None
    return _CONSTANT_ADVICE.format(count=count)


def _last_operation(outputs: Tensor) -> str:
    node: Any = outputs.grad_fn
    while node is not None and node.name().rstrip("0123456789").removesuffix("Backward") in _RESHAPING:
        node = node.next_functions[0][0]
    return node.name() if node is not None else ""


def _are_distributions(outputs: Tensor) -> bool:
    values = outputs.detach().float()
    if values.ndim != 2 or values.shape[1] < 2 or bool((values < 0).any()):
        return False
    return bool(((values.sum(dim=1) - 1).abs() < 1e-3).all())


def _is_cross_entropy(loss: Loss) -> bool:
    return isinstance(loss, nn.CrossEntropyLoss) or loss is functional.cross_entropy


def _is_bce_with_logits(loss: Loss) -> bool:
    return isinstance(loss, nn.BCEWithLogitsLoss) or loss is functional.binary_cross_entropy_with_logits
