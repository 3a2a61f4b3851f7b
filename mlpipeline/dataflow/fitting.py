"""Fitting: all observations at once, a stream in one pass for each level, or one more batch.

Call tree:

    fit_whole       each layer on its values, in the order of the graph
    fit_stream      for each level: every batch through what is fitted, then into the level's layers
    fit_batch       each layer learns one more batch, in the order of the graph
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import islice
from typing import Any

from mlpipeline.dataflow.data import observation_count
from mlpipeline.dataflow.graph import Fitted, Graph, ordered
from mlpipeline.dataflow.layer import Layer, StatefulLayer
from mlpipeline.dataflow.node import Application, Node
from mlpipeline.dataflow.plan import fitted_layer, make_plan
from mlpipeline.dataflow.running import applied, fitted, keeping_to_metadata, learn_more
from mlpipeline.dataflow.spec import Array, Spec
from mlpipeline.errors import DataError, PipelineError

Values = dict[Any, Array]
_logger = logging.getLogger(__name__)
HEAD = 2  # observations that mostly are enough to see the shape and dtype of a node


def fit_whole(graph: Graph, values: Values, epochs: int) -> Fitted:
    """Fit every layer on all observations.

    Args:
        graph: what to fit.
        values: the arrays of the inputs; the dict is used up.
        epochs: how often a layer that goes on learning sees them.
    """
    layers: dict[Application, StatefulLayer] = {}
    seen = _looks(values)
    applications = fitted_applications(graph)
    last_use = _last_uses(applications)
    for position, application in enumerate(applications):
        learns = isinstance(application.layer, StatefulLayer)
        layer = fitted(application, [values[node] for node in application.inputs] if learns else [], epochs)
        if isinstance(layer, StatefulLayer):
            layers[application] = layer
        if any(node in last_use for node in application.outputs):
            seen |= _looks(_computed(application, layer, values))
        for node in application.inputs:
            if last_use.get(node, position) <= position:
                values.pop(node, None)
    return Fitted(layers, _specs(applications, layers, seen))


def fit_stream(graph: Graph, passes: Callable[[int], Iterator[Iterable[Values]]], epochs: int) -> Fitted:
    """Fit every layer on a stream of batches, each level of the graph in passes of its own.

    Args:
        graph: what to fit.
        passes: given how many passes are needed, gives as many iterables of batches.
        epochs: how many passes a layer that goes on learning is given; a statistic needs one.

    Raises:
        PipelineError: a layer cannot be fitted batch by batch.
        DataError: the stream is empty, or is not as long in every pass.
    """
    levels = fit_levels(graph)
    _check_streamable(levels)
    repeats = [epochs if any(_layer(each).is_iterative for each in level) else 1 for level in levels]
    layers: dict[Application, StatefulLayer] = {}
    stream = _same_in_each(passes(max(1, sum(repeats))))
    first: Values = {} if levels else _first_of(next(stream))
    for level, repeat in zip(levels, repeats, strict=True):
        learning = {application: _layer(application).unfitted_copy() for application in level}
        wanted = list(dict.fromkeys(node for application in level for node in application.inputs))
        with ExitStack() as checks:
            for application, layer in learning.items():
                checks.enter_context(keeping_to_metadata(application, layer))
            for turn in range(repeat):
                plan = make_plan(wanted, layers, streamed=True)
                for batch in next(stream):
                    first = first or dict(batch)
                    values = plan.run(batch)
                    for application, layer in learning.items():
                        if turn == 0 or layer.is_iterative:
                            learn_more(application, layer, [values[node] for node in application.inputs])
        layers |= learning
        _check_taught(learning)
    seen = _looks(first)
    return Fitted(layers, _specs(fitted_applications(graph), layers, seen))


def fit_batch(graph: Graph, before: Fitted | None, values: Values) -> Fitted:
    """Return what is known after one more batch; each layer sees what the layers before it give now.

    Raises: PipelineError: a layer cannot be fitted batch by batch.
    """
    layers: dict[Application, StatefulLayer] = {}
    _check_streamable(fit_levels(graph))
    applications = fitted_applications(graph)
    last_use = _last_uses(applications)
    seen = _looks(values)
    for application in applications:
        if isinstance(application.layer, StatefulLayer):
            known = before.layers.get(application) if before else None
            layers[application] = known.fitted_copy() if known else application.layer.unfitted_copy()
            with keeping_to_metadata(application, layers[application]):
                learn_more(application, layers[application], [values[node] for node in application.inputs])
        if any(node in last_use for node in application.outputs):
            _check_forgetful(application)
            seen |= _looks(_computed(application, fitted_layer(application, layers), values))
    return Fitted(layers, _specs(applications, layers, seen))


def fitted_applications(graph: Graph) -> list[Application]:
    """Return the layers that a fit runs, in order: all that learn, what they stand on, and what leads to outputs."""
    return ordered(fitted_nodes(graph))


def fitted_nodes(graph: Graph) -> list[Node]:
    """Return the nodes that a fit is for; what only metrics and explorers look at is not among them."""
    learning = [each for each in graph.applications if isinstance(each.layer, StatefulLayer)]
    return [*graph.outputs, *(node for each in learning for node in each.outputs)]


def fit_levels(graph: Graph) -> list[list[Application]]:
    """Return the layers that learn, in groups that can be fitted in the same pass: none stands on another."""
    level_of: dict[Application, int] = {}
    levels: list[list[Application]] = []
    for application in graph.applications:
        before = [node.application for node in application.inputs if node.application is not None]
        level = max((level_of[each] + isinstance(each.layer, StatefulLayer) for each in before), default=0)
        level_of[application] = level
        if isinstance(application.layer, StatefulLayer):
            levels += [[] for _ in range(level + 1 - len(levels))]
            levels[level].append(application)
    return levels


def passes_over(generator: Any, steps: int | None) -> Callable[[int], Iterator[Iterable[Any]]]:
    """Return what gives a generator's batches as often as a fit needs them.

    Args:
        generator: an iterable of batches, or a function that returns one.
        steps: batches in a pass; needed for one that never ends.

    Raises:
        PipelineError: the generator can be read once, and more passes are needed; or it never ends.
        DataError: it ended in the middle of a pass.
    """
    if steps is not None and (isinstance(steps, bool) or not isinstance(steps, int) or steps < 1):
        raise PipelineError(f"steps_per_epoch: expected a whole number from 1 on, but got {steps!r}")
    if not hasattr(generator, "__iter__") and not callable(generator):
        raise PipelineError(f"expected an iterable of batches, or a function that makes one, but got {generator!r:.60}")
    if steps is None and getattr(generator, "repeat", False) is True:
        raise PipelineError("the generator repeats without an end; say how much of it is a pass: steps_per_epoch=...")

    def passes(count: int) -> Iterator[Iterable[Any]]:
        for turn in range(count):
            source = generator if hasattr(generator, "__iter__") else generator()
            if steps is not None:
                yield _exactly(source, steps, f"pass {turn + 1} of {count}")
            elif count == 1 or source is not generator or iter(source) is not source:
                yield source
            else:
                raise PipelineError(
                    f"fitting takes {count} passes over the data (one for each level of layers that learn, and "
                    "epochs), but this generator can be read once. Pass something that can be read again: a list, "
                    "PandasGenerator, CSVGenerator, SQLGenerator, or the function that makes the generator"
                )

    return passes


def _exactly(source: Iterable[Any], steps: int, where: str) -> Iterator[Any]:
    given = 0
    for item in islice(source, steps):
        given += 1
        yield item
    if given < steps:
        raise DataError(f"the generator ended after {given} of {steps} batches in {where}")


def _last_uses(applications: Sequence[Application]) -> dict[Node, int]:
    """Return where each node is needed for the last time as a whole: by a layer that learns, or before one."""
    learning = {each for each in applications if isinstance(each.layer, StatefulLayer)}
    before = set(ordered([node for each in learning for node in each.inputs], with_labels=False))
    last: dict[Node, int] = {}
    for position, application in enumerate(applications):
        used = application.inputs if application in learning else application.features if application in before else ()
        last |= dict.fromkeys(used, position)
    return last


def _layer(application: Application) -> StatefulLayer:
    layer = application.layer
    assert isinstance(layer, StatefulLayer)
    return layer


def _check_streamable(levels: Sequence[Sequence[Application]]) -> None:
    refused = [str(each) for level in levels for each in level if not _layer(each).can_stream]
    if refused:
        raise PipelineError(
            f"cannot be fitted batch by batch: {'; '.join(refused)}. A batch can be merged only by a layer with a "
            "partial_fit; fit the pipeline on the whole data with pipeline.fit(data)"
        )


def _specs(
    applications: Sequence[Application],
    layers: Mapping[Application, StatefulLayer],
    seen: Mapping[Node, tuple[Spec, Array]],
) -> dict[Node, Spec]:
    """Return the spec of each node that was computed and, by a look at a few observations, of the others.

    Args:
        applications: all that a fit is for, in order.
        layers: those that have learned.
        seen: spec and first observations of the nodes that were computed.
    """
    specs = {node: spec for node, (spec, _) in seen.items()}
    heads = {node: head for node, (_, head) in seen.items()}
    for application in applications:
        if application.outputs[0] in specs or not all(node in heads for node in application.features):
            continue
        layer = fitted_layer(application, layers)
        try:
            computed = _computed(application, layer, heads)
        except Exception as error:  # a few observations are too few for some; then it stays unknown
            _logger.debug("%s cannot be looked at: %s", application, error)
            continue
        specs |= {node: Spec.of(array) for node, array in computed.items()}
    return specs


def _computed(application: Application, layer: Layer, values: Values) -> Values:
    """Compute the outputs of a layer into the values that they come from; return them."""
    results = applied(application, layer, [values[node] for node in application.features])
    outputs: Values = dict(zip(application.outputs, results, strict=True))
    values |= outputs
    return outputs


def _looks(values: Values) -> dict[Node, tuple[Spec, Array]]:
    """Return spec and first observations of nodes."""
    return {node: (Spec.of(array), array[:HEAD]) for node, array in values.items()}


def _same_in_each(passes: Iterator[Iterable[Values]]) -> Iterator[Iterable[Values]]:
    """Give the passes, after a look whether each has batches, and as many observations as the first."""
    counts: list[int] = []

    def counted(one: Iterable[Values]) -> Iterator[Values]:
        batches = observations = 0
        for batch in one:
            batches += 1
            observations += observation_count(batch)
            yield batch
        if not batches:
            raise DataError("the generator gave no batch: expected at least one")
        counts.append(observations)
        if observations != counts[0]:
            raise DataError(
                f"the generator gave {counts[0]} observations in its first pass and {observations} in pass "
                f"{len(counts)}; every level of the pipeline must be fitted on the same data"
            )

    return map(counted, passes)


def _first_of(batches: Iterable[Values]) -> Values:
    return next(iter(batches), {})


def _check_taught(learning: Mapping[Application, StatefulLayer]) -> None:
    for application, layer in learning.items():
        if not layer.metadata:
            raise DataError(f"{application}: there were no observations to learn from in any batch")


def _check_forgetful(application: Application) -> None:
    """Refuse a layer that needs earlier batches before one that learns: each call would begin anew."""
    if type(application.layer).streamed is not Layer.streamed:
        raise PipelineError(
            f"{application} looks back at earlier batches, which partial_fit does not keep; use fit_generator"
        )
