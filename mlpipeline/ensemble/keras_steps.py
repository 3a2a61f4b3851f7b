"""Steps of many Keras models at once: a step of one, recorded as torch's own operations, batched over all.

A training step of one model (`StatelessScope`, which `stateless_call` is made of: forward pass, loss, gradients by
`torch.func`, and the optimizer's own formulas) is recorded. The record knows neither Keras nor Python any more, which
cost more than the arithmetic of a small model. It is batched by `vmap` and recorded again.

Dropout is seen in the record as the drawing of a mask; each member's masks are drawn from its own seed instead and
handed in, so that they are those which the member draws when it is trained alone.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, fx
from torch.func import grad_and_value, vmap

from mlpipeline.ensemble.keras_setup import keras_module
from mlpipeline.ensemble.keras_tape import Tape, record


class NotBatchableError(Exception):
    """These members are not trained at once.

    Args:
        reason: why. is_surprise: it could not be known before, and is worth a warning.
    """

    def __init__(self, reason: str, *, is_surprise: bool = False) -> None:
        super().__init__(reason)
        self.is_surprise = is_surprise


class State(NamedTuple):
    """The variables of all members, each stacked along a new first axis; of one member without it."""

    trainable: list[Tensor]
    others: list[Tensor]
    optimizer: list[Tensor]


class Rows(NamedTuple):
    """Rows of a step: inputs and y [members, rows, ...], weights [members, rows], 0 for what only fills up."""

    x: Tensor
    y: Tensor
    weights: Tensor


class Mask(NamedTuple):
    """A mask that a step draws.

    Args:
        probability: of 1. shape: for one member.
        axes: in the order in which they lie in memory, which is that of the numbers drawn.
    """

    probability: float
    shape: tuple[int, ...]
    axes: tuple[int, ...]

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """Return a mask of so many rows."""
        shape = (count, *self.shape[1:])
        drawn = torch.empty([shape[axis] for axis in self.axes], device=generator.device)
        return drawn.bernoulli_(self.probability, generator=generator).permute(*np.argsort(self.axes).tolist())


@dataclass(frozen=True)
class Step:
    """A recorded step.

    Args:
        tape: of state, rows, and masks [members, rows, ...].
        masks: that one member draws.
    """

    tape: Tape
    masks: tuple[Mask, ...]


class Steps:
    """The steps of several members, each recorded when it is first taken by so many members with so many rows.

    Args:
        model: of one member.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._recorded: dict[tuple[Any, int, int], Step] = {}

    def train(
        self, state: State, rows: Rows, counts: Sequence[int], seeds: Sequence[int]
    ) -> tuple[State, Tensor, Tensor]:
        """Take a step of training.

        Args:
            state, rows: of the members that take it.
            counts: of rows that each member has; the others fill up.
            seeds: of what dropout draws in this batch, one a member.
        Returns: the new state, losses [members], outputs [members, rows, k].
        Raises: NotBatchableError: the step decides by values, or draws other numbers than dropout's masks.
        """
        step = self._step(_training, state, rows)
        masks = _draw(step.masks, counts, seeds, rows.x.device)
        with torch.no_grad():
            new, losses, outputs = step.tape(state, rows, masks)
        return new, losses, outputs

    def evaluate(self, state: State, rows: Rows) -> tuple[Tensor, Tensor]:
        """Return losses [members] and outputs [members, rows, k]. Raises: NotBatchableError: as in `train`."""
        step = self._step(_evaluation, state, rows)
        with torch.no_grad():
            losses, outputs = step.tape(state, rows, [])
        return losses, outputs

    def _step(self, function: Callable[..., Any], state: State, rows: Rows) -> Step:
        key = function, *rows.weights.shape
        if key not in self._recorded:
            self._recorded[key] = _recorded(functools.partial(function, self._model), state, rows)
        return self._recorded[key]


def state_of(models: Sequence[Any]) -> State:
    """Return the variables of built models and of their optimizers, stacked."""
    kinds = zip(*(_variables(model) for model in models), strict=True)
    return State(*([_stacked(each) for each in zip(*variables, strict=True)] for variables in kinds))


def give_state(model: Any, state: State) -> None:
    """Give a model the variables of one member."""
    for variables, values in zip(_variables(model), state, strict=True):
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)


def member_of(state: State, number: int) -> State:
    """Return a copy of one member's variables."""
    return State(*([value[number].clone() for value in values] for values in state))


def members_of(state: State, numbers: Tensor) -> State:
    """Return the variables of some members, stacked."""
    return State(*([value[numbers] for value in values] for values in state))


def with_members(state: State, numbers: Tensor, new: State) -> State:
    """Return a state in which some members have new variables."""
    return State(
        *(
            [value.index_copy(0, numbers, other) for value, other in zip(values, others, strict=True)]
            for values, others in zip(state, new, strict=True)
        )
    )


def _draw(masks: Sequence[Mask], counts: Sequence[int], seeds: Sequence[int], device: torch.device) -> list[Tensor]:
    drawn = [torch.ones(len(counts), *mask.shape, device=device) for mask in masks]
    for number, (seed, count) in enumerate(zip(seeds, counts, strict=True)) if masks else ():
        generator = torch.Generator(device).manual_seed(seed)
        for mask, all_drawn in zip(masks, drawn, strict=True):
            all_drawn[number, :count] = mask.draw(count, generator)
    return drawn


def _variables(model: Any) -> tuple[list[Any], list[Any], list[Any]]:
    return list(model.trainable_variables), list(model.non_trainable_variables), list(model.optimizer.variables)


