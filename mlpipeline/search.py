"""Search: the description of a search over parameters, as a value; the library that searches is not imported here."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from types import MappingProxyType
from typing import Any

from mlpipeline.errors import SearchError, did_you_mean

SEARCH = "search"
"""The parameter of a version that holds its search."""
DIRECTIONS = ("maximize", "minimize")
SAMPLERS = ("tpe", "random", "grid", "gp")
PRUNERS = ("median", "halving", "hyperband")
_FIXED = ("name", "order", "model_dir_suffix", "seed", SEARCH)
_FORMS = (
    "a list of choices, or (low, high), (low, high, 'log') or (low, high, step) for numbers: ints for whole ones, "
    "a float among them for others"
)


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included.

    Args:
        is_whole: whole numbers only.
        is_log: equal ratios are equally likely.
        step: the distance of the numbers from `low` on; None for all.
    """

    low: float
    high: float
    is_whole: bool
    is_log: bool = False
    step: float | None = None

    def examples(self) -> tuple[float, ...]:
        """Return values that it may take: its ends, and one between."""
        between = self.low + (self.step or (1 if self.is_whole else (self.high - self.low) / math.e))
        return (self.low, between, self.high)

    def grid(self) -> list[float] | None:
        """Return all its values; None where they are not counted."""
        step = self.step or (1 if self.is_whole and not self.is_log else None)
        if step is None:
            return None
        count = int((self.high - self.low) / step + 1e-9) + 1
        return [self.low + number * step for number in range(count)]

    def described(self, describe: Callable[[Any], Any]) -> str:
        """Return it as text."""
        detail = " log" if self.is_log else f" by {self.step}" if self.step else ""
        return f"{self.low} to {self.high}{detail}"


@dataclass(frozen=True)
class Choices:
    """One of a few values, of any kind."""

    values: tuple[Any, ...]

    def examples(self) -> tuple[Any, ...]:
        """Return the values."""
        return self.values

    def grid(self) -> list[Any]:
        """Return the labels of all values."""
        return list(self.labels())

    def labels(self) -> tuple[Any, ...]:
        """Return what stands for each value in a study, which keeps plain ones only: itself, or its number."""
        is_plain = all(value is None or isinstance(value, (bool, int, float, str)) for value in self.values)
        return self.values if is_plain else tuple(range(len(self.values)))

    def value(self, label: Any) -> Any:
        """Return the value that a label stands for."""
        return self.values[self.labels().index(label)]

    def described(self, describe: Callable[[Any], Any]) -> str:
        """Return it as text."""
        return "one of " + ", ".join(str(describe(value)) for value in self.values)


Dimension = Range | Choices


@dataclass(frozen=True, eq=False)
class Search:
    """What is searched, how, and by which metric. The same for all trials of a search.

    Args:
        space: the values to choose from, by parameter.
        metric: as a run records it, `test.accuracy`.
        direction: `maximize` or `minimize`.
        sampler: one of `SAMPLERS`, or a function that makes a sampler of Optuna from a seed.
        pruner: one of `PRUNERS`, a function that makes a pruner of Optuna, or None to let all trials run to their end.
        sampler_seed: another one chooses other parameters.
    """

    space: Mapping[str, Dimension]
    metric: str
    direction: str
    sampler: str | Callable[[int], Any] = "tpe"
    pruner: str | Callable[[], Any] | None = None
    sampler_seed: int = 0

    def examples(self) -> list[dict[str, Any]]:
        """Return a few sets of parameters, among which each dimension shows what it may give."""
        columns = {key: dimension.examples() for key, dimension in self.space.items()}
        count = max(map(len, columns.values()))
        return [{key: column[min(row, len(column) - 1)] for key, column in columns.items()} for row in range(count)]

    def described(self, describe: Callable[[Any], Any]) -> str:
        """Return it as text, which is the same in every process.

        Args:
            describe: makes plain values of whatever is among the choices.
        """
        space = "; ".join(f"{key}: {dimension.described(describe)}" for key, dimension in self.space.items())
        pruned = f", pruned by {describe(self.pruner)}" if self.pruner is not None else ""
        how = f"by {describe(self.sampler)} with seed {self.sampler_seed}{pruned}"
        return f"{self.direction} {self.metric} over {space}; {how}"


