"""Callbacks of one member: copies of the user's, with files of their own, none that looks at validation rows."""

from __future__ import annotations

import copy
import inspect
import os
from collections.abc import Callable, Sequence
from pathlib import PurePath
from typing import Any

from mlpipeline.ensemble.keras_setup import keras_module
from mlpipeline.ensemble.trainer import Assignment
from mlpipeline.errors import EnsembleError

Callbacks = Sequence[Any] | Callable[..., Sequence[Any]] | None

_FILES, _FOLDERS = ("filepath", "filename", "path"), ("log_dir", "backup_dir", "directory")


def member_callbacks(callbacks: Callbacks, assignment: Assignment) -> list[Any]:
    """Return the callbacks of one member, which share nothing with those of another.

    Args:
        callbacks: a list, which is copied; or a function that returns a list, called with the member's name if it
            takes an argument. Files that are not named by a function get the member's name: `best_fold0.keras`.
        assignment: of the member.
    Raises: EnsembleError: they are no callbacks, cannot be copied, or would choose by the validation rows.
    """
    if callbacks is None:
        return []
    if not callable(callbacks):
        own = _copies(_checked(callbacks))
    elif _takes_name(callbacks):
        return _without_leaks(_checked(callbacks(assignment.name)), assignment)
    else:
        own = list(_checked(callbacks()))
    for callback in own:
        _name_files(callback, assignment.name)
    return _without_leaks(own, assignment)


def _takes_name(function: Callable[..., Any]) -> bool:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return any(each.kind in kinds for each in inspect.signature(function).parameters.values())


def _checked(callbacks: Any) -> list[Any]:
    base = keras_module().callbacks.Callback
    listed = list(callbacks) if isinstance(callbacks, list | tuple) else [callbacks]
    for callback in listed:
        if not isinstance(callback, base):
            raise EnsembleError(
                f"callbacks must be a list of Keras callbacks, or a function that returns one, but got {callback!r:.80}"
            )
    return listed


def _copies(callbacks: list[Any]) -> list[Any]:
    # a callback that was used before holds its model, which is none of ours
    memo = {id(callback._model): None for callback in callbacks if getattr(callback, "_model", None) is not None}
    try:
        return copy.deepcopy(callbacks, memo)
    except Exception as error:  # the user's own class
        names = ", ".join(type(callback).__name__ for callback in callbacks)
        raise EnsembleError(
            f"the callbacks {names} cannot be copied for each member ({error}); "
            "give a function that returns new ones: callbacks=lambda name: [...]"
        ) from error


def _name_files(callback: Any, name: str) -> None:
    """Put the member's name into the paths that a callback writes to."""
    if isinstance(callback, keras_module().callbacks.RemoteMonitor):  # its path is that of a web address
        return
    for attribute in (*_FILES, *_FOLDERS):
        path = vars(callback).get(attribute)
        if not isinstance(path, str | os.PathLike) or not str(path):
            continue
        old, new = str(path), _named(str(path), name, is_file=attribute in _FILES)
        for key, value in vars(callback).items():  # paths that were made from it come along
            if isinstance(value, str | os.PathLike) and (str(value) == old or str(value).startswith(old + os.sep)):
                vars(callback)[key] = new + str(value)[len(old) :]


def _named(path: str, name: str, *, is_file: bool) -> str:
    suffix = ".weights.h5" if path.endswith(".weights.h5") else PurePath(path).suffix
    if not is_file or "}" in suffix:  # of `epoch{epoch}-{loss:.2f}`
        suffix = ""
    stem = path[: len(path) - len(suffix)].rstrip(os.sep)
    return f"{stem}_{name}{suffix}"


def _without_leaks(callbacks: list[Any], assignment: Assignment) -> list[Any]:
    """Raises: EnsembleError: a callback chooses by the validation rows, since none are held back."""
    for callback in callbacks if assignment.stopping is None else ():
        if chooses_by_validation(callback):
            raise EnsembleError(
                f"{type(callback).__name__} of {assignment.name} monitors {callback.monitor}: it would choose by the "
                "rows that the member is judged by; hold training rows back for it (stopping_size=0.1), or monitor "
                f"{callback.monitor.removeprefix('val_')}"
            )
    return callbacks


def chooses_by_validation(callback: Any) -> bool:
    """Tell whether a callback stops, keeps or changes something by what it is shown as validation rows."""
    monitor = getattr(callback, "monitor", None)
    return isinstance(monitor, str) and monitor.startswith("val_") and bool(getattr(callback, "save_best_only", True))
