"""Say what a daemon would do with its queue, without running or recording anything."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from mlpipeline.records import RUNNING, Status
from mlpipeline.runner.daemon import Daemon
from mlpipeline.runner.plan import Candidate, Outcome


class Line(NamedTuple):
    """What would become of one version, or with version empty of a whole script."""

    verb: str  # run, skip or fail
    script: str
    version: str
    reason: str


def preview(daemon: Daemon) -> list[Line]:
    """List every queued script and return what would become of each version, in order.

    Raises: MlpError: the queue or a selection has no meaning.
    """
    try:
        listed = daemon.list_all()
        return [line for script, failure in listed.items() for line in _lines(daemon, script, failure)]
    finally:
        daemon.close()


def _lines(daemon: Daemon, script: str, failure: str) -> Iterator[Line]:
    if failure:
        yield Line("fail", script, "", failure)
        return
    for candidate in daemon.catalog.entries[script].candidates:
        if not daemon.options.includes(script, candidate.name):
            continue
        runs = candidate.name in daemon.catalog.plans[script].pending
        last = daemon.workplace.last(script, candidate.name)
        yield Line("run" if runs else "skip", script, candidate.name, _reason(candidate, last, daemon, runs=runs))


def _reason(candidate: Candidate, last: Outcome | None, daemon: Daemon, *, runs: bool) -> str:
    if not runs:
        return "succeeded before with the same code and parameters"
    if last is not None and last.status == RUNNING:
        return "it runs now, in another daemon"
    if last is None:
        return "never recorded" if daemon.mode.keeps_records else "test mode runs every version"
    if last.fingerprint != candidate.fingerprint:
        return f"code or parameters have changed since; it was {last.status}"
    if daemon.options.uses_history and Status(last.status).can_resume:
        return f"resumes; it was {last.status}"
    return f"{last.status} before" + ("" if daemon.options.uses_history else "; -u would look at that")