def make_search(
    space: Mapping[str, Any],
    metric: str,
    direction: str,
    sampler: str | Callable[[int], Any] = "tpe",
    pruner: str | Callable[[], Any] | None = None,
    sampler_seed: int = 0,
) -> Search:
    """Return the search that is described so. Raises: SearchError: it is none, with what was expected."""
    if not isinstance(space, Mapping) or not space:
        raise SearchError(f"search: space must map parameters to {_FORMS}, but got {space!r}")
    dimensions = {_parameter(key): _dimension(key, given) for key, given in space.items()}
    if not isinstance(metric, str) or not metric.strip():
        raise SearchError(f"search: metric must name a recorded metric, as 'test.accuracy', but got {metric!r}")
    if direction not in DIRECTIONS:
        near = did_you_mean(str(direction), DIRECTIONS)
        raise SearchError(f"search: direction must be 'maximize' or 'minimize', but got {direction!r}{near}")
    _check_maker("sampler", sampler, SAMPLERS, "makes one from a seed")
    if pruner is not None:
        _check_maker("pruner", pruner, PRUNERS, "makes one")
    if isinstance(sampler_seed, bool) or not isinstance(sampler_seed, int):
        raise SearchError(f"search: sampler_seed must be a whole number, but got {sampler_seed!r}")
    endless = [key for key, dimension in dimensions.items() if sampler == "grid" and dimension.grid() is None]
    if endless:
        raise SearchError(f"search: a grid needs a list or a step for {', '.join(endless)}")
    return Search(MappingProxyType(dimensions), metric, direction, sampler, pruner, sampler_seed)


def trial_names(prefix: object, trials: object, search: Search) -> list[str]:
    """Return `trial-00`, `trial-01` and so on.

    Raises: SearchError: the number is none, or more than a grid has; or the prefix is no name.
    """
    if isinstance(trials, bool) or not isinstance(trials, int) or trials < 1:
        raise SearchError(f"search: trials must be a whole number above 0, but got {trials!r}")
    if not isinstance(prefix, str) or not prefix.strip():
        raise SearchError(f"search: name must be a prefix for the names of the trials, but got {prefix!r}")
    combinations = math.prod(len(dimension.grid() or []) for dimension in search.space.values())
    if search.sampler == "grid" and trials > combinations:
        raise SearchError(f"search: the grid has {combinations} combinations, fewer than the {trials} trials")
    return [f"{prefix}-{number:02d}" for number in range(trials)]


def _check_maker(what: str, given: object, known: Sequence[str], makes: str) -> None:
    if given in known or (callable(given) and not isinstance(given, type)):
        return
    if isinstance(given, type):
        raise SearchError(f"search: {what} must be a function that {makes}, but got the class {given.__name__}")
    near = did_you_mean(str(given), known)
    raise SearchError(
        f"search: {what} must be one of {', '.join(known)}, or a function that {makes}, but got {given!r}{near}"
    )


def _parameter(key: object) -> str:
    if not isinstance(key, str) or not key.strip() or not key.isprintable():
        raise SearchError(f"search: a parameter of the space must be a printable name, but got {key!r}")
    if key in _FIXED:
        raise SearchError(f"search: {key} cannot be searched: it must be known before a trial begins")
    return key


def _dimension(key: object, given: Any) -> Dimension:
    if type(given).__module__.startswith("optuna.distributions"):
        return _of_distribution(key, given)
    if isinstance(given, list):
        return _choices(key, given)
    if isinstance(given, tuple) and len(given) in (2, 3):
        low, high, *more = given
        is_log = more == ["log"]
        step = None if is_log or not more else more[0]
        return _range(key, given, low, high, step=step, is_log=is_log)
    raise SearchError(f"search: {key} needs {_FORMS}; but got {given!r}")


def _choices(key: object, values: Sequence[Any]) -> Choices:
    if not values:
        raise SearchError(f"search: the list of choices for {key} is empty")
    for number, value in enumerate(values):
        if any(value is other or _is_same(value, other) for other in values[:number]):
            raise SearchError(f"search: {key} has {value!r} twice among its choices")
    return Choices(tuple(values))


def _is_same(value: Any, other: Any) -> bool:
    is_plain = isinstance(value, (bool, int, float, str)) and isinstance(other, (bool, int, float, str))
    return is_plain and value == other


def _range(key: object, given: Any, low: Any, high: Any, *, step: Any, is_log: bool) -> Range:
    numbers = [low, high] if step is None else [low, high, step]
    if not all(_is_finite(number) for number in numbers):
        raise SearchError(f"search: {key} needs {_FORMS}; but got {given!r}")
    if not low < high:
        raise SearchError(f"search: {key} must go from a lower to a higher number, but got {given!r}")
    if is_log and not low > 0:
        raise SearchError(f"search: {key} begins at {low}, but a logarithmic range begins above 0")
    if step is not None and not 0 < step <= high - low:
        raise SearchError(
            f"search: the step {step} of {key} does not fit between {low} and {high}; choices are given as a list"
        )
    is_whole = all(isinstance(number, int) for number in numbers)
    kind: type = int if is_whole else float
    return Range(kind(low), kind(high), is_whole, is_log, None if step is None else kind(step))


def _is_finite(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _of_distribution(key: object, given: Any) -> Dimension:
    """Return what a distribution of Optuna says; it is known by its attributes."""
    if hasattr(given, "choices"):
        return _choices(key, given.choices)
    step = given.step if given.step is not None and not given.log else None
    if isinstance(given.low, int) and step == 1:
        step = None
    return _range(key, given, given.low, given.high, step=step, is_log=given.log)
