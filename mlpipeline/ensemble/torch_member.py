"""TorchMember: a network and the rows it learns from, made ready under the member's own seed."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mlpipeline.ensemble.observations import Part
from mlpipeline.ensemble.splits import RowNumbers
from mlpipeline.ensemble.torch_inputs import Change, Inputs, Tensors, keeps_whole_numbers
from mlpipeline.ensemble.torch_objective import Objective, Statistics, choose_objective, scale_statistics
from mlpipeline.ensemble.trainer import Assignment
from mlpipeline.errors import EnsembleError, ScriptError
from mlpipeline.pytorch.advice import doubled_activation
from mlpipeline.pytorch.placement import Placement, choose_placement

if TYPE_CHECKING:
    from mlpipeline.ensemble.torch_trainer import TorchTrainer

_PROBED = 2  # rows that the outputs are looked at with
# below so many multiplications a step, a second thread costs more than it gives, and sums depend on the number of cores
_SMALL_STEP = 2**25
_NORMALIZATIONS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_WEIGHTED = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)

_BUILT: WeakSet[nn.Module] = WeakSet()

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Portion:
    """Some rows with what a network needs of each.

    Args:
        inputs: all rows. rows: which of them.
        targets: [n] or [n, k], of those rows, on the network's device. weights: float32[n]; None for equal ones.
        change: what is done to each batch of inputs: the augmentation for prediction; None for nothing.
    """

    inputs: Inputs
    rows: RowNumbers
    targets: Tensor
    weights: Tensor | None = None
    change: Change | None = None

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, eq=False)
class TorchMember:
    """A network that is ready to be trained.

    Args:
        assignment: what it is trained on and with. network: on its device.
        objective: what it learns. placement: where it is.
        train: its training rows. curves: the rows its loss is computed of after each epoch: "val", "stop".
        statistics: arrays that predicting needs besides the network.
        multiplications: for one row, in its layers of weights.
        idle: biases that have no effect and are left as they are.
    """

    assignment: Assignment
    network: nn.Module
    objective: Objective
    placement: Placement
    train: Portion
    curves: dict[str, Portion]
    statistics: Statistics
    multiplications: int
    idle: list[nn.Parameter] = field(default_factory=list)

    @property
    def parameters(self) -> list[nn.Parameter]:
        """What an optimizer is given."""
        return [parameter for parameter in self.network.parameters() if parameter.requires_grad]

    def takes_small_steps(self, batch_size: int) -> bool:
        """Tell whether a step is too small to be shared among the threads of a processor."""
        return self.placement.device.type == "cpu" and self.multiplications * batch_size < _SMALL_STEP

    def finished(self) -> nn.Module:
        """Return the network as it predicts."""
        for bias in self.idle:
            bias.requires_grad_(True)
        return self.network.eval()


def find_placement(device: str | None) -> Placement:
    """Return where networks are trained, in float32; images are laid out with their channels innermost.

    Raises: EnsembleError: there is no such device.
    """
    try:
        return choose_placement({"device": device, "precision": "float32"}, input_rank=4)
    except ScriptError as error:
        raise EnsembleError(str(error)) from None


def build_network(trainer: TorchTrainer) -> nn.Module:
    """Return a new network. Raises: EnsembleError: the user's function returns none, or one it has returned before."""
    network = trainer.build() if trainer.params is None else trainer.build(trainer.params)
    if not isinstance(network, nn.Module):
        raise EnsembleError(f"build must return a torch.nn.Module, but returned {type(network).__name__}")
    if network in _BUILT:
        raise EnsembleError("build returned the same network twice; it must build a new one in each call")
    _BUILT.add(network)
    return network


def make_ready(trainer: TorchTrainer, assignment: Assignment, known: dict[int, Inputs] | None = None) -> TorchMember:
    """Build a member's network, and bring its rows into the form that it takes.

    Args:
        trainer: says how. assignment: says what.
        known: inputs of other members by the identity of their source, which are used again.
    Raises: EnsembleError: network and rows do not fit together.
    Side effects: draws from torch's generators.
    """
    network, placement = build_network(trainer), find_placement(trainer.device)
    if assignment.initial is not None:
        network.load_state_dict(assignment.initial.model.state_dict())
    network = network.to(placement.device)
    known = {} if known is None else known
    inputs = _inputs_of(assignment.train, known, network, placement)
    rows = _rows_of(assignment.train)
    statistics = _augmentation_statistics(trainer, assignment, inputs, rows)
    change = prediction_change(trainer, statistics, assignment.seed)
    outputs, multiplications = _probed(network, inputs.at(rows[:_PROBED], change), len(rows[:_PROBED]))
    network = placement.place(network)  # not before its lazy layers know their shapes
    assert assignment.train.y is not None
    objective = choose_objective(trainer.loss, assignment.targets, outputs.shape[1], assignment.train.y)
    _check_weights(objective, assignment)
    advice = doubled_activation(objective.mean_loss, outputs)
    if advice:
        _log.warning("%s: %s", assignment.name, advice)
    curves = {
        name: _portion(part, objective, assignment, _inputs_of(part, known, network, placement), change)
        for name, part in (("val", assignment.valid), ("stop", assignment.stopping))
        if part is not None
    }
    train = _portion(assignment.train, objective, assignment, inputs, None)
    statistics |= scale_statistics(objective.scale)
    return TorchMember(
        assignment, network, objective, placement, train, curves, statistics, multiplications,
        _left_alone(network.train()),
    )  # fmt: skip


