"""Say what a parameter is, in plain values that are the same in every process."""

from __future__ import annotations

import functools
import hashlib
import re
import types
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from mlpipeline.model import DataLoader
from mlpipeline.versions import Version, version_parameters

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
_DEEPEST = 6
_LEFT_OUT = (version_parameters.NAME, version_parameters.ORDER)


def describe_version(version: Version) -> dict[str, Any]:
    """Return a version's parameters as plain values; its place in the order says nothing about what it is."""
    return {key: describe(value) for key, value in sorted(version.items()) if key not in _LEFT_OUT}


def describe(value: Any, depth: int = 0) -> Any:
    """Return plain values as they are, containers item by item, and anything else as `module.Class(arguments)`.

    Arrays are named by shape, type and a hash of their content; functions by their name and what they enclose.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if depth >= _DEEPEST:
        return _type_name(value)
    if isinstance(value, (list, tuple)):
        return [describe(item, depth + 1) for item in value]
    if isinstance(value, Mapping):
        return {str(key): describe(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted((describe(item, depth + 1) for item in value), key=str)
    return _describe_object(value, depth)


def _describe_object(value: Any, depth: int) -> str:
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, DataLoader):
        return _call(value, value._arguments[0], value._arguments[1], depth)
    if isinstance(value, functools.partial):
        return "partial " + _call(value.func, value.args, value.keywords, depth)
    if isinstance(value, (types.FunctionType, types.MethodType)):
        return _describe_function(value, depth)
    if isinstance(value, PurePath):
        return str(value)
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return _describe_array(value)
    state = getattr(value, "__dict__", None)
    if state:
        return _call(value, (), {key: state[key] for key in sorted(state)}, depth)
    return _ADDRESS.sub("", repr(value))


def _call(of: Any, arguments: tuple[Any, ...], keywords: Mapping[str, Any], depth: int) -> str:
    given = [str(describe(item, depth + 1)) for item in arguments]
    given += [f"{key}={describe(item, depth + 1)}" for key, item in keywords.items()]
    name = _describe_object(of, depth) if callable(of) and hasattr(of, "__qualname__") else _type_name(of)
    return f"{name}({', '.join(given)})"


def _describe_function(function: Any, depth: int) -> str:
    name = f"{function.__module__}.{function.__qualname__}"
    code = getattr(function, "__code__", None)
    if code is not None and "<lambda>" in name:
        # two lambdas of one file share a name; their code tells them apart
        name += f" {hashlib.sha256(code.co_code + repr(code.co_consts).encode()).hexdigest()[:8]}"
        name = _ADDRESS.sub("", name)
    enclosed = [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]
    return f"{name}{[describe(item, depth + 1) for item in enclosed]}" if enclosed else name


def _describe_array(value: Any) -> str:
    if value.shape == ():
        return str(value.item())
    array = value.detach().cpu() if hasattr(value, "detach") else value
    try:
        content = array.tobytes() if hasattr(array, "tobytes") else array.numpy().tobytes()
    except (TypeError, RuntimeError):
        content = repr(array).encode()
    digest = hashlib.sha256(content).hexdigest()[:16]
    return f"{_type_name(value)}(shape={tuple(value.shape)}, dtype={value.dtype}, sha256={digest})"


def _type_name(value: Any) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"
