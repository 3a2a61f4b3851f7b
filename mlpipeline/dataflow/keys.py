"""Keys: short texts that are equal when contents are: arrays, parameters, states and the code of functions.

They are the same in every process of one Python version.
"""

from __future__ import annotations

import functools
import sys
import types
from collections.abc import Callable, Iterable, Mapping, Set
from typing import Any

import numpy as np
import xxhash

from mlpipeline.dataflow.layer import Layer, StatefulLayer
from mlpipeline.dataflow.spec import Array


class NoKeyError(Exception):
    """A value has no key: nothing tells whether its content is the same."""


def array_key(array: Array) -> str:
    """Return a key of an array's dtype, shape and values; the values are read once.

    Raises: NoKeyError: it holds objects other than texts, numbers, truth values and None.
    """
    hasher = xxhash.xxh3_128(f"{array.dtype.str}{array.shape}".encode())
    if array.dtype.hasobject:
        for item in array.ravel().tolist():
            if not isinstance(item, str | int | float | bool | bytes | types.NoneType | dict):
                raise NoKeyError(f"an array holds {type(item).__name__}")
            text = content_key(item).encode() if isinstance(item, dict) else repr(item).encode()
            hasher.update(b"%d:%s" % (len(text), text))
    elif array.size:
        hasher.update(np.ascontiguousarray(array).data.cast("B") if array.dtype.kind not in "mM" else array.tobytes())
    return hasher.hexdigest()


def content_key(value: Any) -> str:
    """Return a key of any value that a layer may hold as a parameter or as state.

    Raises: NoKeyError: says what has no key.
    """
    return _joined(_parts(value, ()))


def code_key(layer: Layer) -> str:
    """Return a key of the code of a layer's class, with all functions of its own module that it uses."""
    return content_key(type(layer))


def parameters_key(layer: Layer) -> str:
    """Return a key of a layer's parameters.

    Raises: NoKeyError: one of them has no key.
    """
    return content_key(layer.get_params(deep=False))


def state_key(layer: Layer) -> str:
    """Return a key of what a layer has learned.

    Raises: NoKeyError: some of it has no key.
    """
    return content_key(layer.metadata) if isinstance(layer, StatefulLayer) else ""


Seen = tuple[int, ...]  # ids of what is being described, against circles


def _parts(value: Any, seen: Seen) -> Iterable[str]:
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        return [type(value).__name__, repr(value)]
    if id(value) in seen:
        return ["circle", str(seen.index(id(value)))]
    seen = (*seen, id(value))
    for kinds, describe in _DESCRIBERS:
        if isinstance(value, kinds):
            return describe(value, seen)
    if hasattr(value, "get_params") or isinstance(value, functools.partial):
        return [type(value).__qualname__, _joblib_key(value)]
    if callable(value) and hasattr(value, "__module__") and hasattr(value, "__name__"):
        return ["name", f"{value.__module__}.{value.__name__}"]
    return _network_parts(value, seen) or [type(value).__qualname__, _joblib_key(value)]


def _array_parts(value: Array | np.generic, seen: Seen) -> Iterable[str]:
    return ["array", array_key(np.asarray(value))]


def _sequence_parts(value: Any, seen: Seen) -> Iterable[str]:
    return [type(value).__name__, *(_joined(_parts(item, seen)) for item in value)]


def _set_parts(value: Set[Any], seen: Seen) -> Iterable[str]:
    return ["set", *sorted(_joined(_parts(item, seen)) for item in value)]


def _mapping_parts(value: Mapping[Any, Any], seen: Seen) -> Iterable[str]:
    return ["mapping", *(_joined(_parts(item, seen)) for pair in value.items() for item in pair)]


def _slice_parts(value: slice, seen: Seen) -> Iterable[str]:
    return ["slice", repr(value)]


def _layer_parts(value: Layer, seen: Seen) -> Iterable[str]:
    return ["layer", *_parts(type(value), seen), *_parts(value.get_params(deep=False), seen), state_key(value)]


