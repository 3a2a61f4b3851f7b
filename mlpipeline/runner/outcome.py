"""What a process that has ended amounts to: its own result or, without one, what its end says."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

from mlpipeline.errors import RecordError
from mlpipeline.records import Job, Result, Status, are_metrics, now, output_header
from mlpipeline.runner.engine import EXIT_NO_RESULT, Exit

_LAST_BYTES = 8192
_LAST_LINES = 20


def read_result(path: Path, run_id: str) -> Result | None:
    """Return the result that a run has left, or None if it left none."""
    try:
        result = Result.from_json(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, RecordError):
        return None
    if result.run_id != run_id or result.status not in list(Status) or not are_metrics(result.metrics):
        return None
    return replace(result, metrics={name: float(value) for name, value in result.metrics.items()})


def judge(job: Job, result: Result | None, ended: Exit, told: tuple[Status, str] | None, seconds: float) -> Result:
    """Decide how a run ended.

    Args:
        job: what it was.
        result: what the process has left, if anything.
        ended: how the process ended.
        told: what the daemon told it, INTERRUPTED or TIMED_OUT, and when; None if it ended by itself.
        seconds: from its start to its end, as the daemon saw it.
    """
    if result is not None:
        result = replace(result, peak_memory_mb=max(result.peak_memory_mb, ended.peak_memory_mb))
        if told is not None and result.ended < told[1]:
            return result
    if result is None:
        result = Result(job.run_id, Status.CRASHED, now(), round(seconds, 6), ended.peak_memory_mb)
        result = replace(result, error=last_printed(job), error_summary=describe_exit(ended))
    if told is None:
        if result.status != Status.INTERRUPTED:
            return result
        told = (Status.FAILED, "")  # nobody has told it: the script itself has raised KeyboardInterrupt
    summary = (
        f"timed out after {seconds:.1f} s"
        if told[0] is Status.TIMED_OUT
        else "interrupted"
        if told[1]
        else "KeyboardInterrupt"
    )
    return replace(result, status=told[0], error_summary=summary, versions=())


def describe_exit(ended: Exit) -> str:
    """Return how a process died, in words."""
    if ended.code == EXIT_NO_RESULT:
        return "the result could not be written; is the disk full, or a file in the way of the model directory?"
    if ended.code >= 0:
        return f"the process ended with exit status {ended.code} before it had a result"
    try:
        name = signal.Signals(-ended.code).name
    except ValueError:
        name = f"signal {-ended.code}"
    hint = {"SIGKILL": " (out of memory?)", "SIGSEGV": " (segmentation fault)"}.get(name, "")
    return f"the process was killed by {name}{hint}"


def last_printed(job: Job) -> str:
    """Return the last lines that a run has printed."""
    path = Path(job.output_file)
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _LAST_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return ""
    text = text.rpartition(output_header(job))[2]
    return "".join(text.splitlines(keepends=True)[-_LAST_LINES:])
