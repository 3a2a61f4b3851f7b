"""Codec: values as JSON and parts, and back, by their type and not by the layer that has them.

None, truth values, whole numbers, floats and texts stand for themselves, a JSON list is a list. Everything
else is an object whose "is" names its kind, `{"is": "tuple", "items": [...]}`; see `plain_kinds`,
`array_kinds`, `layer_kind`, `name_kinds`, `estimators`, `keras_models` and `torch_kinds`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mlpipeline.dataflow.saving.archive import Part
from mlpipeline.dataflow.saving.trust import Trust
from mlpipeline.errors import PipelineError

Json = dict[str, Any]
DEEPEST = 100
LARGE = 1 << 63  # beyond it JSON readers, and Python's own limit on digits, differ


def no_names(decoder: Decoder, told: Json) -> Iterable[str]:
    """Return no names: what most kinds say about themselves."""
    return ()


@dataclass(frozen=True)
class Kind:
    """How values of one kind are written and read.

    Args:
        takes: whether a value is of the kind.
        encode: given the encoder, the value and where it stands; returns what is told about it.
        decode: the value again.
        names: what must be known or trusted before `decode` is called, but for what is nested in it.
    """

    takes: Callable[[Any], bool]
    encode: Callable[[Encoder, Any, str], Json]
    decode: Callable[[Decoder, Json], Any]
    names: Callable[[Decoder, Json], Iterable[str]] = no_names


def kinds() -> Mapping[str, Kind]:
    """Return every kind by the word that a file has for it; the first that takes a value writes it."""
    from mlpipeline.dataflow.saving import (  # they stand on this module
        array_kinds,
        estimators,
        keras_models,
        layer_kind,
        name_kinds,
        plain_kinds,
        torch_kinds,
    )

    # Keras models on torch are torch modules too
    modules = (plain_kinds, array_kinds, layer_kind, name_kinds, keras_models, torch_kinds, estimators)
    return {word: kind for module in modules for word, kind in module.KINDS.items()}


@dataclass
class Encoder:
    """Writes values, and gathers the parts and the layers that they are made of."""

    parts: dict[str, Part] = field(default_factory=dict)
    layers: list[Json] = field(default_factory=list)
    numbers: dict[int, int | None] = field(default_factory=dict)  # id of a layer -> its place; None: on the way
    _kinds: Mapping[str, Kind] = field(default_factory=kinds)
    _depth: int = 0

    def encode(self, value: Any, where: str) -> Any:
        """Return a value as JSON.

        Args:
            value: what to write; it must not change until the parts are written.
            where: node and parameter, for messages.
        Raises: PipelineError: there is no way to write it.
        """
        kind = type(value)
        if value is None or kind is bool or (kind is int and -LARGE < value < LARGE):
            return value
        if self._depth > DEEPEST:
            raise PipelineError(f"{where:.200}: expected values up to {DEEPEST} deep; does one stand within itself?")
        self._depth += 1
        told = self._encoded(value, where)
        self._depth -= 1
        return told

    def _encoded(self, value: Any, where: str) -> Any:
        kind = type(value)
        if kind is list:
            return [self.encode(each, f"{where}[{i}]") for i, each in enumerate(value)]
        for word, known in self._kinds.items():
            if known.takes(value):
                told = known.encode(self, value, where)
                return {"is": word, **told} if isinstance(told, dict) else told
        raise PipelineError(
            f"{where}: cannot save a {kind.__module__}.{kind.__qualname__}. Numbers, texts, arrays, lists, "
            "dictionaries, functions, layers, scikit-learn estimators, Keras models and torch modules can be"
        )

    def add(self, folder: str, ending: str, part: Part) -> str:
        """Add a part and return the name of its entry."""
        name = f"{folder}/{sum(each.startswith(folder) for each in self.parts)}.{ending}"
        self.parts[name] = part
        return name


@dataclass
class Decoder:
    """Reads values.

    Args:
        parts: the entries of the archive.
        trust: which names may be looked up.
        layers: those that were read so far, in the order of the file.
    """

    parts: Mapping[str, bytearray]
    trust: Trust
    layers: list[Any] = field(default_factory=list)
    _kinds: Mapping[str, Kind] = field(default_factory=kinds)

    def decode(self, told: Any) -> Any:
        """Return the value that is told about.

        Raises: ValueError, KeyError, TypeError: the file is damaged.
        """
        if isinstance(told, list):
            return [self.decode(each) for each in told]
        if isinstance(told, dict):
            return self._kind(told).decode(self, told)
        return told

    def names(self, told: Any) -> Iterable[str]:
        """Return every name that reading a value would look up; looks none of them up."""
        if isinstance(told, list | dict):
            if isinstance(told, dict) and "is" in told:
                yield from self._kind(told).names(self, told)
            for each in told if isinstance(told, list) else told.values():
                yield from self.names(each)

    def part(self, name: object) -> bytearray:
        """Return an entry.

        Raises: ValueError: there is none.
        """
        if not isinstance(name, str) or name not in self.parts:
            raise ValueError(f"the entry {name!r:.80} is missing")
        return self.parts[name]

    def _kind(self, told: Json) -> Kind:
        kind = self._kinds.get(told["is"])
        if kind is None:
            raise ValueError(f"nothing is known of values of kind {told['is']!r:.80}")
        return kind