def _class_parts(value: type, seen: Seen) -> Iterable[str]:
    """Describe a class by its methods and values, and those of its bases that are not part of a library."""
    parts = ["class", f"{value.__module__}.{value.__qualname__}"]
    for base in value.__mro__:
        if _is_written_here(base.__module__):
            members = {name: getattr(member, "__func__", member) for name, member in vars(base).items()}
            functions = {name: each for name, each in members.items() if isinstance(each, types.FunctionType)}
            parts += [_joined([name, *_function_parts(functions[name], seen)]) for name in sorted(functions)]
            plain = {name: each for name, each in members.items() if isinstance(each, int | float | str | tuple)}
            parts += [f"{name}={plain[name]!r}" for name in sorted(plain) if not name.startswith("__")]
    return parts


def _function_parts(value: types.FunctionType, seen: Seen) -> Iterable[str]:
    """Describe a function by its byte code, and by what that uses from its own module."""
    inner = getattr(value, "__wrapped__", None)
    if isinstance(inner, types.FunctionType):
        return _function_parts(inner, seen)
    cells = [cell.cell_contents for cell in value.__closure__ or () if not _is_class_cell(cell)]
    used = [value.__globals__[name] for name in _names(value.__code__) if name in value.__globals__]
    return [
        "function",
        *_code_parts(value.__code__, seen),
        *_parts([value.__defaults__, value.__kwdefaults__, cells], seen),
        *(_joined(_used_parts(each, value.__module__, seen)) for each in used),
    ]


def _used_parts(value: Any, module: str, seen: Seen) -> Iterable[str]:
    if isinstance(value, types.FunctionType | type) and value.__module__ == module:
        return _parts(value, seen)
    if value is None or isinstance(value, bool | int | float | str | bytes | tuple | frozenset | np.ndarray):
        return _parts(value, seen)
    return [str(getattr(value, "__name__", type(value).__name__))]


def _code_parts(code: types.CodeType, seen: Seen) -> Iterable[str]:
    yield code.co_code.hex()
    yield repr(code.co_names)
    for constant in code.co_consts:
        yield from _code_parts(constant, seen) if isinstance(constant, types.CodeType) else _parts(constant, seen)


def _names(code: types.CodeType) -> list[str]:
    inner = [name for each in code.co_consts if isinstance(each, types.CodeType) for name in _names(each)]
    return list(dict.fromkeys([*code.co_names, *inner]))


def _is_class_cell(cell: types.CellType) -> bool:
    try:
        return isinstance(cell.cell_contents, type)  # what `super()` needs: the class that is being described
    except ValueError:
        return True


def _is_written_here(module: str) -> bool:
    """Return whether a module belongs neither to Python nor to the ground of layers."""
    return module.partition(".")[0] not in sys.stdlib_module_names and module not in (
        "mlpipeline.dataflow.layer",
        "mlpipeline.dataflow.estimator",
        "mlpipeline.dataflow.observer",
    )


def _network_parts(value: Any, seen: Seen) -> Iterable[str]:
    """Describe a torch or Keras network by its structure and weights."""
    if hasattr(value, "get_weights") and hasattr(value, "to_json"):
        return ["keras", value.to_json(), *_parts([np.asarray(each) for each in value.get_weights()], seen)]
    if hasattr(value, "state_dict") and hasattr(value, "named_modules"):
        weights = {name: each.detach().cpu().numpy() for name, each in value.state_dict().items()}
        return ["torch", repr(value), *_parts(weights, seen)]
    return []


def _joblib_key(value: Any) -> str:
    import joblib

    try:
        key: str = joblib.hash(value)
    except Exception as error:  # whatever the user's object raises when it is written down
        raise NoKeyError(f"{type(value).__name__} cannot be told from another: {error}") from None
    return key


def _joined(parts: Iterable[str]) -> str:
    hasher = xxhash.xxh3_128()
    for part in parts:
        data = part.encode(errors="surrogatepass")
        hasher.update(b"%d:" % len(data))
        hasher.update(data)
    return hasher.hexdigest()


_DESCRIBERS: list[tuple[Any, Callable[[Any, Seen], Iterable[str]]]] = [
    ((np.ndarray, np.generic), _array_parts),
    (np.dtype, lambda value, seen: ["dtype", value.str]),
    ((list, tuple), _sequence_parts),
    ((set, frozenset), _set_parts),
    (Mapping, _mapping_parts),
    (slice, _slice_parts),
    (types.EllipsisType, lambda value, seen: ["..."]),
    (Layer, _layer_parts),
    (type, _class_parts),
    (types.FunctionType, _function_parts),
]
