"""Training of torch modules on arrays.

Call tree:

    begin           a copy of the module, its loss and its optimizer
    train           for each epoch: batches in random order -> train_batch's step
    train_batch     targets that fit the outputs -> loss -> one step of the optimizer
    run_module      arrays -> outputs, in eval mode
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from mlpipeline.dataflow.spec import Array
from mlpipeline.errors import DataError, PipelineError, did_you_mean

LOSSES: dict[str, Callable[..., Tensor]] = {
    "cross_entropy": functional.cross_entropy,
    "nll": functional.nll_loss,
    "mse": functional.mse_loss,
    "l1": functional.l1_loss,
    "smooth_l1": functional.smooth_l1_loss,
    "huber": functional.huber_loss,
    "bce": functional.binary_cross_entropy,
    "bce_with_logits": functional.binary_cross_entropy_with_logits,
}
OPTIMIZERS = {name.lower(): name for name in ("Adam", "AdamW", "SGD", "RMSprop", "Adagrad", "NAdam", "RAdam", "Adamax")}
_CLASS_LOSSES = (functional.cross_entropy, functional.nll_loss)
_RANDOM_NUMBERS = threading.RLock()  # torch has one generator for all threads, which dropout and new weights use


@dataclass
class Training:
    """A module that is being trained. Copied as a whole, so that the optimizer of the copy holds the copy's weights."""

    module: nn.Module
    loss: Callable[..., Tensor] | None
    optimizer: torch.optim.Optimizer | None
    random_state: Tensor
    order: np.random.Generator
    device: str


def loss_function(loss: Any) -> Callable[..., Tensor] | None:
    """Return a loss by its name; a function or a module as it is.

    Raises: PipelineError: there is no such loss.
    """
    if loss is None or (callable(loss) and not isinstance(loss, type)):
        found: Callable[..., Tensor] | None = loss
        return found
    if isinstance(loss, str) and loss in LOSSES:
        return LOSSES[loss]
    hint = did_you_mean(loss, LOSSES) if isinstance(loss, str) else ""
    raise PipelineError(f"Torch: loss: expected one of {', '.join(LOSSES)} or a function, but got {loss!r:.80}{hint}")


def optimizer_maker(optimizer: Any) -> Callable[..., torch.optim.Optimizer]:
    """Return what makes an optimizer from parameters and lr, by its name.

    Raises: PipelineError: there is no such optimizer.
    """
    if isinstance(optimizer, str) and optimizer.lower() in OPTIMIZERS:
        made: Callable[..., torch.optim.Optimizer] = getattr(torch.optim, OPTIMIZERS[optimizer.lower()])
        return made
    if callable(optimizer) and not isinstance(optimizer, torch.optim.Optimizer):
        maker: Callable[..., torch.optim.Optimizer] = optimizer
        return maker
    hint = did_you_mean(optimizer, OPTIMIZERS) if isinstance(optimizer, str) else ""
    raise PipelineError(
        f"Torch: optimizer: expected one of {', '.join(OPTIMIZERS)} or a class of torch.optim, "
        f"but got {optimizer!r:.80}{hint}"
    )


def fresh_module(module: Any, seed: int) -> nn.Module:
    """Return a copy of a module, or a new one from what makes it.

    Raises: PipelineError: that makes something else.
    """
    if isinstance(module, nn.Module):
        return copy.deepcopy(module)
    with _seeded(torch.Generator().manual_seed(seed).get_state(), "cpu"):
        made = module()
    if not isinstance(made, nn.Module):
        raise PipelineError(f"Torch: expected a function that makes a module, but it made {type(made).__name__}")
    return made


def begin(
    module: Any,
    features: Sequence[Array],
    loss: Any,
    optimizer: Any,
    learning_rate: float,
    seed: int,
    device: str,
) -> Training:
    """Return a training at its beginning, of a copy of the module."""
    copied = fresh_module(module, seed).to(device)
    if any(isinstance(each, nn.parameter.UninitializedParameter) for each in copied.parameters()):
        with _seeded(torch.Generator().manual_seed(seed).get_state(), device), torch.no_grad():
            copied.eval()(*(as_tensor(each[:2], copied, device) for each in features))
    parameters = [each for each in copied.parameters() if each.requires_grad]
    function = loss_function(loss)
    if isinstance(function, nn.Module):
        function = copy.deepcopy(function).to(device)
    return Training(
        copied.eval(),
        function,
        optimizer_maker(optimizer)(parameters, lr=learning_rate) if function is not None and parameters else None,
        torch.Generator().manual_seed(seed).get_state(),
        np.random.default_rng(seed),
        device,
    )


def train(training: Training, features: Sequence[Array], labels: Array, epochs: int, batch_size: int) -> None:
    """Train on all observations.

    Raises: DataError: the loss is no number any more.
    """
    n = len(labels)
    with _learning(training):
        for epoch in range(epochs):
            loss = torch.zeros(())
            for rows in batch_rows(training.order.permutation(n), batch_size):
                loss = _step(training, [each[rows] for each in features], labels[rows])
            if not torch.isfinite(loss):
                raise DataError(
                    f"the loss is {loss.item()} after epoch {epoch + 1} of {epochs}: look for NaN in the data, "
                    "scale the features, or lower the learning_rate"
                )


def train_batch(training: Training, features: Sequence[Array], labels: Array) -> None:
    """Take one step."""
    with _learning(training):
        _step(training, features, labels)


