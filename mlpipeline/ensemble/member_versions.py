"""Each version of an ensemble as one version for each of its members, so that each is a run of its own."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

from mlpipeline.ensemble.plans import Plan, as_plan
from mlpipeline.errors import EnsembleError, ScriptError
from mlpipeline.versions import Version, Versions

ENSEMBLE, MEMBER, PLAN = "ensemble", "member", "plan"


def member_versions(versions: Versions, plan: Any = None) -> Versions:
    """Return a version for each member of each version: `mlp` with five folds becomes `mlp-fold0` to `mlp-fold4`.

    Besides what its version has, a member has the name of that version as `ensemble`, its number as `member`, the
    plan as `plan`, and its own name within the suffix of its model directory.

    Args:
        versions: as the script has written them. plan: of versions that have none of their own.
    Raises: EnsembleError: a version has no plan, or uses a name that a member needs. ScriptError: no `Versions`.
    """
    if not isinstance(versions, Versions):
        raise ScriptError(f"versions must be an mlpipeline.utils.Versions, but got {type(versions).__name__}")
    members = Versions()
    for version in versions:
        own_plan = _plan_of(version, plan)
        for number in range(own_plan.member_count):
            _add_member(members, version, own_plan, number)
    return members


def member_name(version: Version) -> str:
    """Return the name of a member's version within its ensemble: `fold0`."""
    return f"{version[PLAN].kind}{version[MEMBER]}"


def ensemble_version(version: Version) -> Version:
    """Return the version of the ensemble that a member's version was made from: it is the same for all members.

    Its suffix is that of the ensemble's own folder, which lies beside those of its members.
    """
    suffix = str(version["model_dir_suffix"]).removesuffix(f"-{member_name(version)}")
    parameters = {**version, "name": version[ENSEMBLE], "model_dir_suffix": suffix}
    del parameters[MEMBER]
    return Version(version[ENSEMBLE], version.order, MappingProxyType(parameters))


def _plan_of(version: Version, plan: Any) -> Plan:
    for key in (ENSEMBLE, MEMBER):
        if key in version:
            raise EnsembleError(f"version {version.name!r}: the parameter {key!r} is set by the ensemble; rename yours")
    given = version.get(PLAN) if version.get(PLAN) is not None else plan
    if given is None:
        raise EnsembleError(
            f"version {version.name!r} has no plan; give one to the EnsembleModel, as in plan=StratifiedFolds(5), "
            "or to the version"
        )
    return as_plan(given)


def _add_member(members: Versions, version: Version, plan: Plan, number: int) -> None:
    name = f"{plan.kind}{number}"
    parameters = {key: value for key, value in version.items() if key != "name"}
    parameters["model_dir_suffix"] = f"{version['model_dir_suffix'] or version.name}-{name}"
    parameters |= {ENSEMBLE: version.name, MEMBER: number, PLAN: plan}
    members.add(f"{version.name}-{name}", **parameters)
