"""Choose the next run: one pure decision over plain values."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from mlpipeline.records import Status


class Candidate(NamedTuple):
    """A version that could run, as its script was last listed."""

    script: str
    name: str
    fingerprint: str
    model_dir: str
    seed: int
    parameters: str  # JSON


class Outcome(NamedTuple):
    """How the last run of a version ended, of which code and parameters, and when (UTC, ISO 8601)."""

    status: str
    fingerprint: str
    ended: str = ""

    def is_success_of(self, fingerprint: str) -> bool:
        """Tell whether the run succeeded with this code and these parameters."""
        return Status(self.status).is_done and self.fingerprint == fingerprint


@dataclass
class Plan:
    """What is left to run of one script; versions in the order of execution."""

    pending: dict[str, Candidate] = field(default_factory=dict)


@dataclass(frozen=True)
class Start:
    """Run this version now."""

    candidate: Candidate


@dataclass(frozen=True)
class List:
    """Find out the versions of this script first."""

    script: str


@dataclass(frozen=True)
class Wait:
    """Something is left, but it must wait for a run that is going on."""


Choice = Start | List | Wait | None


def next_run(
    scripts: Sequence[str],
    plans: Mapping[str, Plan],
    listing: Collection[str] = (),
    busy_dirs: Collection[str] = (),
) -> Choice:
    """Choose what to do with a free slot.

    Args:
        scripts: the queue, in order.
        plans: what is left of each script that has been listed.
        listing: scripts whose versions are being listed.
        busy_dirs: model directories in which a run goes on.
    Returns: the first version, in the order of the queue, whose directory is free; None when nothing is left.
    """
    waits = False
    for script in scripts:
        plan = plans.get(script)
        if plan is None:
            if script in listing:
                waits = True
                continue
            return List(script)
        for candidate in plan.pending.values():
            if candidate.model_dir not in busy_dirs:
                return Start(candidate)
            waits = True
    return Wait() if waits else None


def is_settled(fingerprint: str, in_session: Outcome | None) -> bool:
    """Tell whether a version needs no further run where history does not count: it runs once a session.

    Args:
        fingerprint: of its code and parameters now.
        in_session: how it ended since the daemon was started, if it ran.
    """
    if in_session is None:
        return False
    # a failure is tried again when its code has changed
    return Status(in_session.status).is_done or in_session.fingerprint == fingerprint


def is_done(fingerprint: str, last: Outcome | None) -> bool:
    """Tell whether a version needs no further run where history counts: it has succeeded, as it is now."""
    return last is not None and last.is_success_of(fingerprint)


def fingerprint(source_digest: str, parameters: str) -> str:
    """Return the hash that stands for code and parameters.

    Args:
        source_digest: of the script and its project-local modules.
        parameters: described as JSON, keys sorted.
    """
    return hashlib.sha256(f"{source_digest}\0{parameters}".encode()).hexdigest()[:32]
