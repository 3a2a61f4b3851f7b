"""The keys that the pipeline itself reads in a version, and what it demands of their values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any

from mlpipeline.errors import VersionError, did_you_mean


class version_parameters:  # noqa: N801  (the documented name)
    """The keys that the pipeline itself reads in a version."""

    NAME = "name"
    DATALOADER = "dataloader"
    BATCH_SIZE = "batch_size"
    EPOC_COUNT = EPOCH_COUNT = "epoc_count"
    LEARNING_RATE = "learning_rate"
    MODEL_DIR_SUFFIX = "model_dir_suffix"
    ORDER = "order"


_OWN_KEYS = tuple(value for name, value in vars(version_parameters).items() if name.isupper())
WELL_SPELT = {"epoch_count": version_parameters.EPOC_COUNT}


def known_keys(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters under the names that they are kept by."""
    return {WELL_SPELT.get(key, key): value for key, value in parameters.items()}


def check_name(name: object, taken: Iterable[str]) -> None:
    """Raises: VersionError: the name of a version cannot be used, or is taken."""
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise VersionError(f"the name of a version must be a printable, non-empty string, but got {name!r}")
    if name in taken:
        raise VersionError(f"two versions are named {name!r}; give each a name of its own")


def check_parameters(name: str, parameters: Mapping[str, Any]) -> None:
    """Raises: VersionError: a mandatory parameter is missing, or a value cannot be used."""
    for key in (version_parameters.DATALOADER, version_parameters.BATCH_SIZE, version_parameters.EPOC_COUNT):
        if parameters.get(key) is None:
            others = [other for other in parameters if other not in _OWN_KEYS]
            hint = did_you_mean(key, others).replace("did you mean", "is it meant by")
            hint = hint or "; give it to the version or as a default to Versions"
            raise VersionError(f"version {name!r} has no {key}{hint}")
    _check_positive(name, version_parameters.BATCH_SIZE, parameters, whole=True)
    _check_positive(name, version_parameters.EPOC_COUNT, parameters, whole=False)
    if not _is_number(parameters["order"]):
        raise VersionError(f"version {name!r}: order must be a number, but got {parameters['order']!r}")
    suffix = parameters["model_dir_suffix"]
    if suffix is not None and (not isinstance(suffix, str) or not suffix):
        raise VersionError(f"version {name!r}: model_dir_suffix must be a non-empty string, but got {suffix!r}")


def _check_positive(name: str, key: str, parameters: Mapping[str, Any], *, whole: bool) -> None:
    value = parameters[key]
    if not _is_number(value) or not value > 0 or value == float("inf") or (whole and value != int(value)):
        kind = "a whole number" if whole else "a number"
        raise VersionError(f"version {name!r}: {key} must be {kind} above 0, but got {value!r}")


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and value == value
