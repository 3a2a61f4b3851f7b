"""Folding: chains of affine maps, through concatenations, become one map when a fitted pipeline is made ready.

A node that only the next layer needs is not computed; the layer after it knows it as a `Form`: blocks
of columns, each a sum of affine maps of nodes that are computed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mlpipeline.dataflow.affine import Affine
from mlpipeline.dataflow.graph import ordered
from mlpipeline.dataflow.layer import Layer
from mlpipeline.dataflow.missing_values import refuse_infinity, refuse_missing
from mlpipeline.dataflow.node import Application, Node
from mlpipeline.dataflow.plan import Plan, PlannedStep, fitted_layer, layer_steps
from mlpipeline.dataflow.spec import Array, Spec
from mlpipeline.errors import DataError

Link = Callable[[Array], Array]
IDENTITY = Affine(np.asarray(1.0))


@dataclass(frozen=True)
class Block:
    """Some columns: the sum of affine maps of nodes."""

    terms: tuple[tuple[Node, Affine], ...]
    width: int

    def then(self, after: Affine) -> Block:
        """Return the columns after a further map, whose center and shift count once."""
        (first, affine), *rest = self.terms
        slope = Affine(after.factor)
        terms = ((first, affine.then(after)), *((node, each.then(slope)) for node, each in rest))
        return Block(terms, after.factor.shape[1] if after.is_matrix else self.width)


@dataclass(frozen=True)
class Form:
    """What a node is, as columns made from other nodes.

    Args:
        blocks: the columns, beside each other.
        link: what turns them into the result.
        is_folded: a node between has been left out; otherwise the layer itself does as well.
    """

    blocks: tuple[Block, ...]
    link: Link | None = None
    is_folded: bool = False

    @property
    def sources(self) -> list[Node]:
        """The nodes that it is made from."""
        return list(dict.fromkeys(node for block in self.blocks for node, _ in block.terms))

    @property
    def refusal(self) -> Link | None:
        """What refuses observations that one of the layers would have refused, if one does."""
        affines = [affine for block in self.blocks for _, affine in block.terms]
        if any(affine.refuses_missing for affine in affines):
            return refuse_missing
        return refuse_infinity if any(affine.refuses_infinity for affine in affines) else None

    def then(self, after: Affine) -> Form:
        """Return the form after a further map."""
        parts = []
        start = 0
        for block in self.blocks:
            parts.append(block.then(after.part(start, start + block.width)))
            start += block.width
        if not after.is_matrix:
            return replace(self, blocks=tuple(parts))
        (node, affine), *rest = [term for part in parts for term in part.terms]
        first = (node, replace(affine, shift=affine.shift + after.shift))
        return replace(self, blocks=(Block((first, *rest), after.factor.shape[1]),))

    def costs_more_then(self, after: Affine) -> bool:
        """Return whether one product with a map takes longer than this form and the map after each other."""
        if not after.is_matrix:
            return False
        n_out = after.factor.shape[1]
        apart = sum(affine.factor.size for block in self.blocks for _, affine in block.terms) + after.factor.size
        together = sum(
            (len(affine.factor) if affine.is_matrix else block.width) * n_out
            for block in self.blocks
            for _, affine in block.terms
        )
        return bool(together > apart)


def make_folded_plan(targets: Sequence[Node], layers: Mapping[Application, Layer], specs: Mapping[Node, Spec]) -> Plan:
    """Return the plan of nodes, with each chain of affine maps as one step.

    Args:
        targets: what is asked for.
        layers: the fitted layers.
        specs: what the fit has seen at each node; nothing is folded where that is not known.
    Raises: PipelineError: a layer that is needed has not been fitted.
    """
    applications = ordered(targets, with_labels=False)
    used = Counter([*targets, *(node for each in applications for node in each.features)])
    forms: dict[Node, Form] = {}
    for application in applications:
        # what only this layer needs may be left out; what others need too is computed once
        before = {node: forms[node] for node in application.features if node in forms and used[node] == 1}
        form = _form(application, fitted_layer(application, layers), before, specs)
        if form is not None:
            forms[application.outputs[0]] = form
    forms = {node: form for node, form in forms.items() if form.is_folded}
    steps: list[PlannedStep] = []
    for application in _computed(applications, targets, forms):
        form = forms.get(application.outputs[0])
        if form is None:
            layer = fitted_layer(application, layers)
            steps += layer_steps(application, layer, layer.compute)
        else:
            steps.append(
                (application, _computing(application.outputs[0], form, specs), form.sources, application.outputs[0])
            )
    return Plan(steps, targets)


def _computed(
    applications: Sequence[Application], targets: Sequence[Node], forms: Mapping[Node, Form]
) -> list[Application]:
    """Return the applied layers that are still computed when others are left out."""
    needed = set(targets)
    computed = []
    for application in reversed(applications):
        if needed.isdisjoint(application.outputs):
            continue
        computed.append(application)
        form = forms.get(application.outputs[0])
        needed |= set(application.features if form is None else form.sources)
    return computed[::-1]


def _form(
    application: Application, layer: Layer, before: Mapping[Node, Form], specs: Mapping[Node, Spec]
) -> Form | None:
    """Return an applied layer as a form of nodes further up, or None when it is none."""
    if layer.n_outputs != 1 or not all(node in specs and specs[node].is_table for node in application.features):
        return None
    spec = specs.get(application.outputs[0])
    if layer.joins_columns and spec is not None and spec.shape is not None and len(spec.shape) == 1:
        parts = [before.get(node) or _leaf(node, specs) for node in application.features]
        if any(part.link for part in parts):
            return None
        return Form(tuple(block for part in parts for block in part.blocks))
    if len(application.features) != 1:
        return None
    node = application.features[0]
    linked = layer.affine_link(specs[node].with_dtype(np.dtype(np.float64)))
    if linked is None or (linked[1] is None and (spec is None or spec.dtype is None or spec.dtype.kind != "f")):
        return None
    affine, link = linked
    form = before.get(node)
    if form is not None and form.link is None and not form.costs_more_then(affine):
        return replace(form.then(affine), link=link, is_folded=True)
    return replace(_leaf(node, specs).then(affine), link=link)


def _leaf(node: Node, specs: Mapping[Node, Spec]) -> Form:
    return Form((Block(((node, IDENTITY),), specs[node].size or 0),))


def _computing(target: Node, form: Form, specs: Mapping[Node, Spec]) -> Callable[..., Array]:
    """Return the function that computes a form from the values of its sources."""
    is_narrow = target in specs and specs[target].dtype == np.float32
    sources = form.sources
    blocks = [
        [(sources.index(node), _narrowed(affine) if is_narrow else affine) for node, affine in block.terms]
        for block in form.blocks
    ]
    compute = blocks[0][0][1] if len(sources) == len(blocks) == len(blocks[0]) == 1 else _several(blocks)
    return _finishing(_checking_shapes(compute, [specs[node].shape for node in sources]), form)


def _narrowed(affine: Affine) -> Callable[[Array], Array]:
    """Return a map in float32; where its numbers are too large or small for that, only its results are."""
    with np.errstate(over="ignore", under="ignore"):
        narrow = affine if affine is IDENTITY else affine.as_type(np.float32)
    if np.isfinite(narrow.factor).all() and np.array_equal(narrow.factor == 0, affine.factor == 0):
        return narrow
    return lambda x: affine(x.astype(np.float64)).astype(np.float32)


def _several(blocks: Sequence[Sequence[tuple[int, Callable[[Array], Array]]]]) -> Callable[..., Array]:
    def compute(*values: Array) -> Array:
        tables = [value[:, None] if value.ndim == 1 else value for value in values]
        parts = []
        for terms in blocks:
            total, *others = (
                tables[position] if affine is IDENTITY else affine(tables[position]) for position, affine in terms
            )
            for other in others:
                total += other
            parts.append(total)
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)

    return compute


def _checking_shapes(compute: Callable[..., Array], shapes: Sequence[Any]) -> Callable[..., Array]:
    """Return a function that refuses observations of other shapes than the fit's: some would be broadcast."""

    def checked(*values: Array) -> Array:
        for value, shape in zip(values, shapes, strict=True):
            if value.shape[1:] != shape:
                raise DataError(f"the fit has seen observations of shape {shape}, but got {value.shape[1:]}")
        return compute(*values)

    return checked


def _finishing(compute: Callable[..., Array], form: Form) -> Callable[..., Array]:
    link = form.link or form.refusal  # a link refuses what its own layer does, which is no less
    if link is None:
        return compute
    return lambda *values: link(compute(*values))
