"""Job, Result and Record: plain values that cross processes and go to disk."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Self

from mlpipeline.errors import RecordError

RUNNING = "RUNNING"
"""The status in the record of a start."""

_KINDS: dict[str, tuple[type, ...]] = {
    "event": (str,),
    "run_id": (str,),
    "script": (str,),
    "version": (str, type(None)),
    "status": (str,),
    "fingerprint": (str,),
    "started": (str,),
    "ended": (str,),
    "seconds": (int, float),
    "metrics": (dict,),
    "model_dir": (str,),
}
_ABSENT: dict[str, Any] = {"started": "", "ended": "", "seconds": 0.0, "metrics": {}, "model_dir": ""}
_LONGEST_ERROR = 16_000
FORMAT = 1
"""Of the journal's lines, which name it only where it is another."""
_OWN_KEYS = ("event", "run_id", "script", "version", "status", "fingerprint")


class Status(StrEnum):
    """How a run ended. Only SUCCEEDED and, of a search, PRUNED count as done."""

    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"  # the script raised, or could not be loaded
    CRASHED = "CRASHED"  # the process died without an answer
    TIMED_OUT = "TIMED_OUT"
    INTERRUPTED = "INTERRUPTED"
    PRUNED = "PRUNED"  # a trial of a search that was given up early; its search needs no more of it

    @property
    def is_done(self) -> bool:
        """Whether a version that ended so needs no further run."""
        return self in (Status.SUCCEEDED, Status.PRUNED)

    @property
    def can_resume(self) -> bool:
        """Whether the next run of the same version goes on from what this one left."""
        return self in (Status.CRASHED, Status.TIMED_OUT, Status.INTERRUPTED)


