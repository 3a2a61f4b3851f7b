"""Plan: the layers that some nodes need as a flat list of steps, run over one dict of values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from mlpipeline.dataflow.graph import ordered
from mlpipeline.dataflow.layer import Layer, StatefulLayer
from mlpipeline.dataflow.node import Application, Node
from mlpipeline.dataflow.running import checking, told_where
from mlpipeline.dataflow.spec import Array
from mlpipeline.errors import PipelineError

PlannedStep = tuple[Application, Callable[..., Any], Sequence[Any], Any]  # whose, compute, sources, target


class Step(NamedTuple):
    """One call: `values[target] = compute(values[first], values[second], *more)`; then `dead` is needed no more.

    Most layers have one or two sources; a step costs a quarter of a microsecond.
    """

    compute: Callable[..., Any]
    first: Any
    second: Any | None
    more: tuple[Any, ...]
    target: Any
    dead: tuple[Any, ...]


class Plan:
    """What computes some nodes from the inputs. Holds no values: may run in several threads at once.

    Args:
        steps: (application, compute, sources, target), in order.
        targets: the nodes that are asked for.
    """

    def __init__(self, steps: Sequence[PlannedStep], targets: Iterable[Node]) -> None:
        self.targets = tuple(targets)
        self._steps = list(_with_dead(steps, set(self.targets)))
        self._owners = {target: application for application, _, _, target in steps}

    def __len__(self) -> int:
        return len(self._steps)

    def run(self, values: dict[Any, Array]) -> dict[Any, Array]:
        """Compute the targets into a dict that holds the inputs; what is not asked for is dropped on the way."""
        target = None
        try:
            for compute, first, second, more, target, dead in self._steps:
                if second is None:
                    values[target] = compute(values[first])
                elif not more:
                    values[target] = compute(values[first], values[second])
                else:
                    values[target] = compute(values[first], values[second], *[values[node] for node in more])
                for node in dead:
                    del values[node]
        except Exception as error:
            self._raise_located(error, target)
        return values

    def _raise_located(self, error: Exception, target: Any) -> None:
        with told_where(self._owners[target]):
            raise error


def make_plan(targets: Sequence[Node], layers: Mapping[Application, Layer], *, streamed: bool = False) -> Plan:
    """Return the plan of nodes, each layer on its own.

    Args:
        targets: what is asked for.
        layers: the fitted copies of the layers that learn, and copies of others where there are.
        streamed: the plan is run on each batch of one stream, in order, and in one thread.
    Raises: PipelineError: a layer that is needed has not been fitted.
    """
    steps: list[PlannedStep] = []
    for application in ordered(targets, with_labels=False):
        layer = fitted_layer(application, layers)
        steps += layer_steps(application, layer, layer.streamed() if streamed else layer.compute)
    return Plan(steps, targets)


def fitted_layer(application: Application, layers: Mapping[Application, Layer]) -> Layer:
    """Return the layer to compute with: the fitted copy of one that learns.

    Raises: PipelineError: it has not been fitted.
    """
    layer = layers.get(application, application.layer)
    if layer is application.layer and isinstance(layer, StatefulLayer):
        raise PipelineError(f"{application} has not been fitted; call pipeline.fit(data) first")
    return layer


def layer_steps(application: Application, layer: Layer, compute: Callable[..., Any]) -> list[PlannedStep]:
    """Return the steps of one layer: one, or one more for each of several outputs."""
    if not layer.checks_itself:
        compute = checking(application, compute)
    if layer.n_outputs == 1:
        return [(application, compute, application.features, application.outputs[0])]
    picks = [(application, itemgetter(i), [application], node) for i, node in enumerate(application.outputs)]
    return [(application, compute, application.features, application), *picks]


def _with_dead(steps: Sequence[PlannedStep], kept: set[Node]) -> Iterable[Step]:
    uses: Counter[Any] = Counter(source for _, _, sources, _ in steps for source in set(sources))
    for _, compute, sources, target in steps:
        dead = [] if uses[target] or target in kept else [target]
        for source in dict.fromkeys(sources):
            uses[source] -= 1
            if not uses[source] and source not in kept:
                dead.append(source)
        first, second, *more = *sources, None, None
        yield Step(compute, first, second, tuple(more[: len(sources) - 2]), target, tuple(dead))
