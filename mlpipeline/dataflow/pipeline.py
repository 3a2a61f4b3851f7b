"""Pipeline: a graph with a name and a version, that is fitted, run, evaluated, stored, saved and drawn.

Call tree of `transform`:

    Prepared.arrange        what was passed in -> one array for each input, checked
    Prepared.run            the layers as a flat list of steps over one dict of values (plan, folding)
    cache.stored_outputs    with a storage: seen before -> read; else run, and write under the ids

and of `fit`:

    fitting.fit_whole       each layer learns in a copy of its own, in the order of the graph
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from threading import RLock
from typing import Any, Self

from mlpipeline.dataflow import fitting
from mlpipeline.dataflow.cache import Explanation, explain, stored_outputs
from mlpipeline.dataflow.data import Intake, batch_of, ids_of, observation_count
from mlpipeline.dataflow.flat import flattened, restored
from mlpipeline.dataflow.graph import Fitted, inputs_of, make_graph
from mlpipeline.dataflow.layer import Layer
from mlpipeline.dataflow.node import Node, differing_observations
from mlpipeline.dataflow.pipeline_estimator import PipelineEstimator
from mlpipeline.dataflow.pipeline_portrayal import PipelinePortrayal
from mlpipeline.dataflow.plan import fitted_layer
from mlpipeline.dataflow.prepared import Prepared
from mlpipeline.dataflow.spec import Array
from mlpipeline.dataflow.storage import Storage, open_storage
from mlpipeline.errors import DataError, PipelineError

Nodes = Node | Sequence[Node]
Columns = dict[str, tuple[str, ...]]


class Pipeline(PipelineEstimator, PipelinePortrayal):
    """Named and versioned steps from inputs to outputs; a scikit-learn estimator as well.

    Args:
        inputs: the Inputs; each must be used.
        outputs: what `transform` gives; each needs a name.
        metrics: what `evaluate` gives.
        explorers: what `explore` gives.
        name: under which outputs are stored and the pipeline is saved.
        version: another version is another table and another file.
        storage: a folder or a database (SQLAlchemy URL or engine, sqlite3 connection), which keeps
            what `transform` gives by the ids of the observations, and saves computing it again.
        overwrite: replace what is stored or saved under this name and version.

    Raises: PipelineError: the graph cannot work; says where.
    """

    def __init__(
        self,
        inputs: Nodes,
        outputs: Nodes,
        metrics: Nodes = (),
        explorers: Nodes = (),
        name: str = "pipeline",
        version: Any = None,
        storage: Any = None,
        overwrite: bool = False,
    ) -> None:
        if not isinstance(name, str) or not name:
            raise PipelineError(f"name: expected a text, but got {name!r}")
        self.graph = make_graph(inputs, outputs, metrics, explorers)
        self.name = name
        self.version = version
        self.overwrite = overwrite
        self._where = storage
        self._storage = None if storage is None else open_storage(storage, name, version, overwrite)
        if self._storage is not None:
            _check_same_observations(self.graph.outputs)
        self._needed_to_fit = inputs_of(fitting.fitted_nodes(self.graph), with_labels=True)
        self._prepared = Prepared(self.graph, None)
        self._intake = Intake(self.graph.inputs, self._prepared.needed)
        self._learning = RLock()

    @property
    def fitted(self) -> Fitted | None:
        """What the last fit has learned, or None."""
        return self._prepared.fitted

    @fitted.setter
    def fitted(self, fitted: Fitted | None) -> None:
        self._prepared = Prepared(self.graph, fitted)  # one assignment: other threads see the old or the new

    @property
    def storage(self) -> Storage:
        """Where outputs are kept.

        Raises: PipelineError: the pipeline has none.
        """
        if self._storage is None:
            raise PipelineError(f"pipeline {self.name!r} has no storage; give one: Pipeline(..., storage='folder')")
        return self._storage

    def layer(self, name: str) -> Layer:
        """Return the layer of a node as it is fitted here; `.metadata` is what it has learned.

        Raises: PipelineError: no layer has this name, or it has not been fitted.
        """
        return fitted_layer(self.graph.find(name), self._prepared.layers)

    def fit(self, data: Any, y: Any = None, epochs: int = 1) -> Self:
        """Fit every layer that learns on the whole data, and forget what was known.

        Args:
            data: a dictionary of arrays by the inputs' names, labels included; or a frame or an array.
            y: the labels, where `data` is a frame or an array, as scikit-learn passes them.
            epochs: how often a layer that goes on learning sees the data.

        Raises:
            DataError: the data are not what the inputs describe, or there are none.
        """
        if isinstance(y, int):
            y, epochs = None, y
        columns: Columns = {}
        values = self._fit_values(data, y, columns)
        if not observation_count(values):
            raise DataError("expected at least one observation to fit on, but got none")
        self.fitted = replace(fitting.fit_whole(self.graph, values, _checked_epochs(epochs)), columns=columns)
        return self

    def partial_fit(self, data: Any, y: Any = None) -> Self:
        """Let every layer learn one more batch.

        Raises: PipelineError: a layer cannot be fitted batch by batch; names it.
        """
        with self._learning:  # what two threads teach at once must both count
            columns = dict(self.fitted.columns) if self.fitted else {}
            values = self._fit_values(data, y, columns)
            self.fitted = replace(fitting.fit_batch(self.graph, self.fitted, values), columns=columns)
        return self

    def fit_generator(self, generator: Any, steps_per_epoch: int | None = None, epochs: int = 1) -> Self:
        """Fit every layer on batches; what a statistic learns equals `fit` on the whole.

        Args:
            generator: an iterable of what `fit` takes or of pairs (data, y), or a function that returns
                one. Layers that stand on layers that learn need further passes over it.
            steps_per_epoch: batches in a pass; needed for a generator that never ends.
            epochs: passes for a layer that goes on learning.
        Raises: PipelineError: a layer cannot be fitted batch by batch, or the generator not be read again.
        """
        passes = fitting.passes_over(generator, steps_per_epoch)
        columns: Columns = {}

        def batches(count: int) -> Iterator[Iterable[fitting.Values]]:
            return ((self._fit_values(*batch_of(item), columns) for item in one) for one in passes(count))

        self.fitted = replace(fitting.fit_stream(self.graph, batches, _checked_epochs(epochs)), columns=columns)
        return self

    def transform(self, data: Any, index: Any = None) -> Any:
        """Compute the outputs.

        Args:
            data: as for `fit`; inputs that only fitting needs, labels, may be left out.
            index: an id for each observation, integers or texts, under which the storage keeps its
                outputs; without one the index of a pandas frame, or 0, 1, ...
        Returns: Outputs, by name and by position; or the frame that `set_output` asked for.

        Raises:
            PipelineError: the pipeline is not fitted yet.
            DataError: the data are not what the inputs describe.
        """
        prepared = self._prepared
        values = prepared.arrange(data)
        if self._storage is None:
            outputs = prepared.run(values)
        else:
            ids = ids_of(data, index, observation_count(values))
            outputs = stored_outputs(prepared, self._storage, values, ids)
        return outputs if self._container is None else self._as_table(outputs, data)

    def transform_generator(
        self, generator: Any, steps: int | None = None, index: Iterable[Any] | None = None
    ) -> Iterator[Any]:
        """Compute the outputs of one batch after the other; together they equal `transform` on the whole.

        Args:
            generator: what `transform` takes, batch by batch.
            steps: stop after as many batches.
            index: the ids of all observations, in order; without one they count on from 0.
        """
        prepared = self._prepared
        plan = prepared.streaming_plan()
        ids = None if index is None else iter(index)
        stored: set[Any] = set()
        start = 0
        for data, _ in _batches(generator, steps):
            values = prepared.arrange(data)
            n = observation_count(values)
            outputs = prepared.run(values, plan)
            if self._storage is not None:
                batch_ids = ids_of(data, None if ids is None else list(islice(ids, n)), n, start)
                batch_ids = prepared.kept_ids(batch_ids, values)
                _check_new(batch_ids, stored)
                self._storage.write(batch_ids, outputs)
            start += n
            yield outputs if self._container is None else self._as_table(outputs, data)
        if steps is None and ids is not None and next(ids, None) is not None:
            raise DataError(f"index: the generator gave {start} observations, but there are more ids")

    def evaluate(self, data: Any, y: Any = None) -> dict[str, Any]:
        """Compute the metrics, by name.

        Args:
            data: as for `fit`: everything that the metrics look at, labels included.
            y: the labels, where `data` is a frame or an array.
        """
        return self._prepared.observe(self.graph.metrics, [(data, y)])

    def evaluate_generator(self, generator: Any, steps: int | None = None) -> dict[str, Any]:
        """Compute the metrics over all batches; they equal `evaluate` on the whole.

        What the metrics look at is gathered, so that any function is exact; all else is bounded by the batch.
        """
        return self._prepared.observe(self.graph.metrics, _batches(generator, steps))

    def explore(self, data: Any, y: Any = None) -> dict[str, Any]:
        """Run the explorers, by name; arguments as for `evaluate`."""
        return self._prepared.observe(self.graph.explorers, [(data, y)])

    def explore_generator(self, generator: Any, steps: int | None = None) -> dict[str, Any]:
        """Run the explorers over all batches, gathered as `evaluate_generator` does."""
        return self._prepared.observe(self.graph.explorers, _batches(generator, steps))

    def explain_cache(self, data: Any, index: Any = None) -> Explanation:
        """Say what `transform` would compute for these data, and why it is not in the storage."""
        values = self._prepared.arrange(data)
        ids = ids_of(data, index, observation_count(values))
        return explain(self._prepared, self.storage, values, ids)

    def save(self, directory: str | Path, overwrite: bool | None = None) -> Path:
        """Save the pipeline and what it has learned as `<name>-<version>.pkl`, a zip archive without any pickle.

        Raises: PipelineError: something in it cannot be saved, or another pipeline is saved there already.
        """
        from mlpipeline.dataflow.saving import save_pipeline

        return save_pipeline(self, directory, self.overwrite if overwrite is None else overwrite)

    def __reduce__(self) -> tuple[Any, ...]:
        return restored, (flattened(self),)

    def _fit_values(self, data: Any, labels: Any, columns: Columns) -> fitting.Values:
        """Return data for a fit; `columns` are those of the frames before, and take in those of the first."""
        values = replace(self._intake, columns=columns).arrange(data, self._needed_to_fit, labels)
        for name, known in self._intake.columns_of(data, self._needed_to_fit, labels).items():
            columns.setdefault(name, known)
        return values


def _batches(generator: Any, steps: int | None) -> Iterator[tuple[Any, Any]]:
    source = generator if hasattr(generator, "__iter__") else generator()
    return map(batch_of, islice(source, steps))


def _check_new(ids: Array, stored: set[Any]) -> None:
    """Refuse ids that the same stream had before: their outputs would be replaced."""
    given = ids.tolist()
    again = [each for each in given if each in stored]
    if again:
        raise DataError(f"index: each id may come once in a stream, but {again[0]!r} came in an earlier batch too")
    stored.update(given)


def _checked_epochs(epochs: int) -> int:
    if isinstance(epochs, bool) or not isinstance(epochs, int) or epochs < 1:
        raise PipelineError(f"epochs: expected a whole number from 1 on, but got {epochs!r}")
    return epochs


def _check_same_observations(outputs: Sequence[Node]) -> None:
    differing = differing_observations(outputs)
    if differing:
        one, other = differing
        raise PipelineError(
            f"storage: expected outputs over the same observations, since they are kept by one id, but {one} and "
            f"{other} differ: a Filter lies above one of them. Filter both, or make two pipelines"
        )