def batch_rows(order: Array, batch_size: int) -> Iterator[Array]:
    """Cut an order of rows into batches; a last batch of one row is joined to the one before, for batch norm."""
    starts = list(range(0, len(order), batch_size))
    if len(starts) > 1 and len(order) - starts[-1] == 1:
        starts.pop()
    for start, end in zip(starts, [*starts[1:], len(order)], strict=True):
        yield order[start:end]


def run_module(module: nn.Module, features: Sequence[Array], device: str) -> Any:
    """Return the outputs of a module in eval mode."""
    if module.training:
        module.eval()
    with torch.inference_mode():
        return module(*(as_tensor(each, module, device) for each in features))


def as_tensor(values: Array, module: nn.Module, device: str) -> Tensor:
    """Return a copy of an array as float32, or whole numbers as int64 for a module that looks them up."""
    dtype: Any = np.int64 if values.dtype.kind in "iu" and looks_up(module) else np.float32
    try:  # a copy: the first layer of the module may work in place
        return torch.from_numpy(np.array(values, dtype, order="C")).to(device)
    except (TypeError, ValueError) as error:
        raise DataError(f"expected numbers, but got an array of {values.dtype}: {error}") from None


def looks_up(module: nn.Module) -> bool:
    """Return whether a module has an Embedding, which takes whole numbers."""
    return any(isinstance(each, nn.Embedding | nn.EmbeddingBag) for each in module.modules())


def targets_for(loss: Callable[..., Tensor], labels: Array, outputs: Any, device: str) -> Tensor:
    """Return labels as a loss takes them together with outputs.

    Raises: DataError: their shapes do not fit, and torch would spread one over the other.
    """
    shape = tuple(outputs.shape) if isinstance(outputs, Tensor) else None
    if labels.dtype.kind not in "biuf":
        raise DataError(
            f"labels: expected numbers, but got {labels.dtype}; turn classes into numbers with OneHotLabels"
        )
    if loss in _CLASS_LOSSES or isinstance(loss, nn.CrossEntropyLoss | nn.NLLLoss):
        return _class_targets(labels, shape, device)
    whole = labels.dtype.kind in "iu" and shape is not None and _without_ones(labels.shape) != _without_ones(shape)
    targets = torch.from_numpy(np.require(labels, np.int64 if whole else np.float32, ["C", "W"])).to(device)
    if shape is None or targets.shape == shape:
        return targets
    if _without_ones(labels.shape) == _without_ones(shape):
        return targets.reshape(shape)
    if loss in LOSSES.values() or type(loss).__name__ in _ELEMENTWISE:
        raise DataError(f"labels: expected the shape of the outputs, {shape}, but got {labels.shape}")
    return targets


_ELEMENTWISE = ("MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss", "BCELoss", "BCEWithLogitsLoss")


def _class_targets(labels: Array, shape: tuple[int, ...] | None, device: str) -> Tensor:
    if shape is not None and len(shape) == 2 and shape[1] == 1:
        raise DataError(f"a cross-entropy needs an output for each class, but got {shape}; use bce_with_logits")
    if shape is not None and labels.shape == shape:
        return torch.from_numpy(np.require(labels, np.float32, ["C", "W"])).to(device)
    numbers = labels[:, 0] if labels.shape[1:] == (1,) else labels
    if shape is not None and numbers.shape != shape[:1] + shape[2:]:
        raise DataError(
            f"labels: expected class numbers {shape[:1] + shape[2:]} or probabilities {shape}, but got {labels.shape}"
        )
    whole = numbers.astype(np.int64)
    if (whole != numbers).any():
        raise DataError("labels: expected class numbers 0, 1, ..., but got fractions")
    if shape is not None and whole.size and whole.max() >= shape[1]:
        raise DataError(f"labels: expected class numbers below {shape[1]}, the outputs, but got {whole.max()}")
    return torch.from_numpy(whole).to(device)


def _without_ones(shape: Sequence[int]) -> tuple[int, ...]:
    return (*shape[:1], *(length for length in shape[1:] if length != 1))


def _step(training: Training, features: Sequence[Array], labels: Array) -> Tensor:
    module, loss, optimizer = training.module, training.loss, training.optimizer
    assert loss is not None
    outputs = module(*(as_tensor(each, module, training.device) for each in features))
    value = loss(outputs, targets_for(loss, labels, outputs, training.device))
    if optimizer is not None:
        optimizer.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return value.detach()


@contextmanager
def _learning(training: Training) -> Iterator[None]:
    """Put the module in train mode, and torch's random numbers where this training left them."""
    with _seeded(training.random_state, training.device):
        training.module.train()
        try:
            yield
        finally:
            training.module.eval()
            training.random_state = torch.get_rng_state()
            if training.optimizer is not None:
                training.optimizer.zero_grad(set_to_none=True)


@contextmanager
def _seeded(state: Tensor, device: str) -> Iterator[None]:
    """Let torch's random numbers follow from a state; put them back afterwards."""
    devices = [torch.device(device)] if device.startswith("cuda") else []
    with _RANDOM_NUMBERS, torch.random.fork_rng(devices=devices), torch.enable_grad():
        torch.set_rng_state(state)
        if devices:
            torch.cuda.manual_seed(int(torch.randint(2**31, ())))
        yield
