"""The state of a training, and the way back to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from mlpipeline.pytorch.packing import Contents
from mlpipeline.pytorch.random_states import RandomStates
from mlpipeline.pytorch.training import Learner

_NETWORK, _OPTIMIZER, _RANDOM = "network/", "optimizer/", "random/"


def training_state(learner: Learner, generators: RandomStates, position: Mapping[str, Any]) -> Contents:
    """Return weights, optimizer, scheduler and random states.

    Args:
        position: what else is to be kept among the values.
    """
    tensors = {_NETWORK + name: tensor for name, tensor in learner.network.state_dict().items()}
    optimizer = learner.optimizer.state_dict()
    numbers: list[tuple[int, str, Any]] = []
    for index, state in optimizer["state"].items():
        for name, value in state.items():
            if isinstance(value, Tensor):
                tensors[f"{_OPTIMIZER}{index}/{name}"] = value
            else:
                numbers.append((index, name, value))
    random, words = generators.capture()
    tensors |= {_RANDOM + name: tensor for name, tensor in words.items()}
    groups = [{name: value for name, value in group.items() if name != "params"} for group in optimizer["param_groups"]]
    scheduler = learner.scheduler.state_dict() if learner.scheduler else None
    values = {**position, "groups": groups, "numbers": numbers, "scheduler": scheduler, "random": random}
    return Contents(values, tensors)


def restore_weights(learner: Learner, state: Contents) -> None:
    """Give the network the weights of the state."""
    learner.network.load_state_dict(_below(_NETWORK, state.tensors))


def restore_training(learner: Learner, state: Contents) -> None:
    """Put the optimizer, the scheduler and all random generators back to where the state was taken.

    The scheduler must have been made: making one sets the learning rate of the optimizer anew.
    """
    learner.optimizer.load_state_dict(_optimizer_state(learner.optimizer, state))
    _lay_out_as_parameters(learner.optimizer)
    if learner.scheduler and state.values["scheduler"]:
        learner.scheduler.load_state_dict(state.values["scheduler"])
    RandomStates.restore(state.values["random"], _below(_RANDOM, state.tensors))


def _optimizer_state(optimizer: Optimizer, state: Contents) -> dict[str, Any]:
    per_parameter: dict[int, dict[str, Any]] = {}
    for name, tensor in _below(_OPTIMIZER, state.tensors).items():
        index, _, key = name.partition("/")
        per_parameter.setdefault(int(index), {})[key] = tensor
    for index, key, value in state.values["numbers"]:
        per_parameter.setdefault(index, {})[key] = value
    present = optimizer.state_dict()["param_groups"]
    groups = [{**new, **old} for new, old in zip(present, state.values["groups"], strict=True)]
    return {"state": per_parameter, "param_groups": groups}


def _lay_out_as_parameters(optimizer: Optimizer) -> None:
    # a fused step walks through memory: a buffer must lie as its parameter does, channels innermost or not
    for parameter, values in optimizer.state.items():
        for name, value in values.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape and value.ndim > 1:
                values[name] = torch.empty_like(parameter, dtype=value.dtype).copy_(value)


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
