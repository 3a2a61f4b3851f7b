"""Keys: short texts that are equal when contents are: arrays, parameters, states, and code with what it uses.

They are the same in every process of one version of Python. Code is followed through the user's own
modules; what belongs to an installed library counts by its name.
"""

from __future__ import annotations

import contextvars
import dis
import functools
import sys
import sysconfig
import threading
import types
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import xxhash

from mlpipeline.dataflow.layer import Layer, StatefulLayer
from mlpipeline.dataflow.spec import Array

_DEEPEST = 200
_LIBRARIES = tuple(filter(None, (sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib"))))
_NOT_OF_A_LAYER = {"_metadata", "_width", "_names_in", "_container"}
_UFUNCS = {name: each for name, each in vars(np).items() if isinstance(each, np.ufunc)}
_PLAIN = (bool, int, float, complex, str, bytes)
_WITHOUT_CONTENT = (type(threading.Lock()), type(threading.RLock()), threading.local, contextvars.ContextVar)
_LOOKING_UP = ("LOAD_GLOBAL", "LOAD_NAME", "IMPORT_NAME")
_DESCRIPTORS = (types.MemberDescriptorType, types.GetSetDescriptorType)
_BUILT_IN = "mlpipeline.dataflow."


class NoKeyError(Exception):
    """A value has no key: nothing tells whether its content is the same."""


def array_key(array: Array) -> str:
    """Return a key of an array's dtype, shape and values; the values are read once.

    Raises: NoKeyError: it holds objects that have no key.
    """
    return _Describer().array(array)


def content_key(value: Any) -> str:
    """Return a key of any value that a layer may hold as a parameter or as state.

    Raises: NoKeyError: says what has no key.
    """
    return _Describer().key(value)


def code_key(layer: Layer) -> str:
    """Return a key of the code of a layer's class, with all code of the user's that it uses."""
    return _code_of_built_in(type(layer)) if _is_built_in(type(layer)) else content_key(type(layer))


def parameters_key(layer: Layer) -> str:
    """Return a key of a layer's parameters; of a user's layer, all attributes count but what it has learned.

    Raises: NoKeyError: one of them has no key.
    """
    return content_key(attributes(layer))


def state_key(layer: Layer) -> str:
    """Return a key of what a layer has learned.

    Raises: NoKeyError: some of it has no key.
    """
    return content_key(layer.metadata) if isinstance(layer, StatefulLayer) else ""


class _Describer:
    """One walk through a value; what comes again is described once."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[Any, str]] = {}  # the values are kept, so that no id is used again
        self._path: list[int] = []

    def key(self, value: Any) -> str:
        if value is None or type(value) in _PLAIN:
            return _joined([type(value).__name__, repr(value)])
        if isinstance(value, _WITHOUT_CONTENT):
            return type(value).__name__
        known = self._known.get(id(value))
        if known is not None:
            return known[1]
        if id(value) in self._path:
            return f"circle {self._path.index(id(value))}"
        if len(self._path) > _DEEPEST:
            raise NoKeyError(f"{type(value).__name__} is nested too deeply")
        self._path.append(id(value))
        try:
            found = _joined(self._parts(value))
        finally:
            self._path.pop()
        self._known[id(value)] = value, found
        return found

    def _parts(self, value: Any) -> Iterable[str]:
        for kinds, describe in _DESCRIBERS:
            if isinstance(value, kinds):
                return [describe.__name__, *describe(self, value)]
        return self._object(value)

    def array(self, array: Array) -> str:
        hasher = xxhash.xxh3_128(f"{array.dtype!r}{array.shape}".encode())
        if array.dtype.hasobject:
            for item in array.ravel().tolist():
                text = repr(item) if item is None or type(item) in _PLAIN else self.key(item)
                hasher.update(b"%d:" % len(text) + text.encode(errors="surrogatepass"))
        elif array.size:
            plain = array.dtype.kind in "biufc"
            hasher.update(np.ascontiguousarray(array).data.cast("B") if plain else array.tobytes())
        return hasher.hexdigest()

    def _of_array(self, value: Any) -> Iterable[str]:
        return [*self._kind(value), self.array(np.asarray(value))]

    def _of_dtype(self, value: np.dtype[Any]) -> Iterable[str]:
        return [repr(value)]

    def _of_sequence(self, value: Any) -> Iterable[str]:
        return [*self._kind(value), *map(self.key, value)]

    def _of_set(self, value: Any) -> Iterable[str]:
        return [*self._kind(value), *sorted(map(self.key, value))]

    def _of_mapping(self, value: Mapping[Any, Any]) -> Iterable[str]:
        pairs = [self.key(item) for pair in value.items() for item in pair]
        return [*self._kind(value), self.key(getattr(value, "default_factory", None)), *pairs]

    def _of_number(self, value: Any) -> Iterable[str]:
        return [*self._kind(value), repr(value)]

    def _kind(self, value: Any) -> Iterable[str]:
        """Describe the class of a value, and what one of a user's class has besides."""
        if not _is_own(type(value)):
            return [type(value).__name__]
        return [self.key(type(value)), self.key(getattr(value, "__dict__", None))]

    def _of_text(self, value: Any) -> Iterable[str]:
        return [repr(value)]

    def _of_module(self, value: types.ModuleType) -> Iterable[str]:
        return [value.__name__]

    def _of_layer(self, value: Layer) -> Iterable[str]:
        learned = value.metadata if isinstance(value, StatefulLayer) else None
        return [code_key(value), *map(self.key, (attributes(value), learned))]

    def _of_method(self, value: types.MethodType) -> Iterable[str]:
        return [self.key(value.__func__), self.key(value.__self__)]

    def _of_wrapper(self, value: Any) -> Iterable[str]:
        return [type(value).__name__, self.key(value.__wrapped__)]

    def _of_property(self, value: property) -> Iterable[str]:
        return [self.key(each) for each in (value.fget, value.fset, value.fdel)]

    def _of_partial(self, value: functools.partial[Any]) -> Iterable[str]:
        return [self.key(each) for each in (value.func, value.args, value.keywords)]

    def _of_static(self, value: Any) -> Iterable[str]:
        return [type(value).__name__, self.key(value.__func__)]

    def _of_class(self, value: type) -> Iterable[str]:
        """Describe a class by what the user's own classes in its line define."""
        yield f"{value.__module__}.{value.__qualname__}"
        for base in value.__mro__:
            if _is_own(base):
                for name, member in sorted(vars(base).items()):
                    if isinstance(member, types.FunctionType) or not name.startswith("__"):
                        yield name
                        yield "" if isinstance(member, _DESCRIPTORS) or name == "_abc_impl" else self.key(member)

    def _of_function(self, value: types.FunctionType) -> Iterable[str]:
        """Describe a function by its byte code and what that uses; one of a library by its name."""
        if not _is_own(value):
            cells = value.__closure__ or ()
            return [f"{value.__module__}.{value.__qualname__}", *(self._cell(cell) for cell in cells)]
        return [
            *self._code(value.__code__),
            *map(self.key, (value.__defaults__, value.__kwdefaults__, {**vars(value), "__wrapped__": None})),
            *(self._cell(cell) for cell in value.__closure__ or ()),
            *self._used(value.__globals__, _global_names(value.__code__), frozenset(_names(value.__code__))),
        ]

    def _code(self, code: types.CodeType) -> Iterable[str]:
        yield code.co_code.hex()
        yield repr((code.co_names, code.co_varnames, code.co_argcount, code.co_kwonlyargcount, code.co_flags))
        for constant in code.co_consts:
            yield from self._code(constant) if isinstance(constant, types.CodeType) else [self.key(constant)]

    def _used(self, scope: Mapping[str, Any], names: frozenset[str], attributes: frozenset[str]) -> Iterable[str]:
        """Describe what code finds under its global names, and in modules of the user's what it takes from them."""
        for name in sorted(names):
            found = scope.get(name, sys.modules.get(name))
            if isinstance(found, types.ModuleType):
                yield str(found.__name__)
                if _is_own(found) and id(found) not in self._path:
                    self._path.append(id(found))
                    yield from self._used(vars(found), attributes, attributes)
                    self._path.pop()
            elif name in scope:
                yield name
                yield self.key(found)

    def _cell(self, cell: types.CellType) -> str:
        try:
            return self.key(cell.cell_contents)
        except ValueError:
            return "empty"

    def _object(self, value: Any) -> Iterable[str]:
        """Describe any other object: a network by its weights, else by its class and attributes."""
        if hasattr(value, "get_weights") and hasattr(value, "to_json"):
            return ["keras", value.to_json(), *(self.array(np.asarray(each)) for each in value.get_weights())]
        if hasattr(value, "state_dict") and hasattr(value, "named_modules"):
            weights = {name: each.detach().cpu().numpy() for name, each in value.state_dict().items()}
            return ["torch", self.key(type(value)), repr(value), self.key(weights), *self._plain_attributes(value)]
        if isinstance(value, types.BuiltinFunctionType):
            return ["name", f"{value.__module__}.{value.__name__}", self.key(getattr(value, "__self__", None))]
        if isinstance(value, np.ufunc) and value.__name__ in _UFUNCS:
            return ["name", f"numpy.{value.__name__}", str(_UFUNCS[value.__name__] is value)]
        holds_functions = _is_own(type(value)) or hasattr(value, "get_params") or isinstance(value, np.vectorize)
        if holds_functions and hasattr(value, "__dict__"):
            return [self.key(type(value)), self.key(vars(value))]
        return [self.key(type(value)), _joblib_key(value)]

    def _plain_attributes(self, network: Any) -> Iterable[str]:
        """Describe the attributes of a torch module that are no part of torch's own book-keeping."""
        own = {name: each for name, each in vars(network).items() if not name.startswith("_")}
        modules = [self.key(type(each)) for each in network.modules()]
        return [self.key(own), *modules]


def attributes(layer: Layer) -> dict[str, Any]:
    """Return what makes a layer what it is, but for what it has learned: its parameters, or all of a user's layer."""
    if _is_built_in(type(layer)):
        return layer.get_params(deep=False)
    return {name: value for name, value in sorted(vars(layer).items()) if name not in _NOT_OF_A_LAYER}


@functools.cache
def _code_of_built_in(kind: type) -> str:
    return _Describer().key(kind)


def _is_built_in(kind: type) -> bool:
    return kind.__module__.startswith(_BUILT_IN)


def _is_own(thing: Any) -> bool:
    """Return whether code is the user's own, or a layer of this package: not that of Python or a library."""
    name = thing.__name__ if isinstance(thing, types.ModuleType) else getattr(thing, "__module__", None) or ""
    if name.startswith(
        ("mlpipeline.dataflow.layers.", "mlpipeline.dataflow.moments", "mlpipeline.dataflow.layertools")
    ):
        return True
    if name.startswith("mlpipeline.") or name.partition(".")[0] in sys.stdlib_module_names - {"__main__"}:
        return False
    path = getattr(sys.modules.get(name), "__file__", None)
    return path is None or not path.startswith(_LIBRARIES)


@functools.cache
def _global_names(code: types.CodeType) -> frozenset[str]:
    """Return the names that code, and code in it, looks up among globals or imports; not those of attributes."""
    own = {each.argval for each in dis.get_instructions(code) if each.opname in _LOOKING_UP}
    return frozenset(own).union(*(_global_names(each) for each in code.co_consts if isinstance(each, types.CodeType)))


def _names(code: types.CodeType) -> list[str]:
    inner = [name for each in code.co_consts if isinstance(each, types.CodeType) for name in _names(each)]
    return [*code.co_names, *inner]


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


_DESCRIBERS: list[tuple[Any, Callable[[_Describer, Any], Iterable[str]]]] = [
    ((np.ndarray, np.generic), _Describer._of_array),
    (np.dtype, _Describer._of_dtype),
    (_PLAIN, _Describer._of_number),
    ((list, tuple), _Describer._of_sequence),
    ((set, frozenset), _Describer._of_set),
    (Mapping, _Describer._of_mapping),
    ((slice, types.EllipsisType, range), _Describer._of_text),
    (types.ModuleType, _Describer._of_module),
    (Layer, _Describer._of_layer),
    (type, _Describer._of_class),
    (types.FunctionType, _Describer._of_function),
    (types.MethodType, _Describer._of_method),
    (property, _Describer._of_property),
    ((staticmethod, classmethod), _Describer._of_static),
    (functools.partial, _Describer._of_partial),
    (functools._lru_cache_wrapper, _Describer._of_wrapper),
]
