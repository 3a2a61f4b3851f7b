"""Uploads what is recorded, and not there yet, to an MLflow server.

MlflowUploads.catch_up
    _pending              the records that the list of finished uploads does not name
    _take                 for each of them
        _open             its experiment and run there, found by a tag or made
        log               points that are not there yet
        _complete         once it has ended: metrics, files, the tag that says so, its status and end
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from mlpipeline.errors import ReportError, TrackingError
from mlpipeline.project import Project, load_project
from mlpipeline.reports.curves import CurveReader
from mlpipeline.reports.history import History, Run, is_selected
from mlpipeline.reports.mlflow_done import DoneList, alone, digest_of
from mlpipeline.reports.mlflow_files import files_of, printed_by
from mlpipeline.reports.mlflow_server import Server, is_deleted, quiet, resolved, without_secrets
from mlpipeline.reports.mlflow_values import (
    LEFT_OUT_TAG,
    UPLOADED_TAG,
    Point,
    curve_points,
    experiment_name,
    final_points,
    milliseconds,
    mlflow_status,
    parameters_of,
    run_key,
    run_name,
    tag_value,
    tags_of,
)
from mlpipeline.reports.printed import OUTPUT_FILE
from mlpipeline.selection import Selection, parse_selection

LARGEST_FILE_MB = 500.0
_MOST_FAILURES = 5
_TOLD_EVERY = 100
Listener = Callable[[str], None]


@dataclass
class Counts:
    """What has become of records.

    Args:
        uploaded: all of the run is there now.
        present: it was there already, and this machine did not know.
        going_on: it has not ended; what there is of it is there.
        deleted: it was deleted on the server, and stays so.
        failed: the server refused it.
    """

    uploaded: int = 0
    present: int = 0
    going_on: int = 0
    deleted: int = 0
    failed: int = 0


@dataclass
class _Open:
    """A run on the server that is not complete.

    Args:
        parameters: those that are not there.
        points: those that are there, by metric.
        is_killed: it is marked as one that nobody works on.
    """

    mlflow_id: str
    curves: CurveReader
    parameters: dict[str, str]
    points: dict[str, set[tuple[int, int]]] = field(default_factory=dict)
    is_killed: bool = False


class MlflowUploads:
    """The uploads of one project to one place, gone on with as records come.

    Args:
        project: whose records.
        uri: where to; that of `mlp.config` where empty.
        warn: told of what cannot be uploaded.
        say: told of what else is worth knowing.
        again: ask the server for every record, and upload what was deleted there.
        largest_file_mb: larger files stay here.
    Raises: ReportError: no URI, or MLflow is not installed.
    """

    def __init__(
        self,
        project: Project,
        uri: str = "",
        *,
        warn: Listener = lambda message: None,
        say: Listener = lambda message: None,
        again: bool = False,
        largest_file_mb: float = LARGEST_FILE_MB,
    ) -> None:
        if not (uri := uri or project.mlflow_uri):
            raise ReportError(
                "expected where to upload to: give --uri, or write `mlflow_uri = sqlite:///outputs/mlflow.db`, "
                "or the address of a server, under [TRACKING] in mlp.config"
            )
        self._project = project
        self._uri = resolved(uri, project.root)
        self._warn = warn
        self._say = say
        self._again = again
        self._largest = largest_file_mb * 1e6
        self._done = DoneList(project.mlflow_uploads_file(digest_of(self.place)), ignores_old=again)
        self._experiments: dict[str, tuple[str, bool] | None] = {}
        self._opened: dict[str, _Open] = {}
        self._refused: set[str] = set()

    @property
    def place(self) -> str:
        """Where to, without secrets."""
        return without_secrets(self._uri)

    @cached_property
    def _server(self) -> Server:
        return Server(self._uri, self._project.mlflow_artifacts_dir)

    def catch_up(self, history: History, selections: Sequence[Selection] = ()) -> Counts:
        """Upload what is not there yet.

        Raises: TrackingError: the server cannot be reached. RecordError: a journal cannot be read.
        """
        self._project.outputs_dir.mkdir(parents=True, exist_ok=True)
        with alone(self._project.mlflow_lock_file, self._say), quiet():
            history.refresh()
            self._done.refresh()
            self._experiments.clear()  # others may have changed what is there since the last time
            return self._upload(history, selections)

    def _upload(self, history: History, selections: Sequence[Selection]) -> Counts:
        runs = history.runs()
        owners = {run.model_dir: run.run_id for run in runs}
        counts = Counts()
        in_a_row = 0
        pending = [run for run in runs if run.version and is_selected(run, selections) and not self._is_settled(run)]
        for number, run in enumerate(pending):
            if number and number % _TOLD_EVERY == 0:
                self._say(f"{number} of {len(pending)}")
            errors = self._server.errors
            try:
                outcome = self._take(history, run, owns_model=owners[run.model_dir] == run.run_id)
                in_a_row = 0
            except errors as error:
                outcome, in_a_row = "failed", in_a_row + 1
                self._give_up(run, error, in_a_row)
            setattr(counts, outcome, getattr(counts, outcome) + 1)
        return counts

    def _is_settled(self, run: Run) -> bool:
        return run.run_id in self._done or run.run_id in self._refused

    def _give_up(self, run: Run, error: Exception, in_a_row: int) -> None:
        """Raises: TrackingError: it is not this run alone."""
        self._opened.pop(run.run_id, None)
        self._server.check()
        reason = self._server.reason(error)
        if in_a_row >= _MOST_FAILURES:
            raise TrackingError(
                f"{self.place} has refused {in_a_row} runs one after the other, the last with: {reason}"
            )
        self._refused.add(run.run_id)
        self._warn(f"{run.name} ({run.run_id}) could not be uploaded: {reason}")

    def _take(self, history: History, run: Run, *, owns_model: bool) -> str:
        """Bring one run up to date; return the name of its count."""
        opened = self._opened.get(run.run_id) or self._open(history, run)
        if isinstance(opened, str):
            self._done.add(run.run_id)
            return opened
        self._opened[run.run_id] = opened
        curves = opened.curves.of(run)
        points = [*curve_points(run, curves), *(final_points(run, curves) if run.ended else ())]
        self._log(opened, points)
        if not run.ended:
            if mlflow_status(run) != "RUNNING" and not opened.is_killed:  # the next daemon records its end
                self._server.end(opened.mlflow_id, mlflow_status(run), 0)
                opened.is_killed = True
            return "going_on"
        self._complete(history, run, opened.mlflow_id, owns_model=owns_model)
        self._done.add(run.run_id)
        del self._opened[run.run_id]
        return "uploaded"

    def _open(self, history: History, run: Run) -> _Open | str:
        """Return the run on the server, found or made; or the name of a count, if it is not to be touched."""
        if (experiment := self._experiment(run.script)) is None:
            return "deleted"
        experiment_id, is_new = experiment
        found = None if is_new else self._server.find(experiment_id, run_key(run.run_id))
        if found is None:
            tags = tags_of(run, self._project.root.name)
            made = self._server.create(experiment_id, run_name(run), milliseconds(run.started), tags)
            return _Open(made.info.run_id, CurveReader(history), parameters_of(run))
        if is_deleted(found):
            if not self._again:
                return "deleted"
            self._server.restore(found)
        if UPLOADED_TAG in found.data.tags:
            return "uploaded" if is_deleted(found) else "present"
        missing = {name: value for name, value in parameters_of(run).items() if name not in found.data.params}
        there = self._server.points_of(found)
        return _Open(found.info.run_id, CurveReader(history), missing, there, found.info.status == "KILLED")

    def _experiment(self, script: str) -> tuple[str, bool] | None:
        """Return a script's experiment and whether it is new; None if it was deleted there."""
        if script not in self._experiments:
            name = experiment_name(self._project.root.name, script)
            experiment, is_new = self._server.experiment(name)
            self._experiments[script] = (experiment.experiment_id, is_new)
            if is_deleted(experiment) and self._again:
                self._server.restore_experiment(experiment.experiment_id)
            elif is_deleted(experiment):
                self._experiments[script] = None
                self._warn(f"the experiment {name} was deleted on the server; `mlflow-sync --again` restores it")
        return self._experiments[script]

    def _log(self, opened: _Open, points: list[Point]) -> None:
        new = [point for point in points if (point.step, point.moment) not in opened.points.get(point.name, ())]
        self._server.log(opened.mlflow_id, opened.parameters, new)
        opened.parameters = {}
        for point in new:
            opened.points.setdefault(point.name, set()).add((point.step, point.moment))

    def _complete(self, history: History, run: Run, mlflow_id: str, *, owns_model: bool) -> None:
        left_out = [
            name for upload in files_of(history, run, owns_model=owns_model) if (name := self._put(mlflow_id, *upload))
        ]
        self._server.put_text(mlflow_id, json.dumps(history.details(run), indent=1), "record.json")
        if printed := printed_by(history, run):
            self._server.put_text(mlflow_id, printed, OUTPUT_FILE)
        tags = {**tags_of(run, self._project.root.name), UPLOADED_TAG: "true"}
        if left_out:
            tags[LEFT_OUT_TAG] = tag_value(", ".join(left_out))
            self._warn(f"{run.name}: {len(left_out)} files stay here: {', '.join(left_out[:3])}")
        self._server.end(mlflow_id, mlflow_status(run), milliseconds(run.ended))
        # last: whatever stands before it is done again after a kill
        self._server.set_tags(mlflow_id, tags)

    def _put(self, mlflow_id: str, path: Path, folder: str) -> str:
        """Upload a file; return its name if it cannot be."""
        try:
            if path.stat().st_size > self._largest:
                return f"{path.name} (larger than {self._largest / 1e6:g} MB)"
        except OSError:
            return f"{path.name} (gone)"
        try:
            self._server.put_file(mlflow_id, path, folder)
        except self._server.errors as error:
            self._server.check()
            return f"{path.name} ({self._server.reason(error)})"
        return ""


def mlflow_sync(
    project: str | Path = ".",
    *,
    uri: str = "",
    scripts: Sequence[str] = (),
    again: bool = False,
    warn: Listener = lambda message: None,
) -> Counts:
    """Upload the records of a project that are not at an MLflow server yet.

    Args:
        project: the project folder.
        uri: of the server; that of `mlp.config` where empty.
        scripts: `SCRIPT` or `SCRIPT:VERSION`, or patterns; all where empty.
        again: ask the server for every record, and restore what was deleted there.
        warn: told of what cannot be uploaded.
    Raises: ReportError: no URI, or MLflow is not installed. TrackingError: the server cannot be reached.
    """
    loaded = load_project(Path(project))
    uploads = MlflowUploads(loaded, uri, warn=warn, again=again)
    with History(loaded, warn) as history:
        return uploads.catch_up(history, [parse_selection(text) for text in scripts])
