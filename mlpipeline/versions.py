"""Versions: the named sets of parameters that a model script is run with."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from mlpipeline.errors import SearchError, VersionError, did_you_mean
from mlpipeline.search import SEARCH, Search, make_search, trial_names
from mlpipeline.version_keys import WELL_SPELT, check_name, check_parameters, known_keys, version_parameters

__all__ = ["ExecutionModeKeys", "ModeKeys", "Version", "Versions", "version_parameters"]


class ExecutionModeKeys:
    """What `pre_execution_hook` is told: a real run (`TRAIN`) or test mode (`TEST`)."""

    TRAIN = "Train"
    TEST = "Test"


class ModeKeys:
    """What data is asked for."""

    TRAIN = Train = "Train"
    PREDICT = Predict = "Predict"
    EVALUATE = Evaluate = "Evaluate"


@dataclass(frozen=True, eq=False)
class Version(Mapping[str, Any]):
    """One set of parameters. Reads as a mapping, `version["batch_size"]`, and by attribute.

    Args:
        name: unique within its script.
        order: place in the order of execution; equal orders keep the order of definition.
        parameters: all parameters, the name and the order among them.
    """

    name: str
    order: float
    parameters: Mapping[str, Any] = field(repr=False)

    def __getitem__(self, key: str) -> Any:
        return self.parameters[WELL_SPELT.get(key, key)]

    def __iter__(self) -> Iterator[str]:
        return iter(self.parameters)

    def __len__(self) -> int:
        return len(self.parameters)

    def __getattr__(self, key: str) -> Any:
        parameters = self.__dict__.get("parameters", {})
        key = WELL_SPELT.get(key, key)
        if key not in parameters:
            raise AttributeError(f"version has no parameter {key!r}{did_you_mean(key, parameters)}")
        return parameters[key]

    def __str__(self) -> str:
        return "{" + ", ".join(f"{key}: {value}" for key, value in self.parameters.items()) + "}"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self.name, self.order, dict(self.parameters))

    def replacing(self, **parameters: Any) -> Version:
        """Return this version with some parameters set to other values."""
        return Version(self.name, self.order, MappingProxyType({**self.parameters, **parameters}))


class Versions:
    """The versions of one script, in the order of their definition.

    Args:
        learning_rate, dataloader, batch_size, epoc_count, model_dir_suffix, order: defaults for all versions;
            `epoch_count` is the same as `epoc_count`, in a version too.
        **parameters: further defaults, under names of your own.

    `dataloader` is a `DataLoader`, or a class or function without arguments that makes one; the
    latter is called only in the process of the run, so that listing versions loads no data.
    """

    def __init__(
        self,
        learning_rate: float | None = None,
        dataloader: Any = None,
        batch_size: int | None = None,
        epoc_count: float | None = None,
        model_dir_suffix: str | None = None,
        order: float | None = None,
        **parameters: Any,
    ) -> None:
        self._defaults = _given(
            learning_rate=learning_rate,
            dataloader=dataloader,
            batch_size=batch_size,
            epoc_count=epoc_count,
            model_dir_suffix=model_dir_suffix,
            order=order,
        ) | known_keys(parameters)
        self._versions: dict[str, Version] = {}

    def add(self, name: str, **parameters: Any) -> Version:
        """Add one version; parameters that are not given take their defaults.

        Raises: VersionError: a mandatory parameter is missing, a value cannot be used, or the name is taken.
        """
        if isinstance(parameters.get(SEARCH), Search):
            raise SearchError(f"version {name!r} is made of a trial of a search; search over plain versions only")
        merged = self._merged(name, parameters)
        check_parameters(name, merged)
        return self._kept(name, merged)

    def grid(
        self,
        parameters: Mapping[str, Sequence[Any]],
        name: str | Callable[[Mapping[str, Any]], str] | None = None,
        **common: Any,
    ) -> list[Version]:
        """Add a version for every combination of the listed values, the last parameter turning fastest.

        Args:
            parameters: for each parameter the values to try.
            name: a prefix (`"mlp"`), a template (`"lr{learning_rate}"`) or a function of the combination;
                without it the name lists the combination: `learning_rate=0.1,hidden=8`.
            **common: parameters with one value for all.

        Raises: VersionError: a list is empty or not a list, or two combinations get the same name.
        """
        for key, values in parameters.items():
            if isinstance(values, str) or not isinstance(values, Sequence) or not values:
                raise VersionError(f"grid: {key} needs a list of values to try, but got {values!r}")
        combinations = [
            dict(zip(parameters, values, strict=True)) for values in itertools.product(*parameters.values())
        ]
        return [self.add(_combination_name(name, combination), **combination, **common) for combination in combinations]

    def search(
        self,
        space: Mapping[str, Any],
        metric: str,
        direction: str,
        trials: int,
        sampler: str | Callable[[int], Any] = "tpe",
        pruner: str | Callable[[], Any] | None = None,
        name: str = "trial",
        sampler_seed: int = 0,
        **common: Any,
    ) -> list[Version]:
        """Add versions whose parameters are chosen one after the other, each by what those before it have reached.

        Args:
            space: for each parameter a list of choices, or `(low, high)`, `(low, high, "log")` or `(low, high, step)`
                of numbers, ints for whole ones; or a distribution of Optuna.
            metric: what is optimised, as a run records it: `test.accuracy`.
            direction: `maximize` or `minimize`.
            trials: how many versions; they are named `trial-00`, `trial-01` and so on.
            sampler: `tpe`, `random`, `grid` or `gp`; or a function that makes a sampler of Optuna from a seed.
            pruner: `median`, `halving` or `hyperband` give a trial up that is worse than others were after as many
                reports of the metric; or a function that makes a pruner of Optuna. None gives none up.
            name: before the number of a trial.
            sampler_seed: another one chooses other parameters.
            **common: parameters with one value for all.

        Raises: SearchError, VersionError: the search cannot be understood, or a version would miss a parameter.
        """
        known = known_keys(space) if isinstance(space, Mapping) else space
        search = make_search(known, metric, direction, sampler, pruner, sampler_seed)
        if both := sorted(search.space.keys() & known_keys(common).keys()):
            raise SearchError(f"search: {', '.join(both)} is to be searched, and given as well")
        return [self._add_trial(trial, search, common) for trial in trial_names(name, trials, search)]

    def addV(  # noqa: N802  (the documented name)
        self,
        name: str,
        dataloader: Any = None,
        batch_size: int | None = None,
        epoc_count: float | None = None,
        learning_rate: float | None = None,
        model_dir_suffix: str | None = None,
        order: float | None = None,
        custom_paramters: Mapping[str, Any] | None = None,
        **parameters: Any,
    ) -> Version:
        """Add one version; the older spelling of `add`, in which None stands for the default."""
        given = _given(
            dataloader=dataloader,
            batch_size=batch_size,
            epoc_count=epoc_count,
            learning_rate=learning_rate,
            model_dir_suffix=model_dir_suffix,
            order=order,
        )
        merged = {**given, **parameters, **(custom_paramters or {})}
        if "name" in merged:
            raise VersionError(f"version {name!r}: the name is given twice, also among the custom parameters")
        return self.add(name, **merged)

    def rangeOnParameters(  # noqa: N802  (the documented name)
        self,
        names: Sequence[str] | None = None,
        combining_parameters: Sequence[str] = (),
        parameters: Mapping[str, Any] | None = None,
    ) -> list[Version]:
        """Add a version for every combination of `combining_parameters`; the older spelling of `grid`.

        Args:
            names: one a combination, the last combining parameter turning fastest; readable ones if None.
            combining_parameters: the keys of `parameters` to combine; a single value counts as a list of one.
            parameters: values by key; those that are not combined hold for all.

        Raises: VersionError: a combining parameter has no values, or there are more or fewer names than combinations.
        """
        values = dict(parameters or {})
        for key in combining_parameters:
            if key not in values:
                raise VersionError(f"rangeOnParameters: {key} is to be combined but has no values in `parameters`")
        lists = {key: _as_list(values.pop(key)) for key in combining_parameters}
        count = len(list(itertools.product(*lists.values())))
        if names is not None and len(names) != count:
            raise VersionError(f"rangeOnParameters: {count} combinations need {count} names, but got {len(names)}")
        chosen = iter(names or ())
        return self.grid(lists, name=(lambda _: next(chosen)) if names is not None else None, **values)

    def get(self, name: str) -> Version:
        """Return the version of that name. Raises: VersionError: there is none."""
        if name not in self._versions:
            raise VersionError(f"no version is named {name!r}{did_you_mean(name, self._versions)}")
        return self._versions[name]

    getVersion = get  # noqa: N815  (the documented name)

    def names(self) -> list[str]:
        """Return the names in the order of execution."""
        return [version.name for version in self]

    def _merged(self, name: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        check_name(name, self._versions)
        unset = {"learning_rate": None, "model_dir_suffix": None, "order": len(self._versions)}
        return {**unset, **self._defaults, **known_keys(parameters), "name": name}

    def _kept(self, name: str, parameters: Mapping[str, Any]) -> Version:
        version = Version(name, parameters["order"], MappingProxyType(dict(parameters)))
        self._versions[name] = version
        return version

    def _add_trial(self, name: str, search: Search, common: Mapping[str, Any]) -> Version:
        """Add a version without what is searched: it is chosen in the process of its run."""
        merged = self._merged(name, common)
        for example in search.examples():
            check_parameters(name, {**merged, **example})
        if merged["model_dir_suffix"] is not None:
            raise SearchError(f"version {name!r}: a trial needs a directory of its own; leave model_dir_suffix out")
        fixed = {key: value for key, value in merged.items() if key not in search.space}
        return self._kept(name, {**fixed, SEARCH: search})

    def __iter__(self) -> Iterator[Version]:
        return iter(sorted(self._versions.values(), key=lambda version: version.order))

    def __len__(self) -> int:
        return len(self._versions)


def _restored(name: str, order: float, parameters: dict[str, Any]) -> Version:
    return Version(name, order, MappingProxyType(parameters))


def _given(**values: Any) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value is not None}


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, (list, tuple, range)) else [value]


def _combination_name(name: str | Callable[[Mapping[str, Any]], str] | None, combination: Mapping[str, Any]) -> str:
    if callable(name):
        return name(combination)
    if name is not None and "{" in name:
        try:
            return name.format(**combination)
        except (KeyError, IndexError, ValueError) as error:
            known = ", ".join(combination)
            raise VersionError(f"grid: the name {name!r} has a field that is none of {known}: {error}") from None
    listed = ",".join(f"{key}={_short(value)}" for key, value in combination.items())
    return f"{name}-{listed}" if name else listed


def _short(value: Any) -> str:
    """Return a value as it can stand in a name: an object by the name of its class or function."""
    if value is None or isinstance(value, (str, bool, int, float)):
        return str(value)
    if isinstance(value, (list, tuple)):
        return "x".join(_short(item) for item in value)
    return str(getattr(value, "__name__", type(value).__name__))
