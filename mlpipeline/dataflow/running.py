"""One layer on its values: fit a copy, apply it, check what comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from mlpipeline.dataflow.keys import NoKeyError, attributes, content_key
from mlpipeline.dataflow.layer import Layer, StatefulLayer
from mlpipeline.dataflow.node import Application
from mlpipeline.dataflow.spec import Array
from mlpipeline.errors import DataError, MlpError, PipelineError


def fitted(application: Application, values: Sequence[Array], epochs: int) -> Layer:
    """Return a copy of the layer that has learned from the values; a layer without state as it is.

    Args:
        application: where the layer stands.
        values: one array for each of its inputs, labels included.
        epochs: how often a layer that goes on learning sees the values.
    Raises: DataError: there are no observations.
    """
    layer = application.layer
    if not isinstance(layer, StatefulLayer):
        return layer
    copied = layer.unfitted_copy()
    with keeping_to_metadata(application, copied), told_where(application):
        if not len(values[0]):
            raise DataError("there are no observations to learn from")
        copied.learn(*given_to(layer, values), epochs=epochs)
        _own(copied, values)
    return copied


def learn_more(application: Application, layer: StatefulLayer, values: Sequence[Array]) -> None:
    """Let a fitted copy learn one more batch; one without observations teaches nothing."""
    if len(values[0]):
        with told_where(application):
            layer.learn_more(*given_to(layer, values))
            _own(layer, values)


def _own(layer: StatefulLayer, values: Sequence[Array]) -> None:
    """Copy what was learned where it lies in the memory of the data, which their owner may change."""
    for name, learned in layer.metadata.items():
        if isinstance(learned, np.ndarray) and any(np.may_share_memory(learned, each) for each in values):
            layer.metadata[name] = learned.copy()


def applied(application: Application, layer: Layer, values: Sequence[Array]) -> Sequence[Array]:
    """Return what the layer makes of the values of its features, one array for each output."""
    with told_where(application):
        result = layer.compute(*given_to(layer, values))
        return checked_results(application, result, len(values[0]))


def checking(application: Application, compute: Callable[..., Any]) -> Callable[..., Any]:
    """Return a user's function, given arrays that it cannot change, and a look at what it returns."""
    is_one = application.layer.n_outputs == 1

    def checked(*arrays: Array) -> Any:
        results = checked_results(application, compute(*map(read_only, arrays)), len(arrays[0]))
        return results[0] if is_one else results

    def checked_one(array: Array) -> Any:  # the same for what most layers are, at half the cost
        view = array.view()
        view.setflags(write=False)
        result = compute(view)
        if type(result) is np.ndarray and result.ndim and len(result) == len(array):
            return result
        return checked_results(application, result, len(array))[0]

    return checked_one if is_one and len(application.features) == 1 else checked


def given_to(layer: Layer, values: Sequence[Array]) -> Sequence[Array]:
    """Return what a layer is given: a user's gets arrays that it cannot change, for others need them too."""
    return values if layer.checks_itself else [read_only(array) for array in values]


def read_only(array: Array) -> Array:
    """Return a view of an array that cannot be written to."""
    view = array.view()
    view.setflags(write=False)
    return view


def checked_results(application: Application, result: object, n: int) -> Sequence[Array]:
    """Return the results of a layer as a sequence of arrays.

    Args:
        application: where the layer stands.
        result: what its `transform` returned.
        n: how many observations went in.
    Raises: PipelineError: these are not arrays, or not of n observations.
    """
    layer = application.layer
    results = [result] if layer.n_outputs == 1 else result
    if not isinstance(results, list | tuple) or len(results) != layer.n_outputs:
        raise PipelineError(f"transform returned {type(result).__name__}, expected {layer.n_outputs} arrays in a tuple")
    for array in results:
        if not isinstance(array, np.ndarray) or array.ndim == 0:
            raise PipelineError(
                f"transform returned {type(array).__name__}, expected an array whose axis 0 is the observations"
            )
        if len(array) != n and not layer.changes_observations:
            raise PipelineError(
                f"transform returned {len(array)} observations for {n}; axis 0 is the observations and keeps its "
                "length. To drop some, use the layer Filter with a mask"
            )
    return results


@contextmanager
def keeping_to_metadata(application: Application, layer: StatefulLayer) -> Iterator[None]:
    """Refuse a fit of a user's layer that keeps what it learned where it would be neither saved nor told apart.

    Args:
        application: where the layer stands.
        layer: the copy that learns.
    Raises: PipelineError: names an attribute that has changed.
    """
    before = {} if layer.checks_itself else _attribute_keys(layer)
    yield
    after = {} if layer.checks_itself else _attribute_keys(layer)
    changed = sorted(name for name in after if after[name] != before.get(name))
    if changed:
        name = changed[0]
        raise PipelineError(
            f"{application}: fit changed self.{name}, which would not be saved with the pipeline; "
            f"keep what is learned in self.metadata[{name!r}]"
        )


def _attribute_keys(layer: StatefulLayer) -> dict[str, str]:
    return {name: _key_or_identity(value) for name, value in attributes(layer).items()}


def _key_or_identity(value: Any) -> str:
    try:
        return content_key(value)
    except NoKeyError:
        return str(id(value))


@contextmanager
def told_where(application: Application) -> Iterator[None]:
    """Say in which layer an error was raised; a user's own exception keeps its type."""
    try:
        yield
    except (PipelineError, DataError) as error:
        raise type(error)(f"{application}: {error}") from error.__cause__
    except MlpError:
        raise
    except Exception as error:
        error.add_note(f"in the layer {application}")
        if "read-only" in str(error):
            error.add_note("a layer may not change the arrays that it is given: work on a copy")
        raise
