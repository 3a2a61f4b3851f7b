"""Whether training all members at once is faster than one after the other."""

from __future__ import annotations

from torch import nn

from mlpipeline.ensemble.together.layers import read_layers
from mlpipeline.ensemble.torch_member import TorchMember

# Multiplications of one member in the forward pass of a step, up to which one pass for all was faster on a processor:
# linear layers gained 1.6 times at 2^21 and lost at 2^21.4, convolutions gained 1.4 times at 2^23.5 and lost at 2^25.
_MOST_LINEAR = 2**21.25
_MOST_CONVOLVED = 2**24
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


def why_not_worth(member: TorchMember, batch_size: int) -> str | None:
    """Say why one pass for all members would not be faster; None where it would.

    What is saved is the Python around each step; what a large step computes takes as long either way. A graphics
    processor is left with less to do by one small network than by all, whatever their size.

    Convolutions outside a chain of layers gained 1.4 times at 2^21 and lost at 2^23; and as `vmap` sums them in another
    order, a value near the kink of a ReLU falls to its other side sooner or later, and weights drift apart.

    Args:
        member: one of them. batch_size: rows in a step.
    """
    if member.placement.device.type != "cpu":
        return None
    multiplications = member.multiplications * batch_size
    convolves = any(isinstance(module, _CONVOLUTIONS) for module in member.network.modules())
    if convolves and read_layers(member.network) is None:
        return "its convolutions are in no plain chain of layers; together=True insists"
    if multiplications <= (_MOST_CONVOLVED if convolves else _MOST_LINEAR):
        return None
    return f"a step of one member is large enough alone, {multiplications:,} multiplications; together=True insists"
