"""Trust: which names in a file may be imported. What mlpipeline knows to be harmless, and what the caller names."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from types import ModuleType
from typing import Any

from mlpipeline.dataflow.saving.allowed import allowed
from mlpipeline.errors import PipelineError, did_you_mean


class Trust:
    """What may be found by a name from a file.

    Args:
        trusted: import paths as text, `package.module.Class`, or `package.module` for all that it
            defines; or the classes and functions themselves.
    """

    def __init__(self, trusted: Iterable[Any] = ()) -> None:
        if not isinstance(trusted, Iterable):
            raise PipelineError(f"trusted: expected a list of what to trust by name, but got {trusted!r}")
        named = [trusted] if isinstance(trusted, str) else list(trusted)
        self._paths = {each for each in named if isinstance(each, str)}
        self._paths |= {each.__name__ for each in named if isinstance(each, ModuleType)}
        self._objects: dict[str, Any] = {}
        for each in named:
            if not isinstance(each, str | ModuleType):
                self._objects[_path(each)] = each

    def knows(self, name: str) -> bool:
        """Return whether a name `module:Class` may be looked up; imports nothing that the name says."""
        return self.trusts(name) or allowed(name) is not None

    def trusts(self, name: str) -> bool:
        """Return whether the caller named it, by itself or with its module."""
        return dotted(name) in self._objects or not self._paths.isdisjoint({dotted(name), name.partition(":")[0]})

    def check(self, names: Iterable[str], path: object) -> None:
        """Refuse a file that names what is neither known nor trusted.

        Raises: PipelineError: lists all such names.
        """
        unknown = sorted({dotted(name) for name in names if not self.knows(name)})
        if not unknown:
            return
        listed = ", ".join(unknown)
        are = "is" if len(unknown) == 1 else "are"
        raise PipelineError(
            f"this file names {listed}, which {are} not part of mlpipeline; if you trust whoever wrote it, "
            f"load_pipeline({str(path)!r}, trusted={sorted({*self._paths, *unknown})!r})"
        )

    def find(self, name: str) -> Any:
        """Return the class or function of a name.

        Raises: PipelineError: it may not be looked up, or is not there any more.
        """
        if dotted(name) in self._objects:
            return self._objects[dotted(name)]
        known = allowed(name)
        if known is not None:
            return known
        if not self.trusts(name):
            raise ValueError(f"{dotted(name)} was not asked about before")
        found = find(name)
        module = name.partition(":")[0]
        if dotted(name) not in self._paths and getattr(found, "__module__", None) != module:
            raise PipelineError(
                f"this file names {dotted(name)}, which {module} imports from {getattr(found, '__module__', '?')}; "
                f"if you trust it, pass trusted=[{dotted(name)!r}] too"
            )
        return found


def find(name: str) -> Any:
    """Import what a name `module:Class.Inner` says; only classes are looked into.

    Raises: PipelineError: it is not there.
    """
    module, _, qualname = name.partition(":")
    try:
        found: Any = sys.modules["__main__"] if module == "__main__" else importlib.import_module(module)
    except ImportError as error:
        raise PipelineError(f"the file needs {dotted(name)}, but {module} cannot be imported: {error}") from None
    for step, part in enumerate(qualname.split(".")):
        if (step and not isinstance(found, type)) or not hasattr(found, part):
            hint = did_you_mean(part, [each for each in vars(found) if not each.startswith("_")])
            raise PipelineError(
                f"the file needs {dotted(name)}, which is not there any more: {module} has no {qualname}{hint}"
            )
        found = getattr(found, part)
    return found


def dotted(name: str) -> str:
    """Return a name as a person writes it: module.Class."""
    return name.replace(":", ".")


def checked_name(name: object) -> str:
    """Return a name from a file, if it has the form of one.

    Raises: ValueError: it has not.
    """
    if not isinstance(name, str):
        raise ValueError(f"expected a name, but got {name!r:.80}")
    module, colon, qualname = name.partition(":")
    if not colon or not all(part.isidentifier() for part in [*module.split("."), *qualname.split(".")]):
        raise ValueError(f"expected a name like module:Class, but got {name!r:.80}")
    return name


def _path(thing: Any) -> str:
    if not hasattr(thing, "__qualname__"):
        raise PipelineError(
            f"trusted: expected import paths as text, classes or functions, but got {type(thing).__name__}"
        )
    return f"{thing.__module__}.{thing.__qualname__}"
