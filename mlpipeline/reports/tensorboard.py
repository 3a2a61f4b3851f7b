"""Curves, parameters and metrics of runs as event files that TensorBoard shows."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from mlpipeline.errors import ReportError
from mlpipeline.reports.curves import CurveReader
from mlpipeline.reports.history import History, Run

_SUFFIX = ".mlpipeline"
_LARGEST_INTEGER = 2**53


def export_tensorboard(history: History, runs: Sequence[Run], folder: Path) -> int:
    """Write a folder of events for each run, SCRIPT/VERSION/RUN_ID, and return how many.

    What an earlier export has written for a run is replaced.

    Raises: ReportError: TensorBoard is not installed, or the folder is a file.
    """
    try:
        import tensorboard  # noqa: F401
    except ImportError:
        raise ReportError("TensorBoard's files need tensorboard: pip install 'mlpipeline[tensorboard]'") from None
    if folder.exists() and not folder.is_dir():
        raise ReportError(f"{folder} is a file; name a folder")
    reader = CurveReader(history)
    for run in runs:
        _write(
            reader, run, folder.joinpath(*map(_file_name, (run.script.removesuffix(".py"), run.version, run.run_id)))
        )
    return len(runs)


def _write(reader: CurveReader, run: Run, folder: Path) -> None:
    from tensorboard.compat.proto.event_pb2 import Event
    from tensorboard.compat.proto.summary_pb2 import Summary
    from tensorboard.plugins.hparams import summary_v2
    from tensorboard.summary.writer.event_file_writer import EventFileWriter

    def scalar(name: str, value: float, step: int, moment: float) -> Any:
        return Event(wall_time=moment, step=step, summary=Summary(value=[Summary.Value(tag=name, simple_value=value)]))

    for old in folder.glob(f"events.out.tfevents.*{_SUFFIX}"):
        old.unlink()
    ended = _seconds(run.ended or run.started)
    writer = EventFileWriter(str(folder), filename_suffix=_SUFFIX)
    try:
        parameters = {name: _plain(value) for name, value in run.parameters.items() if value is not None}
        summary = summary_v2.hparams_pb(parameters, trial_id=run.run_id, start_time_secs=_seconds(run.started))
        # of TensorBoard's own class, or of TensorFlow's where that is installed
        writer.add_event(Event(wall_time=ended, summary=Summary.FromString(summary.SerializeToString())))
        for name, curve in reader.of(run).items():
            for step, moment, value in zip(curve.steps, curve.times, curve.values, strict=True):
                writer.add_event(scalar(name, value, step, moment))
        for name, value in run.metrics.items():
            writer.add_event(scalar(f"final/{name}", value, run.steps, ended))
    finally:
        writer.close()


def _plain(value: Any) -> str | float | bool:
    if isinstance(value, int) and abs(value) > _LARGEST_INTEGER:
        return str(value)
    return value if isinstance(value, (str, bool, int, float)) else json.dumps(value, ensure_ascii=False)


def _file_name(text: str) -> str:
    """Return a name of a folder for a text of a record, which may be anything."""
    name = re.sub(r"[^\w.,=+@-]", "_", text)[:100]
    return name if name.strip(".") else f"_{len(name)}"


def _seconds(moment: str) -> float:
    try:
        seconds = datetime.fromisoformat(moment).timestamp()
    except ValueError:
        return 0.0
    return seconds if math.isfinite(seconds) else 0.0
