"""Where runs keep their files and what is kept of them: test mode a scratch folder, execution mode the outputs."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol

from mlpipeline.board import Board
from mlpipeline.errors import RecordError
from mlpipeline.files import replace_file
from mlpipeline.locks import goes_on
from mlpipeline.project import RESULT_FILE, Project
from mlpipeline.records import RUNNING, Job, Record, Result, Status, now
from mlpipeline.runner.claims import Claims, settle_abandoned, settle_in
from mlpipeline.runner.followers import Followers
from mlpipeline.runner.git import GitState, Question
from mlpipeline.runner.journal import Journal, append_line
from mlpipeline.runner.outputs import output_block
from mlpipeline.runner.plan import Candidate, Outcome
from mlpipeline.runner.screen import Screen


class Taken(Enum):
    """What became of the wish to run a version."""

    OURS = "ours"
    BUSY = "busy"  # another daemon runs in its directory
    DONE = "done"  # another daemon has finished it


@dataclass(frozen=True)
class Places:
    """Where one run keeps its files."""

    model_dir: str
    result_file: str
    output_file: str
    log_file: str = ""


class Workplace(Protocol):
    """One for each mode."""

    def open(self, screen: Screen) -> None:
        """Make ready. Raises: RecordError: nothing can be kept here."""

    def last(self, script: str, version: str | None) -> Outcome | None:
        """Return how a version ended last, in any session."""

    def take(self, candidate: Candidate, *, uses_history: bool) -> Taken:
        """Claim a version's directory."""

    def places(self, candidate: Candidate, run_id: str, slot: int) -> Places:
        """Return where the run's files go; the folder is empty in test mode."""

    def begin(self, job: Job, candidate: Candidate) -> None:
        """Record that a run starts. Raises: RecordError."""

    def end(self, job: Job, candidate: Candidate, result: Result) -> None:
        """Record how it ended, and give its directory back. Raises: RecordError."""

    def end_listing(self, script: str, digest: str, result: Result) -> None:
        """Record that a script could not be loaded. Raises: RecordError."""

    def show(self, board: Board) -> None:
        """Keep the state of things for a second terminal."""

    def tend(self) -> None:
        """Look after what goes on beside the runs; called several times a second."""

    def close(self) -> None:
        """Give everything back."""


class Scratch:
    """Test mode: a temporary folder, and nothing kept."""

    def __init__(self) -> None:
        self._folder = Path()

    def open(self, screen: Screen) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="mlpipeline-"))

    def last(self, script: str, version: str | None) -> Outcome | None:
        return None

    def take(self, candidate: Candidate, *, uses_history: bool) -> Taken:
        return Taken.OURS

    def places(self, candidate: Candidate, run_id: str, slot: int) -> Places:
        model_dir = self._folder / f"model-{slot}"
        shutil.rmtree(model_dir, ignore_errors=True)
        model_dir.mkdir()
        run = self._folder / run_id
        return Places(str(model_dir), str(run / "result.json"), str(run / "stdout.log"))

    def begin(self, job: Job, candidate: Candidate) -> None:
        pass

    def end(self, job: Job, candidate: Candidate, result: Result) -> None:
        shutil.rmtree(Path(job.result_file).parent, ignore_errors=True)

    def end_listing(self, script: str, digest: str, result: Result) -> None:
        pass

    def show(self, board: Board) -> None:
        pass

    def tend(self) -> None:
        pass

    def close(self) -> None:
        if self._folder != Path():
            shutil.rmtree(self._folder, ignore_errors=True)


class Viewed(Scratch):
    """A dry run: what was recorded is read, and nothing is written."""

    def __init__(self, project: Project) -> None:
        super().__init__()
        self._project = project
        self._last: dict[tuple[str, str | None], Outcome] = {}

    def open(self, screen: Screen) -> None:
        journal = Journal(self._project, screen.warn)
        journal.refresh()
        self._last = dict(journal.last)
        for start in journal.open.values():
            status = RUNNING if goes_on(self._project, start.details.get("model_dir")) else Status.INTERRUPTED
            self._last[start.script, start.version] = Outcome(status, start.fingerprint)

    def last(self, script: str, version: str | None) -> Outcome | None:
        return self._last.get((script, version))


