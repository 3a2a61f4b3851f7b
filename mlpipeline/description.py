"""Say what a parameter is, in plain values that are the same in every process."""

from __future__ import annotations

import functools
import hashlib
import re
import types
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from mlpipeline.model import DataLoader
from mlpipeline.records import dumps
from mlpipeline.search import Search
from mlpipeline.versions import Version, version_parameters

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_DEEPEST = 6
_LONGEST = 4000
_LEFT_OUT = (version_parameters.NAME, version_parameters.ORDER)


def describe_version(version: Version) -> dict[str, Any]:
    """Return a version's parameters as plain values; its place in the order says nothing about what it is."""
    return {key: _shortened(describe(value)) for key, value in sorted(version.items()) if key not in _LEFT_OUT}


def describe(value: Any, above: tuple[int, ...] = ()) -> Any:
    """Return plain values as they are, containers item by item, and anything else as `module.Class(arguments)`.

    Arrays are named by shape, type and a hash of their content; functions by their name and what they enclose.

    Args:
        value: anything.
        above: ids of the objects that this one lies in.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if len(above) >= _DEEPEST or id(value) in above:
        return _type_name(value)
    inside = (*above, id(value))
    if isinstance(value, (list, tuple)):
        return [describe(item, inside) for item in value]
    if isinstance(value, Mapping):
        return {str(describe(key, inside)): describe(item, inside) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted((describe(item, inside) for item in value), key=str)
    return _describe_object(value, inside)


def _describe_object(value: Any, inside: tuple[int, ...]) -> str:
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, Search):
        return value.described(lambda item: describe(item, inside))
    if isinstance(value, DataLoader):
        return _call(_type_name(value), *value._arguments, inside)
    if isinstance(value, functools.partial):
        return _call(f"partial {describe(value.func, inside)}", value.args, value.keywords, inside)
    if isinstance(value, types.MethodType):
        return f"{describe(value.__self__, inside)}.{value.__name__}"
    if isinstance(value, types.FunctionType):
        return _describe_function(value, inside)
    if hasattr(value, "__qualname__") and hasattr(value, "__module__"):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, PurePath):
        return str(value)
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        return str(describe(value.item(), inside))
    if is_array(value):
        return _describe_array(value, inside)
    state = dict(_state(value))
    return _call(_type_name(value), (), state, inside) if state else _ADDRESS.sub("", repr(value))


def is_array(value: Any) -> bool:
    """Tell whether a value is an array, a tensor or a pandas object."""
    has_numbers = hasattr(value, "dtype") or hasattr(value, "to_numpy")
    return has_numbers and isinstance(getattr(value, "shape", None), tuple)


def _call(name: str, arguments: tuple[Any, ...], keywords: Mapping[str, Any], inside: tuple[int, ...]) -> str:
    given = [str(describe(item, inside)) for item in arguments]
    given += [f"{key}={describe(item, inside)}" for key, item in keywords.items()]
    return f"{name}({', '.join(given)})"


def _state(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield an object's attributes, sorted, from its dictionary or its slots."""
    names = set(getattr(value, "__dict__", ()))
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        names.update([slots] if isinstance(slots, str) else slots)
    for name in sorted(names - {"__dict__", "__weakref__"}):
        if hasattr(value, name):
            yield name, getattr(value, name)


def _describe_function(function: types.FunctionType, inside: tuple[int, ...]) -> str:
    name = f"{function.__module__}.{function.__qualname__}"
    if "<lambda>" in name:
        # two lambdas of one file share a name; their code tells them apart
        name += f" {hashlib.sha256(code_text(function.__code__).encode()).hexdigest()[:8]}"
    given: dict[str, Any] = {"defaults": function.__defaults__, "keyword defaults": function.__kwdefaults__}
    given["encloses"] = [_cell(cell) for cell in function.__closure__ or ()] or None
    return _call(name, (), {key: held for key, held in given.items() if held}, inside) if any(given.values()) else name


def _cell(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not assigned yet
        return "unset"


def code_text(code: types.CodeType) -> str:
    """Return code as text, without the places where it lies in memory."""
    constants = [code_text(item) if isinstance(item, types.CodeType) else describe(item) for item in code.co_consts]
    return repr((code.co_code, code.co_names, code.co_varnames, code.co_freevars, constants))


def _describe_array(value: Any, inside: tuple[int, ...]) -> str:
    """Describe an array, a tensor, or a pandas object by its shape and a hash of its content."""
    tensor = value.detach().cpu() if hasattr(value, "detach") else value
    array = tensor.to_numpy() if hasattr(tensor, "to_numpy") else tensor
    try:
        array = array.numpy() if hasattr(array, "numpy") else array
        content = repr(describe(array.tolist(), inside)).encode() if array.dtype == object else array.tobytes()
    except (TypeError, RuntimeError, AttributeError):  # a kind that NumPy does not know
        content = repr(tensor).encode()
    labels = [list(map(str, getattr(value, name))) for name in ("index", "columns") if _has_labels(value, name)]
    digest = hashlib.sha256(content + repr(labels).encode()).hexdigest()[:16]
    kind = getattr(value, "dtype", None) or "mixed"
    return f"{_type_name(value)}(shape={tuple(value.shape)}, dtype={kind}, sha256={digest})"


def _has_labels(value: Any, name: str) -> bool:
    return hasattr(value, "to_numpy") and hasattr(value, name) and not callable(getattr(value, name))


def _shortened(described: Any) -> Any:
    """Return a description or, where it is too long to be read, its beginning and a hash of the whole."""
    text = dumps(described)
    if len(text) <= _LONGEST:
        return described
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return f"{text[:200]}... ({len(text)} characters, sha256={digest})"


def _type_name(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"
