"""A run as MLflow takes it: names, parameters, tags and points, within its limits."""

from __future__ import annotations

import hashlib
import json
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from mlpipeline.records import RUNNING, Status
from mlpipeline.reports.curves import Curves
from mlpipeline.reports.history import Run

RUN_ID_TAG = "mlpipeline.run_id"
"""By it a run is recognised."""
UPLOADED_TAG = "mlpipeline.uploaded"
"""Set when nothing of a run is missing."""
LEFT_OUT_TAG = "mlpipeline.not_uploaded"
_LONGEST_NAME = 250
_LONGEST_PARAMETER = 6000
_LONGEST_TAG = 8000
_LONGEST_EXPERIMENT = 500
_LAST_MOMENT = 1e11  # seconds; later ones are no times
_LAST_STEP = 2**62
_FORBIDDEN = re.compile(r"[^/\w.\- :]")
_PLAIN_ID = re.compile(r"[\w.:-]{1,200}", re.ASCII)
_ENDED_EARLY = (Status.TIMED_OUT, Status.INTERRUPTED, Status.PRUNED)


class Point(NamedTuple):
    """One value of a metric. Args: moment: milliseconds since the epoch."""

    name: str
    value: float
    moment: int
    step: int


def experiment_name(project: str, script: str) -> str:
    """Return `PROJECT/SCRIPT`: projects that share a server may have scripts of one name."""
    return cut(clean(f"{project}/{script}"), _LONGEST_EXPERIMENT)


def run_key(run_id: str) -> str:
    """Return what stands in the tag by which a run is found; it can be quoted in a search."""
    return run_id if _PLAIN_ID.fullmatch(run_id) else f"sha256-{hashlib.sha256(_bytes(run_id)).hexdigest()}"


def mlflow_status(run: Run) -> str:
    """Return the word of MLflow's that is nearest to how a run ended."""
    if run.status == RUNNING:
        return "RUNNING"
    if run.status == Status.SUCCEEDED:
        return "FINISHED"
    return "KILLED" if run.status in _ENDED_EARLY else "FAILED"


def parameters_of(run: Run) -> dict[str, str]:
    """Return a run's parameters as texts, those within others as `outer.inner`."""
    found = list(_flat(run.parameters, ""))
    names = _allowed_and_distinct([name for name, _ in found])
    return {name: cut(clean(_shown(value)), _LONGEST_PARAMETER) for name, (_, value) in zip(names, found, strict=True)}


def tags_of(run: Run, project: str) -> dict[str, str]:
    """Return what tells a run from others; an empty value is left out."""
    tags = {
        RUN_ID_TAG: run_key(run.run_id),
        "mlpipeline.project": project,
        "mlpipeline.script": run.script,
        "mlpipeline.version": run.version,
        "mlpipeline.status": run.status,
        "mlpipeline.host": run.host,
        "mlpipeline.fingerprint": run.fingerprint,
        "mlpipeline.seed": str(run.seed),
        "mlpipeline.resumed": "true" if run.resumed else "",
        "mlpipeline.error_summary": run.error_summary,
        "mlpipeline.seconds": f"{run.seconds:g}" if run.seconds else "",
        "mlpipeline.peak_memory_mb": f"{run.peak_memory_mb:g}" if run.peak_memory_mb else "",
        "mlflow.source.name": run.script,
        "mlflow.source.type": "LOCAL",
        "mlflow.source.git.commit": run.git_commit,
    }
    return {name: tag_value(value) for name, value in tags.items() if value}


def tag_value(text: str) -> str:
    """Return a text within the limits of a tag."""
    return cut(clean(text), _LONGEST_TAG)


def run_name(run: Run) -> str:
    """Return a run's version, within the limits of a name."""
    return cut(clean(run.version), _LONGEST_NAME)


def curve_points(run: Run, curves: Curves) -> Iterator[Point]:
    """Yield the points of a run's curves."""
    names = allowed_names([*curves, *run.metrics])
    otherwise = milliseconds(run.started)
    for name, curve in curves.items():
        for step, moment, value in zip(curve.steps, curve.times, curve.values, strict=True):
            usable = 0 <= moment < _LAST_MOMENT
            yield Point(names[name], value, round(moment * 1000) if usable else otherwise, _bounded(step))


def final_points(run: Run, curves: Curves) -> Iterator[Point]:
    """Yield what a run was evaluated to, at the end of its curves."""
    names = allowed_names([*curves, *run.metrics])
    step = max([run.steps, *(curve.steps[-1] for curve in curves.values() if curve.steps)])
    for name, value in run.metrics.items():
        yield Point(names[name], value, milliseconds(run.ended), _bounded(step))


def milliseconds(text: str) -> int:
    """Return a recorded time as milliseconds since the epoch; 0 for what is none."""
    try:
        seconds = datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        return 0
    return round(seconds * 1000) if 0 <= seconds < _LAST_MOMENT else 0


def allowed_names(names: Iterable[str]) -> dict[str, str]:
    """Return for each name one that MLflow allows; different names remain different."""
    unique = list(dict.fromkeys(names))
    return dict(zip(unique, _allowed_and_distinct(unique), strict=True))


def clean(text: str) -> str:
    """Return a text that any database takes: no half characters, and none that ends a text."""
    return _bytes(text).decode().replace("\0", "\\0")


def cut(text: str, longest: int) -> str:
    """Return a text of at most so many characters; one that is cut says so."""
    note = f"... (cut; it has {len(text)} characters)"
    return text if len(text) <= longest else text[: longest - len(note)] + note


def _allowed_and_distinct(names: list[str]) -> list[str]:
    """Return for each place a name that MLflow allows and that no other place has; the same each time."""
    chosen: dict[str, None] = {}
    for place, name in enumerate(names):
        allowed = _allowed(name)
        if allowed in chosen:
            mark = hashlib.sha256(_bytes(f"{name} {names[:place].count(name)}")).hexdigest()[:8]
            allowed = f"{allowed[: _LONGEST_NAME - 9]}-{mark}"
        chosen[allowed] = None
    return list(chosen)


def _bytes(text: str) -> bytes:
    return text.encode(errors="backslashreplace")


def _allowed(name: str) -> str:
    name = _FORBIDDEN.sub("_", clean(name)) or "_"
    if posixpath.normpath(name) != name or name.startswith(("/", ".")):
        name = f"_{name.replace('/', '_')}"  # it may become the name of a file
    if len(name) > _LONGEST_NAME:
        name = f"{name[: _LONGEST_NAME - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return name


def _flat(parameters: Mapping[str, Any], above: str) -> Iterator[tuple[str, Any]]:
    for name, value in parameters.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else str(value)


def _bounded(step: int) -> int:
    return max(-_LAST_STEP, min(_LAST_STEP, step))