def _stacked(variables: Sequence[Any]) -> Tensor:
    return torch.stack([variable.value.detach() for variable in variables])


def _training(model: Any, state: State, rows: Rows) -> tuple[State, Tensor, Tensor]:
    """Take one member's step; return its state, loss and outputs."""

    def loss_of(trainable: list[Tensor]) -> tuple[Tensor, tuple[list[Tensor], Tensor, Tensor]]:
        loss, outputs, others = _forward(model, state._replace(trainable=trainable), rows, is_training=True)
        return model.optimizer.scale_loss(loss), (others, loss, outputs)

    gradients, (_, (others, loss, outputs)) = grad_and_value(loss_of, has_aux=True)(state.trainable)
    with _formulas_of(model.optimizer):
        trainable, optimizer = model.optimizer.stateless_apply(state.optimizer, gradients, state.trainable)
    return State(trainable, others, optimizer), loss, outputs


def _evaluation(model: Any, state: State, rows: Rows) -> tuple[Tensor, Tensor]:
    loss, outputs, _ = _forward(model, state, rows, is_training=False)
    return loss, outputs


def _forward(model: Any, state: State, rows: Rows, *, is_training: bool) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Return the loss of one member, its outputs, and its variables that are not trained, which may have changed."""
    pairs = zip(_variables(model), state, strict=True)
    mapping = [pair for variables, values in pairs for pair in zip(variables, values, strict=True)]
    with keras_module().StatelessScope(state_mapping=mapping, collect_losses=True) as scope:
        outputs = model(rows.x, training=is_training)
        loss = model.compute_loss(rows.x, rows.y, outputs, rows.weights, training=is_training)
    return loss, outputs, [scope.get_current_value(variable) for variable in model.non_trainable_variables]


@contextmanager
def _formulas_of(optimizer: Any) -> Iterator[None]:
    """Let an optimizer update one variable after the other, as Keras defines it for every backend.

    What it does on torch for all variables at once is the same arithmetic, but takes learning rates as numbers.
    """
    base = importlib.import_module("keras.src.optimizers.base_optimizer").BaseOptimizer
    optimizer._backend_update_step = functools.partial(base._backend_update_step, optimizer)
    try:
        yield
    finally:
        del optimizer._backend_update_step


def _recorded(function: Callable[..., Any], state: State, rows: Rows) -> Step:
    try:
        one = record(function, _first(state), _first(rows), keeps_values=True)
        masks = tuple(_masks(one.graph))

        def batchable(state: State, rows: Rows, drawn: list[Tensor]) -> Any:
            values = _Batchable(one.graph, drawn).run(*state.trainable, *state.others, *state.optimizer, *rows)
            return torch.utils._pytree.tree_unflatten(values, one.form)

        drawn = [torch.ones(len(rows.weights), *mask.shape, device=rows.weights.device) for mask in masks]
        return Step(record(vmap(batchable), state, rows, drawn), masks)
    except NotBatchableError:
        raise
    except Exception as error:  # layers, losses and optimizers of the user's own may raise anything
        reason = str(error).replace("\x1b[1m", "").replace("\x1b[0m", "").strip()
        raise NotBatchableError(
            f"a step cannot be batched ({type(error).__name__}: {reason:.200})", is_surprise=True
        ) from error


def _first(values: Any) -> Any:
    """Return what belongs to the first member."""
    return torch.utils._pytree.tree_map(lambda value: value[0].clone(), values)


def _masks(graph: fx.GraphModule) -> Iterator[Mask]:
    """Yield the masks that a graph draws. Raises: NotBatchableError: it draws something else."""
    for node in graph.graph.nodes:
        if node.op != "call_function" or torch.Tag.nondeterministic_seeded not in getattr(node.target, "tags", ()):
            continue
        if node.target != torch.ops.aten.bernoulli.p:
            raise NotBatchableError(
                f"a step draws random numbers by {node.target}; only those of Dropout can be drawn for all",
                is_surprise=True,
            )
        like = _masked(node).meta["value"]  # a mask is drawn in the order in which what it masks lies in memory
        axes = sorted(range(like.ndim), key=like.stride, reverse=True)
        yield Mask(float(node.args[1]), tuple(like.shape), tuple(axes))


def _masked(mask: fx.Node) -> fx.Node:
    """Return what a mask, scaled before, is multiplied with. Raises: NotBatchableError: it is used otherwise."""
    for scaled in mask.users:
        for product in scaled.users:
            if product.target == torch.ops.aten.mul.Tensor and isinstance(product.args[0], fx.Node):
                return product.args[0]
    raise NotBatchableError("a step draws a mask that is not Dropout's", is_surprise=True)


class _Batchable(fx.Interpreter):
    """Runs a graph with operations that `vmap` knows in the place of those that it does not."""

    def __init__(self, graph: fx.GraphModule, masks: Sequence[Tensor]) -> None:
        super().__init__(graph)
        self._masks = iter(masks)

    def call_function(self, target: Any, args: Any, kwargs: Any) -> Any:
        aten = torch.ops.aten
        if target == aten.bernoulli.p:
            return next(self._masks)
        if target == aten.clone.default and kwargs.get("memory_format") != torch.contiguous_format:
            return args[0].clone()  # vmap knows no other layouts, which change no value
        if target in (aten.view.default, aten._unsafe_view.default):
            return args[0].reshape(args[1])
        if target == aten.max_pool2d_with_indices.default:  # some five times faster with channels innermost
            args = (args[0].movedim(1, -1).contiguous().movedim(-1, 1), *args[1:])
        return super().call_function(target, args, kwargs)
