"""History: the recorded runs of a project as values. The journals are read; no daemon is asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from mlpipeline.errors import ReportError, did_you_mean
from mlpipeline.locks import goes_on
from mlpipeline.project import Project
from mlpipeline.records import RUNNING, Status
from mlpipeline.reports.index import COLUMNS, DAMAGED, Index, printable_values
from mlpipeline.selection import Selection, parse_selection

_RESUMED, _PARAMETERS, _METRICS = map(COLUMNS.index, ("resumed", "parameters", "metrics"))
_CHUNK = 1000


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of a version, as it was recorded.

    Args:
        version: empty where the script could not be loaded.
        status: a `Status`, or RUNNING.
        place: orders runs by their end, across hosts as far as their clocks agree.
        started, ended: UTC, ISO 8601; ended is empty while it goes on, or where nobody has seen the end.
        seconds: from the loading of the script to the end.
        peak_memory_mb: MiB.
        steps: batches trained.
        model_dir: relative to the outputs directory.
        git_commit: empty outside a repository.
        parameters: of the version, as plain values.
        metrics: by name; NaN and infinities are floats.
        file, offset: where its record stands.
    """

    run_id: str
    script: str
    version: str
    status: str
    fingerprint: str
    place: str
    started: str
    ended: str
    seconds: float
    peak_memory_mb: float
    steps: int
    host: str
    seed: int
    resumed: bool
    model_dir: str
    source_digest: str
    git_commit: str
    error_summary: str
    parameters: Mapping[str, Any]
    metrics: Mapping[str, float]
    file: str
    offset: int

    @property
    def name(self) -> str:
        """`SCRIPT:VERSION`, or the script alone where it could not be loaded."""
        return f"{self.script}:{self.version}" if self.version else self.script


