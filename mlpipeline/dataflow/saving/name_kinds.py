"""Kind of what is found again by its name: functions and classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from mlpipeline.dataflow.saving.allowed import public_name
from mlpipeline.dataflow.saving.codec import Decoder, Json, Kind
from mlpipeline.dataflow.saving.trust import checked_name, dotted, find
from mlpipeline.errors import PipelineError


def name_of(thing: Any, where: str) -> str:
    """Return the name `module:Class` under which a class or function will be found again.

    Raises: PipelineError: it will not, as a lambda or what is defined inside a function.
    """
    public = public_name(thing)
    if public is not None:
        return public
    module, qualname = getattr(thing, "__module__", None), getattr(thing, "__qualname__", type(thing).__name__)
    kind = "class" if isinstance(thing, type) else "function"
    if "<" in qualname:
        what = "a lambda" if qualname.endswith("<lambda>") else f"the {kind} {qualname.split('.')[-1]}"
        raise PipelineError(
            f"{where}: {what} cannot be found again when the pipeline is loaded; define it at module level, with a name"
        )
    name = f"{module}:{qualname}"
    try:
        found = find(name) if isinstance(module, str) else None
    except PipelineError:
        found = None
    if found is not thing:
        raise PipelineError(
            f"{where}: the {kind} {dotted(name)} cannot be found again under this name when the pipeline is loaded; "
            "define it at module level, and import it from there"
        )
    return name


def _decode(decoder: Decoder, told: Json) -> Any:
    found = decoder.trust.find(checked_name(told["name"]))
    if not callable(found):
        raise ValueError(f"{dotted(told['name'])} is no class and no function")
    return found


def _is_named(value: Any) -> bool:
    return callable(value) and (hasattr(value, "__qualname__") or isinstance(value, np.ufunc))


KINDS = {
    "name": Kind(
        _is_named,
        lambda encoder, value, where: {"name": name_of(value, where)},
        _decode,
        lambda decoder, told: [checked_name(told["name"])],
    ),
}