def prediction_change(
    trainer: TorchTrainer, statistics: Mapping[str, NDArray[Any]], seed: int, is_test: bool = False
) -> Change | None:
    """Return what is done to batches that are predicted; None for nothing."""
    if not trainer.augments:
        return None
    augmentation = trainer.trio.test if is_test else trainer.trio.valid
    generator = torch.Generator().manual_seed(seed)
    return lambda images: augmentation(images, statistics, generator)


def training_change(trainer: TorchTrainer, statistics: Mapping[str, NDArray[Any]], seed: int) -> Change:
    """Return what is done to training batches, drawn from a generator with that seed."""
    generator = torch.Generator().manual_seed(seed)
    return lambda images: trainer.trio.train(images, statistics, generator)


def forward(network: nn.Module, inputs: Tensors) -> Tensor:
    """Return a network's outputs; arrays by name are given by name."""
    outputs: Tensor = network(inputs) if isinstance(inputs, Tensor) else network(**inputs)
    return outputs


def _inputs_of(part: Part, known: dict[int, Inputs], network: nn.Module, placement: Placement) -> Inputs:
    if id(part.source) not in known:
        known[id(part.source)] = Inputs(part.source, placement, keeps_whole_numbers(network))
    return known[id(part.source)]


def _rows_of(part: Part) -> RowNumbers:
    return np.arange(len(part)) if part.rows is None else np.asarray(part.rows, dtype=np.int64)


def _portion(
    part: Part, objective: Objective, assignment: Assignment, inputs: Inputs, change: Change | None
) -> Portion:
    assert part.y is not None
    device = inputs.placement.device
    wanted = objective.encode(part.y, assignment.targets).to(device)
    weights = None if part.weights is None else torch.as_tensor(part.weights, dtype=torch.float32, device=device)
    return Portion(inputs, _rows_of(part), wanted, weights, change)


def _augmentation_statistics(
    trainer: TorchTrainer, assignment: Assignment, inputs: Inputs, rows: RowNumbers
) -> Statistics:
    """Return what the augmentations must know of a sample of the member's training rows."""
    if not trainer.augments or not trainer.trio.needs_statistics:
        return {}
    if inputs.is_named:
        raise EnsembleError("augmentation needs one array of images, but X holds arrays by name")
    from mlpipeline.ensemble.augmentation.reading import sampled

    chosen = sampled(len(rows), assignment.seed)
    images = inputs.at(rows[chosen])
    assert isinstance(images, Tensor)
    return trainer.trio.fit(images.cpu().contiguous().numpy())


def _probed(network: nn.Module, inputs: Tensors, count: int) -> tuple[Tensor, int]:
    """Return the outputs of a few rows, and the multiplications that layers of weights need for one of them.

    Raises: EnsembleError: the network cannot take them, or gives no rows.
    """
    counted = [0]

    def count_layer(layer: nn.Module, _: object, outputs: Tensor) -> None:
        if isinstance(layer, _WEIGHTED):
            counted[0] += outputs.numel() * layer.weight[0].numel() // count

    handles = [layer.register_forward_hook(count_layer) for layer in network.modules()]
    shape = list(inputs.shape) if isinstance(inputs, Tensor) else {name: list(v.shape) for name, v in inputs.items()}
    try:
        outputs = forward(network.eval(), inputs)
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        raise EnsembleError(
            f"the network that build returns cannot take inputs of the shape {shape}: {type(error).__name__}: {error}"
        ) from error
    finally:
        for handle in handles:
            handle.remove()
    if not isinstance(outputs, Tensor) or outputs.ndim not in (1, 2) or len(outputs) != count:
        got = f"the shape {list(outputs.shape)}" if isinstance(outputs, Tensor) else type(outputs).__name__
        raise EnsembleError(f"the network must return outputs [{count}, k] for {count} rows, but returned {got}")
    return outputs if outputs.ndim == 2 else outputs.unsqueeze(1), counted[0]


def _check_weights(objective: Objective, assignment: Assignment) -> None:
    if assignment.train.weights is not None and objective.row_losses is None:
        raise EnsembleError(
            "rows have weights, but the loss gives no loss for each row; use one of torch's losses with "
            "reduction='mean' and no weights of its own, or leave class and sample weights out"
        )


def _left_alone(network: nn.Module) -> list[nn.Parameter]:
    """Keep biases as they are which batch normalisation takes out again, and return them.

    Their gradient is zero but for rounding, which Adam and its kin blow up to steps of full length: the running mean
    trails behind, and predictions depend on the last bits of sums.
    """
    idle: list[nn.Parameter] = []
    for module in network.modules():
        if type(module) is not nn.Sequential:
            continue
        for layer, following in itertools.pairwise(module):
            bias = layer.bias if type(layer) in _WEIGHTED else None
            is_normalized = type(following) in _NORMALIZATIONS and following.training
            if is_normalized and isinstance(bias, nn.Parameter) and bias.requires_grad:
                bias.requires_grad_(False)
                idle.append(bias)
    return idle
