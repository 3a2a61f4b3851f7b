"""Kind of layers: a class, the arguments it was made with, and what it has learned on its own."""

from __future__ import annotations

import inspect
from typing import Any

from mlpipeline.dataflow.layer import Layer, StatefulLayer
from mlpipeline.dataflow.saving.codec import Decoder, Encoder, Json, Kind
from mlpipeline.dataflow.saving.name_kinds import name_of
from mlpipeline.dataflow.saving.torch_kinds import encode_made, is_module
from mlpipeline.dataflow.saving.trust import checked_name, dotted
from mlpipeline.errors import PipelineError


def encode_layer(encoder: Encoder, layer: Layer, where: str) -> int:
    """Return the number of a layer in the file; a layer that stands at several places is written once."""
    key = id(layer)
    if key in encoder.numbers:
        number = encoder.numbers[key]
        if number is None:
            raise PipelineError(f"{where}: the layer is a part of itself")
        return number
    encoder.numbers[key] = None
    told = _described(encoder, layer, where)
    encoder.layers.append(told)
    encoder.numbers[key] = len(encoder.layers) - 1
    return len(encoder.layers) - 1


def decode_layer(decoder: Decoder, told: Json) -> Layer:
    """Return the layer that is told about.

    Raises: PipelineError: its class is not there any more, or cannot be made with these arguments.
    """
    name = checked_name(told["class"])
    kind = decoder.trust.find(name)
    if not isinstance(kind, type) or not issubclass(kind, Layer):
        raise ValueError(f"{dotted(name)} is no layer")
    positional = [decoder.decode(each) for each in told["positional"]]
    arguments = {key: decoder.decode(each) for key, each in told["arguments"].items()}
    try:
        layer = kind(*positional, **arguments)
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise PipelineError(
            f"{dotted(name)} cannot be made with what it was saved with: {error}. Has its class changed since?"
        ) from error
    if "container" in told:
        layer.set_output(transform=told["container"])
    if "metadata" in told and isinstance(layer, StatefulLayer):
        layer.metadata = {key: decoder.decode(each) for key, each in told["metadata"].items()}
    return layer


def encode_metadata(encoder: Encoder, layer: StatefulLayer, where: str) -> Json:
    """Return what a layer has learned, each under its name."""
    told = {}
    for key, value in layer.metadata.items():
        if not isinstance(key, str):
            raise PipelineError(f"{where}: expected texts as keys of the metadata, but got {key!r:.80}")
        told[key] = _encode_learned(encoder, layer, key, value, f"{where}, metadata[{key!r}]")
    return told


def _encode_learned(encoder: Encoder, layer: StatefulLayer, key: str, value: Any, where: str) -> Any:
    """Return what is told about something learned; a torch module may be known by the function that makes it."""
    maker = getattr(layer, key, None)
    if is_module(value) and callable(maker) and not is_module(maker):
        return encode_made(encoder, value, maker, where)
    return encoder.encode(value, where)


def given_arguments(thing: Any, where: str) -> tuple[list[Any], dict[str, Any]]:
    """Return what an object was made with, from its attributes of the same names.

    Raises: PipelineError: it does not keep one of them.
    """
    positional: list[Any] = []
    keywords: dict[str, Any] = {}
    parameters = [] if type(thing).__init__ is object.__init__ else _parameters(type(thing))
    has_star = any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters)
    for parameter in parameters:
        if not hasattr(thing, parameter.name):
            raise PipelineError(
                f"{where}: {type(thing).__name__} keeps no self.{parameter.name}, so that it cannot be saved; "
                f"write self.{parameter.name} = {parameter.name} in its __init__"
            )
        value = getattr(thing, parameter.name)
        if parameter.kind is parameter.VAR_POSITIONAL:
            positional += value
        elif parameter.kind is parameter.VAR_KEYWORD:
            keywords |= value
        elif parameter.kind is parameter.POSITIONAL_ONLY or (has_star and parameter.kind is not parameter.KEYWORD_ONLY):
            positional.append(value)
        else:
            keywords[parameter.name] = value
    return positional, keywords


def _described(encoder: Encoder, layer: Layer, where: str) -> Json:
    positional, keywords = given_arguments(layer, where)
    _check_remade(layer, positional, keywords, where)
    told: Json = {
        "class": name_of(type(layer), where),
        "positional": [encoder.encode(each, f"{where}, argument {i}") for i, each in enumerate(positional)],
        "arguments": {key: encoder.encode(each, f"{where}, parameter {key}") for key, each in keywords.items()},
    }
    if layer._container is not None:
        told["container"] = layer._container
    if isinstance(layer, StatefulLayer) and layer.metadata:
        told["metadata"] = encode_metadata(encoder, layer, where)
    return told


def _check_remade(layer: Layer, positional: list[Any], keywords: dict[str, Any], where: str) -> None:
    """Refuse a layer that its arguments do not make again: it would come back as another.

    Raises: PipelineError: names the attribute that would differ.
    """
    try:
        made = vars(type(layer)(*positional, **keywords))
    except (TypeError, ValueError, AttributeError, KeyError, PipelineError) as error:
        raise PipelineError(
            f"{where}: {type(layer).__name__} cannot be made again with the parameters that it keeps: {error}"
        ) from error
    for name, value in vars(layer).items():
        if name.startswith("_"):  # what is learned, and what is made from it
            continue
        if name not in made or (_is_plain(value) and not _is_same(value, made[name])):
            raise PipelineError(
                f"{where}: self.{name} is not what {type(layer).__name__} makes of its arguments, and would be lost; "
                f"make {name} a parameter of its __init__"
            )


def _is_plain(value: Any) -> bool:
    return value is None or type(value) in (bool, int, float, str)


def _is_same(value: Any, other: Any) -> bool:
    return type(value) is type(other) and (value == other or value != value)


def _parameters(kind: type) -> list[inspect.Parameter]:
    return list(inspect.signature(kind.__init__).parameters.values())[1:]  # type: ignore[misc]


def _decode_number(decoder: Decoder, told: Json) -> Layer:
    number = told["number"]
    if type(number) is not int or not 0 <= number < len(decoder.layers):
        raise ValueError(f"there is no layer {number!r:.40} before it")
    found: Layer = decoder.layers[number]
    return found


KINDS = {
    "layer": Kind(
        lambda value: isinstance(value, Layer),
        lambda encoder, value, where: {"number": encode_layer(encoder, value, where)},
        _decode_number,
    ),
}
