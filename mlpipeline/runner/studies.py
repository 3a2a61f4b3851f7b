"""Studies: what a search has tried so far, in a file that all its runs share; the only module that imports Optuna."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
from filelock import FileLock
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.samplers import BaseSampler, GPSampler, GridSampler, RandomSampler, TPESampler
from optuna.storages import InMemoryStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.study import StudyDirection

from mlpipeline.errors import SearchError
from mlpipeline.search import Choices, Search

_SAMPLERS: dict[str, Callable[[int], BaseSampler]] = {
    "tpe": lambda seed: TPESampler(seed=seed, constant_liar=True),  # keeps runs that go on at once apart
    "random": lambda seed: RandomSampler(seed=seed),
    "gp": lambda seed: GPSampler(seed=seed),
}
_PRUNERS: dict[str, Callable[[], BasePruner]] = {
    "median": MedianPruner,
    "halving": SuccessiveHalvingPruner,
    "hyperband": HyperbandPruner,
}


def open_study(search: Search, name: str, path: str) -> optuna.Study:
    """Open the study of a search, or begin it.

    Args:
        search: what is searched, and how.
        name: of the study; a file holds several.
        path: of the file; empty for a study of this process alone.
    Raises: SearchError: the file is damaged or cannot be written, or no pruner was made.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    pruner = _pruner(search)
    try:
        storage = _file_storage(path) if path else InMemoryStorage()
        return optuna.create_study(
            storage=storage,
            study_name=name,
            direction=StudyDirection[search.direction.upper()],
            pruner=pruner,
            load_if_exists=True,
        )
    except OSError as error:
        raise SearchError(f"{path} cannot be used: {error.strerror}; make room or mend the permissions") from error
    except (ValueError, KeyError, TypeError, AssertionError) as error:
        raise SearchError(f"{path} is damaged ({error}); remove it, and the search begins anew") from error


def make_sampler(search: Search, draw: str) -> BaseSampler:
    """Return what chooses parameters. Each process makes its own, so that each must draw other random numbers.

    Args:
        search: says which.
        draw: another text draws other numbers.
    Raises: SearchError: the function that makes it made something else.
    """
    if search.sampler == "grid":
        grids = {key: dimension.grid() or [] for key, dimension in search.space.items()}
        return _Grid(grids, seed=search.sampler_seed)  # one order of the grid for all processes
    seed = zlib.crc32(f"{search.sampler_seed} {draw}".encode())
    made = search.sampler(seed) if callable(search.sampler) else _SAMPLERS[search.sampler](seed)
    if not isinstance(made, BaseSampler):
        raise SearchError(f"search: the function given as sampler must return one of optuna.samplers, not {made!r}")
    return made


def suggest(trial: optuna.Trial, search: Search) -> None:
    """Have the parameters of a trial chosen."""
    for key, dimension in search.space.items():
        if isinstance(dimension, Choices):
            trial.suggest_categorical(key, dimension.labels())
        elif dimension.is_whole:
            low, high, step = int(dimension.low), int(dimension.high), int(dimension.step or 1)
            trial.suggest_int(key, low, high, step=step, log=dimension.is_log)
        else:
            trial.suggest_float(key, dimension.low, dimension.high, step=dimension.step, log=dimension.is_log)


def _pruner(search: Search) -> BasePruner:
    if search.pruner is None:
        return NopPruner()
    made = search.pruner() if callable(search.pruner) else _PRUNERS[search.pruner]()
    if not isinstance(made, BasePruner):
        raise SearchError(f"search: the function given as pruner must return one of optuna.pruners, not {made!r}")
    return made


def _file_storage(path: str) -> JournalStorage:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    return JournalStorage(JournalFileBackend(path, lock_obj=_Lock(path)))


class _Grid(GridSampler):
    def after_trial(self, *_: Any) -> None:
        """At the end of the grid Optuna's own stops a loop, and here is none."""


class _Lock(JournalFileOpenLock):
    """A lock that the system takes back from a process that is killed; Optuna's own stays for half a minute."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._path = path
        self._lock = FileLock(f"{path}.lock")

    def acquire(self) -> bool:
        self._lock.acquire()
        self._mend()
        return True

    def release(self) -> None:
        self._lock.release()

    def _mend(self) -> None:
        """Take back the half line of a writer that has died: the next one would be joined to it."""
        with open(self._path, "rb+") as file:
            size = file.seek(0, os.SEEK_END)
            if size == 0:
                return
            file.seek(size - 1)
            if file.read(1) != b"\n":
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)