class _Json:
    """A frozen dataclass that travels as one JSON object."""

    def to_json(self) -> str:
        return dumps(asdict(self))  # type: ignore[call-overload]

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Raises: RecordError: the text is not such a value."""
        try:
            values = json.loads(text)
            known = {item.name for item in fields(cls)}  # type: ignore[arg-type]
            return cls(**{key: _frozen(value) for key, value in values.items() if key in known})
        except (ValueError, TypeError, AttributeError, RecursionError) as error:
            raise RecordError(f"expected a {cls.__name__} in JSON, but got {text[:80]!r}: {error}") from None


@dataclass(frozen=True)
class Job(_Json):
    """What goes into the process of a run.

    Args:
        run_id: unique for all time.
        script: relative to `models_dir`, with `/`.
        version: the name; None asks only for the list of versions.
        root, models_dir, model_dir: absolute folders.
        result_file, output_file: where the process leaves its result, and what it prints.
        log_file: where `log(..., log_to_file=True)` goes; empty for nowhere.
        is_test: one step, and `ExecutionModeKeys.TEST`.
        keeps_files: hold the directory's lock and keep copies of the code.
        clean_model_dir: a fresh run; an earlier one's files may go.
        seed: for random, NumPy and torch.
        device: CUDA_VISIBLE_DEVICES for this run; None leaves it as it is.
        threads: for BLAS and torch.
        imports: libraries that the script names, loaded before seeding.
        sources: project-local files behind the script, absolute.
        source_digest: of those files.
        study_file: where a search of the script keeps what it has learned; empty for nowhere.
    """

    run_id: str
    script: str
    version: str | None
    root: str
    models_dir: str
    model_dir: str
    result_file: str
    output_file: str
    log_file: str = ""
    is_test: bool = True
    keeps_files: bool = False
    clean_model_dir: bool = True
    seed: int = 0
    device: str | None = None
    threads: int = 1
    imports: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    source_digest: str = ""
    study_file: str = ""


@dataclass(frozen=True)
class Result(_Json):
    """What comes out of the process of a run.

    Args:
        run_id: the job's.
        status: how it ended.
        ended: UTC, ISO 8601.
        seconds: from the loading of the script to the end.
        peak_memory_mb: resident set, MiB, shared pages included.
        metrics: by name, `train.` or `test.` before it.
        outputs: texts for the readable output, by heading.
        steps: batches trained in this run.
        error: the script's own traceback, or what ended the process.
        error_summary: its last line; of a trial that was pruned, when and why.
        libraries: versions of the libraries that the script imports.
        sources: project-local files that were loaded.
        versions: what a listing found, as plain values.
        parameters: described, where the run has chosen them itself; empty where they are those of the version.
    """

    run_id: str
    status: str
    ended: str = ""
    seconds: float = 0.0
    peak_memory_mb: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    steps: int = 0
    error: str = ""
    error_summary: str = ""
    libraries: dict[str, str] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    versions: tuple[dict[str, Any], ...] = ()
    parameters: dict[str, Any] = field(default_factory=dict)

    def kept(self) -> dict[str, Any]:
        """Return what the journal keeps of it."""
        kept = {
            "ended": self.ended,
            "recorded": now(),
            "seconds": self.seconds,
            "peak_memory_mb": self.peak_memory_mb,
            "steps": self.steps,
            "metrics": self.metrics,
            "python": platform.python_version(),
            "libraries": self.libraries,
        }
        if self.parameters:
            kept["parameters"] = self.parameters
        if self.status == Status.SUCCEEDED:
            return kept
        kept["error_summary"] = self.error_summary
        return kept if Status(self.status).is_done else {**kept, "error": self.error[-_LONGEST_ERROR:]}


@dataclass(frozen=True)
class Record:
    """One line of the journal.

    Args:
        event: `start` or `end`.
        run_id: the same in both lines of a run.
        script, version: what ran; version None where the script could not be loaded.
        status: RUNNING in a start, a `Status` in an end.
        fingerprint: hash of the script, its project-local modules and the version's parameters.
        details: everything else that the journal keeps of it.
    """

    event: str
    run_id: str
    script: str
    version: str | None
    status: str
    fingerprint: str
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_line(self) -> str:
        """Return the record as one line of JSON, without its end."""
        return dumps({**{name: getattr(self, name) for name in _OWN_KEYS}, **self.details})

    @classmethod
    def from_line(cls, line: str | bytes) -> Record:
        """Raises: RecordError: the line is damaged."""
        try:
            values = json.loads(line)
        except (ValueError, RecursionError):
            raise RecordError("expected a record in JSON") from None
        if isinstance(values, dict) and values.get("format", FORMAT) != FORMAT:
            newer = f"is of format {str(values['format'])[:20]}, and this mlpipeline knows {FORMAT}"
            raise RecordError(f"the record {newer}; a newer mlpipeline may read it")
        for name, kinds in _KINDS.items():
            if not isinstance(values, dict) or not isinstance(values.get(name, _ABSENT.get(name)), kinds):
                raise RecordError(f"expected a record, but {name} is missing or of a wrong kind")
        if not are_metrics(values.get("metrics", {})):
            raise RecordError("expected a record, but its metrics are not numbers")
        event, run_id, script, version, status, fingerprint = [values.pop(name, None) for name in _OWN_KEYS]
        if event not in ("start", "end") or status not in (*Status, RUNNING):
            raise RecordError(f"expected the start or end of a run, but got {event!r} with status {status!r}")
        return cls(event, run_id, script, version, status, fingerprint, values)


def are_metrics(values: object) -> bool:
    """Tell whether something read from JSON maps names to numbers, or to the words that stand for nan and inf."""
    if not isinstance(values, dict):
        return False
    return all(isinstance(item, (int, float)) or item in ("nan", "inf", "-inf") for item in values.values())


def output_header(job: Job) -> str:
    """Return the line that begins a run's part of `stdout.log`, which versions may share."""
    return f"--- {job.script}:{job.version} {job.run_id} ---\n"


def dumps(value: Any) -> str:
    """Return strict JSON in one line; numbers that JSON has no word for become "nan", "inf" and "-inf"."""
    try:
        return json.dumps(value, separators=(",", ":"), allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), separators=(",", ":"), allow_nan=False)


def now() -> str:
    """Return the time as UTC, ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, (list, tuple)) else value
