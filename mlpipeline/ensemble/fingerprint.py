"""Fingerprint: a hash of whatever trains a member: its arguments and the user's own code behind them."""

from __future__ import annotations

import argparse
import functools
import hashlib
import re
import site
import sys
import sysconfig
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mlpipeline.description import code_text, describe, is_array

_MADE = (
    "__module__", "__doc__", "__firstlineno__", "__static_attributes__", "__annotations__", "__dict__",
    "__slotnames__",  # when an object of the class is first pickled or looked at here
)  # fmt: skip
_PLAIN = (bool, int, float, str, list, tuple, dict)
_AUTO_NUMBER = re.compile(r"_\d+$")


def fingerprint(value: Any) -> str:
    """Return a hash that is the same in every process as long as arguments and code are.

    Functions and classes of the user's own modules count with their code and with the functions, classes and constants
    that it names; those of installed packages with their names alone.

    Args:
        value: a trainer, a transformer, a function, or containers of them.
    """
    return _hash(value, {})


@dataclass(frozen=True)
class _Text:
    """A text that says all about a part."""

    text: str


def _hash(value: Any, known: dict[int, tuple[Any, str]]) -> str:
    """Return a hash of an object and of all that it holds.

    Args:
        value: anything.
        known: objects by their ids, with their hashes; an object that is looked at just now has the hash "above".
    """
    if isinstance(value, _Text):
        return value.text
    if value is None or isinstance(value, (bool, int, float, str, bytes)):
        return f"{type(value).__name__} {value!r}"
    if id(value) not in known:
        known[id(value)] = (value, "above")  # holds the object too, so that no other gets its id
        parts = [type(value).__qualname__, *(_hash(item, known) for item in _items(value))]
        digest = hashlib.sha256("\0".join(parts).encode(errors="surrogatepass")).hexdigest()[:32]
        known[id(value)] = (value, digest)
    return known[id(value)][1]


def _items(value: Any) -> Iterator[Any]:
    """Yield what an object consists of."""
    if isinstance(value, Mapping):
        yield from (item for pair in value.items() for item in pair)
    elif isinstance(value, (list, tuple)):
        yield from value
    elif isinstance(value, (set, frozenset)):
        yield _Text(str(describe(value)))
    elif isinstance(value, types.FunctionType):
        yield from _function_items(value)
    elif isinstance(value, type):
        yield from _class_items(value)
    elif isinstance(value, types.MethodType):
        yield from (value.__self__, value.__func__)
    elif isinstance(value, functools.partial):
        yield from (value.func, value.args, value.keywords)
    elif is_array(value):
        yield _Text(str(describe(value)))
    else:
        yield from _object_items(value)


def _function_items(function: types.FunctionType) -> Iterator[Any]:
    yield _Text(f"{function.__module__}.{function.__qualname__}")
    yield from (function.__defaults__, function.__kwdefaults__)
    yield from (cell.cell_contents for cell in function.__closure__ or () if cell != types.CellType())  # not unset ones
    if _is_own(function.__module__):
        yield _Text(code_text(function.__code__))
        yield from _named(function)


def _named(function: types.FunctionType) -> Iterator[Any]:
    """Yield the user's own functions, classes and constants that a function's code names, in its own modules too."""
    names, places = sorted(_names(function.__code__)), [function.__globals__]
    for place in places:
        for value in (place[name] for name in names if name in place):
            if isinstance(value, types.ModuleType):
                if _is_own(value.__name__) and all(vars(value) is not known for known in places):
                    places.append(vars(value))
            elif isinstance(value, (types.FunctionType, type)):
                yield from (value,) if _is_own(value.__module__) else ()
            elif isinstance(value, (*_PLAIN, types.SimpleNamespace, argparse.Namespace)) or is_array(value):
                yield value


def _names(code: types.CodeType) -> set[str]:
    inner = [_names(constant) for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return set(code.co_names).union(*inner)


def _class_items(kind: type) -> Iterator[Any]:
    yield _Text(f"{kind.__module__}.{kind.__qualname__}")
    if not _is_own(kind.__module__):
        return
    yield from kind.__bases__
    for name, member in sorted(vars(kind).items()):
        held = getattr(member, "__func__", getattr(member, "fget", member))
        if (isinstance(held, (types.FunctionType, *_PLAIN)) or is_array(held)) and not _is_made(name):
            yield from (name, held)


def _is_made(name: str) -> bool:
    """Tell whether Python sets a class attribute itself: names and lines of the source say nothing about the work."""
    return name in _MADE


def _object_items(value: Any) -> Iterator[Any]:
    yield type(value)
    try:
        yield from _own_account(value)
    except Exception:  # an object's own code, which may refuse in any way
        yield _Text(str(describe(value)))


def _own_account(value: Any) -> list[Any]:
    """Return what an object says of itself, by the interface that it has."""
    if hasattr(value, "get_params") and hasattr(value, "set_params"):  # an estimator; not the version of its library
        return [value.get_params(deep=False)]
    if hasattr(value, "get_config") and hasattr(value, "from_config"):  # of Keras
        return [_without_numbers(value.get_config())]
    reduced = value.__reduce_ex__(4)  # what is pickled: all of it, but for locks and the like
    if isinstance(reduced, str):
        return [reduced]
    made_by, arguments, *rest = reduced
    items = [list(part) for part in rest[1:3] if part is not None]
    return [made_by, arguments, *rest[:1], *items]


def _without_numbers(config: Any) -> Any:
    """Return a configuration without the numbers in names: Keras calls the third of a process `dropout_2`."""
    if isinstance(config, Mapping):
        return {
            key: _AUTO_NUMBER.sub("", item) if key == "name" and isinstance(item, str) else _without_numbers(item)
            for key, item in config.items()
        }
    return [_without_numbers(item) for item in config] if isinstance(config, (list, tuple)) else config


@functools.cache
def _installed() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    folders = {paths["stdlib"], paths["platstdlib"], paths["purelib"], paths["platlib"]}
    return tuple(f"{folder}/" for folder in {*folders, *site.getsitepackages(), site.getusersitepackages()})


def _is_own(module_name: str | None) -> bool:
    """Tell whether a module is the user's, and not one of Python or of an installed package."""
    package = (module_name or "builtins").partition(".")[0]
    if package in sys.stdlib_module_names or package == "mlpipeline":
        return False
    file = getattr(sys.modules.get(module_name or ""), "__file__", None)
    return file is None or not str(file).startswith(_installed())
