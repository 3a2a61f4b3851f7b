"""Captions: what is said of a layer and its nodes in pictures and tables."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from mlpipeline.dataflow.graph import Fitted
from mlpipeline.dataflow.layer import Layer, StatefulLayer
from mlpipeline.dataflow.node import Application, Node
from mlpipeline.dataflow.spec import Spec, shape_text

_SHORT = 24  # characters of one parameter


def spec_of(node: Node, fitted: Fitted | None) -> Spec:
    """Return what a fit has seen at a node or, without one, what is known from building it."""
    return node.spec if fitted is None else fitted.specs.get(node, node.spec)


def spec_caption(spec: Spec) -> str:
    """Return shape and dtype as far as they are known: (n, 48, 48, 3) float64."""
    return shape_text(spec.shape) if spec.dtype is None else f"{shape_text(spec.shape)} {spec.dtype}"


def layer_caption(layer: Layer) -> str:
    """Return a layer with the parameters that are not at their default, each shortened."""
    expected = inspect.signature(type(layer).__init__).parameters
    parts = []
    for name, value in layer.get_params(deep=False).items():
        parameter = expected.get(name)
        if parameter is not None and parameter.default is parameter.empty:
            parts.append(_short(value))
        elif parameter is None or not _same(value, parameter.default):
            parts.append(f"{name}={_short(value)}")
    return f"{type(layer).__name__}({', '.join(parts)})"


def state_caption(application: Application, fitted: Fitted | None) -> str:
    """Return the names of what a layer has learned; empty for a layer that learns nothing."""
    if not isinstance(application.layer, StatefulLayer):
        return ""
    if fitted is None or application not in fitted.layers:
        return "not fitted"
    return f"learned {', '.join(map(str, fitted.layers[application].metadata)) or 'nothing'}"


def value_captions(metadata: Mapping[str, Any]) -> list[str]:
    """Return what was learned, one text for each name: mean float64(50,)."""
    return [f"{name} {_value_caption(value)}" for name, value in metadata.items()]


def count_values(value: Any) -> int:
    """Return how many values there are in what a layer has learned."""
    if isinstance(value, np.ndarray):
        return value.size
    if isinstance(value, Mapping):
        return sum(map(count_values, value.values()))
    if isinstance(value, list | tuple | set | frozenset):
        return sum(map(count_values, value))
    if hasattr(value, "numel"):
        return int(value.numel())
    if hasattr(value, "count_params"):
        return int(value.count_params())
    if hasattr(value, "state_dict"):
        return count_values(value.state_dict())
    if hasattr(value, "get_params"):
        return sum(count_values(part) for name, part in vars(value).items() if name.endswith("_"))
    return int(isinstance(value, bool | int | float | complex | str | np.generic))


def _value_caption(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{value.shape}"
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool | int | float | complex):
        return f"{value:.6g}" if isinstance(value, float) else str(value)
    if isinstance(value, str):
        return _short(value)
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        return f"{type(value).__name__} of {len(value)}"
    return type(value).__name__


def _short(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"array{value.shape}"
    if callable(value) and hasattr(value, "__name__"):  # a class, a function, one of numpy's
        return str(value.__name__)
    if isinstance(value, np.dtype):
        return str(value)
    text = " ".join(repr(value).split())
    if len(text) <= _SHORT:
        return text
    plain = isinstance(value, str | bytes | int | float | complex | Iterable) and not hasattr(value, "get_params")
    return f"{text[: _SHORT - 1]}…" if plain else f"{type(value).__name__}(…)"


def _same(value: Any, default: Any) -> bool:
    if value is default:
        return True
    return type(value) is type(default) and not isinstance(value, np.ndarray) and bool(np.all(value == default))