class Kept:
    """Execution mode: model directories, journal, outputs file, and locks against other daemons.

    Args:
        writes_logs: write the outputs file, and let scripts write to the log.
    """

    def __init__(self, project: Project, *, writes_logs: bool) -> None:
        self._project = project
        self._writes_logs = writes_logs
        self._claims = Claims(project)
        self._git = GitState(project.root, project.outputs_dir)
        self._starts: dict[str, tuple[Record, Question]] = {}
        self._journal: Journal
        self._followers: Followers | None = None

    def open(self, screen: Screen) -> None:
        try:
            self._project.model_ckpts_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RecordError(
                f"{self._project.outputs_dir} cannot be written: {error.strerror}; "
                "mend it, or name another folder with outputs_dir in mlp.config"
            ) from error
        self._journal = Journal(self._project, screen.warn)
        self._journal.refresh()
        self._followers = Followers(self._project, screen)
        for record, result in settle_abandoned(self._journal, self._claims, self._project):
            screen.say(f"{record.script}:{record.version} was left unfinished by an earlier daemon: {record.status}")
            self._followers.ended(record, is_run=False)
            if result is not None:
                self._write_output(record, result)

    def last(self, script: str, version: str | None) -> Outcome | None:
        return self._journal.last.get((script, version))

    def take(self, candidate: Candidate, *, uses_history: bool) -> Taken:
        if not self._claims.take(candidate.model_dir):
            return Taken.BUSY
        self._journal.refresh()
        settle_in(Path(candidate.model_dir), self._journal, self._project)
        last = self.last(candidate.script, candidate.name)
        if uses_history and last is not None and last.is_success_of(candidate.fingerprint):
            self._claims.release(candidate.model_dir)
            return Taken.DONE
        return Taken.OURS

    def places(self, candidate: Candidate, run_id: str, slot: int) -> Places:
        folder = Path(candidate.model_dir)
        log_file = str(self._project.log_file) if self._writes_logs else ""
        return Places(str(folder), str(folder / RESULT_FILE), str(folder / "stdout.log"), log_file)

    def begin(self, job: Job, candidate: Candidate) -> None:
        details = {
            "started": now(),
            "host": self._project.host,
            "pid": os.getpid(),
            "model_dir": os.path.relpath(candidate.model_dir, self._project.outputs_dir),
            "seed": job.seed,
            "resumed": not job.clean_model_dir,
            "source_digest": job.source_digest,
            "parameters": json.loads(candidate.parameters),
        }
        start = Record("start", job.run_id, job.script, job.version, RUNNING, candidate.fingerprint, details)
        self._journal.append(start)
        self._starts[job.run_id] = (start, self._git.ask())
        if self._followers:
            self._followers.began()

    def end(self, job: Job, candidate: Candidate, result: Result) -> None:
        start, question = self._starts.pop(job.run_id)
        details = {**start.details, **question.answer(), **result.kept()}
        end = Record("end", job.run_id, job.script, job.version, result.status, candidate.fingerprint, details)
        self._journal.append(end)
        self._write_output(end, result)
        self._claims.release(candidate.model_dir)
        if self._followers:
            self._followers.ended(end)

    def _write_output(self, end: Record, result: Result) -> None:
        if self._writes_logs:
            append_line(self._project.output_file, output_block(end, result))

    def end_listing(self, script: str, digest: str, result: Result) -> None:
        details = {"started": result.ended, "host": self._project.host, "pid": os.getpid(), **result.kept()}
        end = Record("end", result.run_id, script, None, result.status, digest, details)
        self._journal.append(end)
        if self._followers:
            self._followers.ended(end, is_run=False)

    def show(self, board: Board) -> None:
        with contextlib.suppress(OSError):  # whether the disk is full is for the journal to say
            replace_file(self._project.status_file, board.to_json())

    def tend(self) -> None:
        if self._followers:
            self._followers.tend()

    def close(self) -> None:
        if self._followers:
            self._followers.close()
        for _, question in self._starts.values():
            question.close()
        self._git.close()
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):  # another daemon may have told of itself
            if Board.from_json(self._project.status_file.read_text(encoding="utf-8")).pid == os.getpid():
                self._project.status_file.unlink()
