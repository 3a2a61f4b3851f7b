"""Prepared: a graph and what a fit has learned, ready to run. Made once a fit, never changed, shared by threads."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from mlpipeline.dataflow.data import Intake
from mlpipeline.dataflow.folding import make_folded_plan
from mlpipeline.dataflow.graph import Fitted, Graph, inputs_of
from mlpipeline.dataflow.keys import state_key
from mlpipeline.dataflow.layer import Layer, StatefulLayer
from mlpipeline.dataflow.node import Application, Node
from mlpipeline.dataflow.observer import Observer
from mlpipeline.dataflow.outputs import Outputs
from mlpipeline.dataflow.plan import Plan, make_plan
from mlpipeline.dataflow.running import read_only, told_where
from mlpipeline.dataflow.spec import Array, Spec
from mlpipeline.errors import DataError, PipelineError

Values = dict[Any, Array]


class Prepared:
    """What a pipeline computes with.

    The layers without state are copied, so that a layer changed later does not change half of a pipeline.

    Args:
        graph: the nodes.
        fitted: what was learned, or None.
    """

    def __init__(self, graph: Graph, fitted: Fitted | None) -> None:
        self.graph = graph
        self.fitted = fitted
        self.specs: Mapping[Node, Spec] = fitted.specs if fitted else {}
        stateless = {each: copy.copy(each.layer) for each in graph.applications if not _learns(each)}
        self.layers: Mapping[Application, Layer] = {**stateless, **(fitted.layers if fitted else {})}
        self.needed = inputs_of(graph.outputs, with_labels=False)
        self._intake = Intake(graph.inputs, self.needed, self.specs, fitted.columns if fitted else {})
        self._names = [(str(node.name), node) for node in graph.outputs]

    @cached_property
    def plan(self) -> Plan:
        """What computes the outputs."""
        return make_folded_plan(self.graph.outputs, self.layers, self.specs)

    @cached_property
    def unfolded_plan(self) -> Plan:
        """The same, each layer on its own: for data of other dtypes than the fit's."""
        return make_plan(self.graph.outputs, self.layers)

    @cached_property
    def mask_plan(self) -> Plan:
        """What computes the masks that say which observations the outputs are of."""
        return make_plan(self.graph.outputs[0].observations, self.layers)

    @cached_property
    def state_keys(self) -> dict[Application, str]:
        """What the layers have learned, as keys: it never changes."""
        return {application: state_key(layer) for application, layer in self.layers.items()}

    @property
    def named_outputs(self) -> list[str]:
        """The names of the outputs, in order."""
        return [name for name, _ in self._names]

    def streaming_plan(self) -> Plan:
        """Return what computes the outputs and masks on the batches of one stream; it remembers the last ones."""
        masks = self.graph.outputs[0].observations
        return make_plan(list(dict.fromkeys([*self.graph.outputs, *masks])), self.layers, streamed=True)

    def arrange(self, data: Any, needed: set[Node] | None = None, labels: Any = None) -> Values:
        """Return what was passed in as the arrays of the inputs that are needed."""
        return self._intake.arrange(data, self.needed if needed is None else needed, labels)

    def run(self, values: Values, plan: Plan | None = None) -> Outputs:
        """Return the outputs; none of them shares memory with what came in.

        Args:
            values: of the inputs; the dict is left with what the plan was asked for.
            plan: of a stream; None for the one that fits the data.
        """
        given = list(values.values())
        (plan or (self.plan if self._are_as_fitted(values) else self.unfolded_plan)).run(values)
        for _, node in self._names:
            array = values[node]
            for each in given:
                if array is each or (array.base is not None and np.may_share_memory(array, each)):
                    values[node] = array.copy()
                    break
        return Outputs({name: values[node] for name, node in self._names})

    def _are_as_fitted(self, values: Values) -> bool:
        """Return whether data have the dtypes that the fit has seen, for which the folded plan was made."""
        specs = self.specs
        return all(node in specs and array.dtype == specs[node].dtype for node, array in values.items())

    def kept_ids(self, ids: Array, values: Values) -> Array:
        """Return the ids of the observations that the outputs are of: those that pass the masks above them.

        Args:
            ids: of the observations that go in.
            values: of the inputs, or of the masks themselves.
        """
        masks = self.graph.outputs[0].observations
        if not all(mask in values for mask in masks):
            values = self.mask_plan.run(dict(values))
        for mask in masks:
            ids = ids[values[mask]]
        return ids

    def observe(self, observers: Sequence[Node], batches: Iterable[tuple[Any, Any]]) -> dict[str, Any]:
        """Return what metrics or explorers see over all batches of (data, labels), by name.

        Raises:
            PipelineError: there is none.
            DataError: there is no batch.
        """
        if not observers:
            raise PipelineError(
                "the pipeline has none to run; give it some: Pipeline(..., metrics=[...], explorers=[...])"
            )
        applications = [node.application for node in observers if node.application is not None]
        looked_at = list(dict.fromkeys(node for each in applications for node in each.inputs))
        needed = inputs_of(looked_at, with_labels=False)
        plan = make_plan(looked_at, self.layers, streamed=True)
        gathered: dict[Node, list[Array]] = {node: [] for node in looked_at}
        for data, y in batches:
            values = plan.run(self.arrange(data, needed, y))
            for node in looked_at:
                gathered[node].append(values[node])
        if any(not arrays for arrays in gathered.values()):
            raise DataError("the generator gave no batch: expected at least one")
        whole = {node: arrays[0] if len(arrays) == 1 else np.concatenate(arrays) for node, arrays in gathered.items()}
        labels = self.graph.labels
        return {
            labels[each.outputs[0]]: _observed(each, whole, [labels[n] for n in each.inputs]) for each in applications
        }


def _observed(application: Application, values: Values, names: Sequence[str]) -> Any:
    observer = application.layer
    if not isinstance(observer, Observer):
        raise PipelineError(f"{application} is neither a metric nor an explorer")
    with told_where(application):
        return observer.observe(*(read_only(values[node]) for node in application.inputs), names=names)


def _learns(application: Application) -> bool:
    return isinstance(application.layer, StatefulLayer)
