"""Cache: what has been computed from the same data by the same layers is read from the storage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlpipeline.dataflow.graph import ordered
from mlpipeline.dataflow.keys import NoKeyError, array_key, code_key, content_key, parameters_key
from mlpipeline.dataflow.node import Application
from mlpipeline.dataflow.outputs import Outputs
from mlpipeline.dataflow.plan import fitted_layer
from mlpipeline.dataflow.spec import Array
from mlpipeline.dataflow.storage import Storage
from mlpipeline.dataflow.storage.values import storable

if TYPE_CHECKING:
    from mlpipeline.dataflow.prepared import Prepared, Values

REASONS = {
    "code": "its code is another",
    "parameters": "its parameters are others",
    "state": "it was fitted anew",
    "from": "it stands on other nodes",
}


@dataclass(frozen=True)
class RunKey:
    """What a run is known by.

    Args:
        key: equal for equal outputs; "" when something has no key, so that nothing is found.
        parts: what went into it: inputs, ids, and for each layer code, parameters, state and parents.
        unknown: why there is no key.
    """

    key: str
    parts: Mapping[str, Any]
    unknown: str = ""


@dataclass(frozen=True)
class Explanation:
    """What `transform` would do.

    Args:
        is_stored: the outputs would be read from the storage.
        steps: (node, reason why it would be computed), in order; none when everything is read.
    """

    is_stored: bool
    steps: Sequence[tuple[str, str]]

    def __str__(self) -> str:
        if self.is_stored:
            return "all outputs are read from the storage; nothing is computed"
        return "\n".join(f"{node} is computed: {reason}" for node, reason in self.steps)


def stored_outputs(prepared: Prepared, storage: Storage, values: Values, ids: Array) -> Outputs:
    """Return the outputs from the storage or, when these are new, compute and store them.

    Args:
        prepared: what to compute with.
        storage: where the outputs are kept.
        values: the arrays of the inputs; the dict is used up.
        ids: of the observations.
    """
    ids = prepared.kept_ids(ids, values)
    run = run_key(prepared, values, ids)
    found = storage.find(run.key, ids)
    if found is not None:
        return Outputs(found)
    # as they will be read: texts in arrays of objects become arrays of texts
    outputs = Outputs({name: storable(name, array, len(ids)) for name, array in prepared.run(values).items()})
    storage.write(ids, outputs, run.key, run.parts)
    return outputs


def run_key(prepared: Prepared, values: Values, ids: Array) -> RunKey:
    """Return what the run of these data is known by."""
    try:
        layers = layer_parts(prepared)
        inputs = {str(node.name): array_key(array) for node, array in values.items()}
    except NoKeyError as error:
        return RunKey("", {}, str(error))
    parts = {"inputs": inputs, "ids": array_key(ids), "outputs": list(prepared.named_outputs), "layers": layers}
    return RunKey(content_key(parts), parts)


def layer_parts(prepared: Prepared) -> dict[str, Any]:
    """Return what each layer that the outputs need is known by, by the label of its node.

    Raises: NoKeyError: a parameter or a state has no key.
    """
    labels = prepared.graph.labels
    masks = prepared.graph.outputs[0].observations
    parts = {}
    for application in ordered([*prepared.graph.outputs, *masks], with_labels=False):
        layer = fitted_layer(application, prepared.layers)
        parts[prepared.graph.label(application)] = {
            "code": code_key(layer),
            "parameters": parameters_key(layer),
            "state": prepared.state_keys[application],
            "from": [labels[node] for node in application.features],
        }
    return parts


def explain(prepared: Prepared, storage: Storage, values: Values, ids: Array) -> Explanation:
    """Say what would be computed for these data, and what is different from what is stored."""
    ids = prepared.kept_ids(ids, values)
    run = run_key(prepared, values, ids)
    applications = ordered(prepared.graph.outputs, with_labels=False)
    if not run.key:
        return Explanation(False, [(_label(prepared, each), f"no key: {run.unknown}") for each in applications])
    runs = [each for each in storage.runs() if "layers" in each.parts]
    if storage.holds(run.key, ids):
        return Explanation(True, [])
    if not runs:
        return Explanation(False, [(_label(prepared, each), "nothing is stored yet") for each in applications])
    before = max(runs, key=lambda each: _likeness(each.parts, run.parts)).parts
    reasons: dict[str, str] = {}
    for application in applications:
        reasons[_label(prepared, application)] = _reason(prepared, application, before, run.parts, reasons)
    if not any(reasons.values()):
        changed = "the ids are others" if before["ids"] != run.parts["ids"] else "what was stored was replaced since"
        return Explanation(False, [(label, changed) for label in reasons])
    return Explanation(
        False, [(label, reason or "needed by a layer that is computed") for label, reason in reasons.items()]
    )


def _reason(
    prepared: Prepared,
    application: Application,
    before: Mapping[str, Any],
    now: Mapping[str, Any],
    reasons: Mapping[str, str],
) -> str:
    """Return why a layer gives something else than in an earlier run, or ""."""
    label = _label(prepared, application)
    known = before["layers"].get(label)
    if known is None:
        return "there was no such node"
    for part, reason in REASONS.items():
        if known[part] != now["layers"][label][part]:
            return reason
    for node in application.features:
        name = prepared.graph.labels[node]
        if node.application is None and before["inputs"].get(name) != now["inputs"][name]:
            return f"the data of input {name!r} are new"
        if node.application is not None and reasons[_label(prepared, node.application)]:
            return f"it stands on {name!r}"
    return ""


def _likeness(before: Mapping[str, Any], now: Mapping[str, Any]) -> int:
    same_inputs = sum(before["inputs"].get(name) == key for name, key in now["inputs"].items())
    same_layers = sum(before["layers"].get(label) == parts for label, parts in now["layers"].items())
    return int(2 * same_inputs + same_layers)


def _label(prepared: Prepared, application: Application) -> str:
    return prepared.graph.label(application)
