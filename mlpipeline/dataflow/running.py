"""One layer on its values: fit a copy, apply it, check what comes back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np

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
    """
    layer = application.layer
    if not isinstance(layer, StatefulLayer):
        return layer
    copied = layer.unfitted_copy()
    with told_where(application):
        copied.learn(*values, epochs=epochs)
        check_only_metadata_changed(layer, copied)
    return copied


def applied(application: Application, layer: Layer, values: Sequence[Array]) -> Sequence[Array]:
    """Return what the layer makes of the values of its features, one array for each output."""
    with told_where(application):
        result = layer.compute(*values)
        return checked_results(application, result, len(values[0]))


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


def check_only_metadata_changed(before: StatefulLayer, after: StatefulLayer) -> None:
    """Refuse a fit that keeps what it learned where it would not be saved.

    Raises: PipelineError: names the attributes.
    """
    added = sorted(set(vars(after)) - set(vars(before)) - {"_metadata"})
    if added:
        name = added[0]
        raise PipelineError(
            f"fit set self.{name}, which would not be saved with the pipeline; keep it in self.metadata[{name!r}]"
        )


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
        raise