class History:
    """The runs of a project, followed as they come.

    Args:
        project: owns the journals.
        warn: told of lines that are damaged or cannot be read.
    """

    def __init__(self, project: Project, warn: Callable[[str], None] = lambda message: None) -> None:
        self.project = project
        self._index = Index(project, warn)
        self._parsed: dict[str, Any] = {}

    def __enter__(self) -> History:
        self.refresh()
        return self

    def __exit__(self, *_: object) -> None:
        self._index.close()

    def refresh(self) -> bool:
        """Take in what was recorded since; return whether anything was.

        Raises: RecordError: a journal cannot be read.
        """
        return self._index.refresh()

    def runs(self, selections: Sequence[Selection] = ()) -> list[Run]:
        """Return all runs, or those of the selected versions, in the order in which they ended."""
        return self._chosen("", (), selections)

    def latest(self, selections: Sequence[Selection] = ()) -> list[Run]:
        """Return the last run of each version, in the order in which they ended.

        A script that could not be loaded counts as a version of its own, until a version of it has run since.
        """
        last = "SELECT run_id FROM (SELECT run_id, max(place) FROM runs GROUP BY script, version)"
        chosen = self._chosen(f"WHERE run_id IN ({last})", (), selections)
        found = {(run.script, run.version): run for run in chosen}
        since: dict[str, str] = {}
        for run in found.values():
            if run.version:
                since[run.script] = max(since.get(run.script, ""), run.place)
        return [run for run in found.values() if run.version or run.place > since.get(run.script, "")]

    def find(self, text: str) -> Run:
        """Return the run that `SCRIPT:VERSION` means, the last of that version, or `SCRIPT:VERSION@RUN_ID`.

        Raises: ReportError: there is none.
        """
        script, version = self._named(text)
        runs, run_id = self.runs_of(script, version), ""
        if not runs and "@" in version:
            version, _, run_id = version.rpartition("@")
            runs = self.runs_of(script, version)
        chosen = [run for run in runs if run.run_id.startswith(run_id)]
        if not chosen:
            raise self._not_found(script, version, run_id, [run.run_id for run in runs])
        return chosen[-1]

    def _named(self, text: str) -> tuple[str, str]:
        selection = parse_selection(text)
        if selection.version is None:
            raise ReportError(f"expected SCRIPT:VERSION, but got {text!r}{self._versions_of(selection.script)}")
        return selection.script, selection.version

    def runs_of(self, script: str, version: str) -> list[Run]:
        """Return all runs of a version, in the order in which they ended."""
        return self._chosen("WHERE script = ? AND version = ?", [script, version], ())

    def with_id(self, run_id: str) -> Run | None:
        """Return the run of an id; None if none is recorded."""
        return next(iter(self._chosen("WHERE run_id = ?", [run_id], ())), None)

    def details(self, run: Run) -> dict[str, Any]:
        """Return all that the journal keeps of a run: libraries, error, host and so on; empty if it is gone."""
        try:
            with (self.project.outputs_dir / run.file).open("rb") as file:
                file.seek(run.offset)
                values = json.loads(file.readline())
        except (OSError, ValueError):
            return {}
        values = printable_values(values)
        return values if isinstance(values, dict) and values.get("run_id") == run.run_id else {}

    def folder(self, run: Run) -> Path | None:
        """Return the model directory of a run; None where the record names none of this project."""
        return self.project.recorded_dir(run.model_dir)

    def _chosen(self, where: str, values: Sequence[object], selections: Sequence[Selection]) -> list[Run]:
        try:
            return self._read(self._index.select(where, values), selections)
        except DAMAGED:
            self._index.make_anew()
            return self._read(self._index.select(where, values), selections)

    def _read(self, rows: Iterable[tuple[Any, ...]], selections: Sequence[Selection]) -> list[Run]:
        runs: list[Run] = []
        iterator = iter(rows)
        while chunk := list(islice(iterator, _CHUNK)):
            # many runs have the same parameters: they share one value
            new = list({row[_PARAMETERS]: None for row in chunk if row[_PARAMETERS] not in self._parsed})
            self._parsed.update(zip(new, _from_json(new), strict=True))
            found = map(self._run, chunk, _from_json([row[_METRICS] for row in chunk]))
            runs.extend(run for run in found if not selections or is_selected(run, selections))
        return runs

    def _run(self, row: tuple[Any, ...], metrics: dict[str, Any]) -> Run:
        if '"nan"' in row[_METRICS] or 'inf"' in row[_METRICS]:
            metrics = {name: float(value) for name, value in metrics.items()}
        values = [*row[:_PARAMETERS], self._parsed[row[_PARAMETERS]], metrics, *row[_METRICS + 1 :]]
        values[_RESUMED] = bool(values[_RESUMED])
        run = Run(*values)
        # one that was not seen to end is what it is now
        is_lost = run.status == RUNNING and not goes_on(self.project, run.model_dir)
        return replace(run, status=Status.INTERRUPTED) if is_lost else run

    def _not_found(self, script: str, version: str, run_id: str, run_ids: Sequence[str]) -> ReportError:
        wanted = f"{script}:{version}"
        if run_ids:
            recent = ", ".join(reversed(run_ids[-5:]))
            return ReportError(f"{wanted} has no run {run_id}; its last ones are {recent}")
        names = [run.name for run in self.latest()]
        near = did_you_mean(wanted, names) or self._versions_of(script)
        return ReportError(f"no run of {wanted} is recorded{near}")

    def _versions_of(self, script: str) -> str:
        names = [run.name for run in self.latest()]
        of_script = [name for name in names if name.startswith(f"{script}:")] or names
        listed = ", ".join(of_script[:10]) + (", ..." if len(of_script) > 10 else "")
        return f"; there are {listed}" if names else "; nothing has been recorded, `mlpipeline -r` does"


def _from_json(texts: Sequence[str]) -> list[Any]:
    """Return what texts of JSON say; read as one, their equal keys share their memory."""
    values: list[Any] = json.loads(f"[{','.join(texts)}]")
    return values


def is_selected(run: Run, selections: Sequence[Selection]) -> bool:
    """Tell whether a run is of one of the selected versions; none selected means all."""
    return not selections or any(selection.includes(run.script, run.version) for selection in selections)


def names_of(runs: Iterable[Run], kind: str) -> Iterator[str]:
    """Yield each name of a metric or parameter that runs have, once. Args: kind: `metrics` or `parameters`."""
    seen: dict[str, None] = {}
    for run in runs:
        seen.update(dict.fromkeys(getattr(run, kind)))
    yield from seen
