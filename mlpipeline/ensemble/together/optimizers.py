"""Which optimizers treat each number by itself, so that one can serve many networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn, optim

from mlpipeline.ensemble.together.stack import Stack
from mlpipeline.ensemble.torch_loop import make_stepper

if TYPE_CHECKING:
    from mlpipeline.ensemble.torch_trainer import TorchTrainer

_ELEMENTWISE = (
    optim.SGD, optim.Adam, optim.AdamW, optim.RMSprop, optim.Adagrad, optim.NAdam, optim.RAdam, optim.Adamax,
    optim.Adadelta, optim.Rprop, optim.ASGD,
)  # fmt: skip


def why_not_shared(trainer: TorchTrainer, network: nn.Module, stack: Stack) -> str | None:
    """Say why the user's optimizer cannot serve a whole stack; None if it can."""
    parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
    alone = make_stepper(trainer, parameters, trainer.epochs).optimizer
    together = make_stepper(trainer, stack.trained, trainer.epochs).optimizer
    if type(alone) not in _ELEMENTWISE:
        return f"{type(alone).__name__} does not treat each weight by itself"
    if _described(alone, parameters) != _described(together, stack.trained):
        return "the optimizer treats parameters by their shape"
    return None


def _described(optimizer: optim.Optimizer, parameters: list[nn.Parameter]) -> list[object]:
    """Return the options of each group of parameters and which of them it has."""
    places = {id(parameter): place for place, parameter in enumerate(parameters)}
    return [
        ([places.get(id(parameter)) for parameter in group["params"]],
         {name: repr(value) for name, value in group.items() if name != "params"})
        for group in optimizer.param_groups
    ]  # fmt: skip
