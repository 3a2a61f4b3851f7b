"""The daemon: from the queue file to recorded results.

Daemon.run
    _fill_slots               while a slot is free
        QueueReader.read      the queue, as it is now
        plan.next_run         the one decision
        _list or _start       claim the directory, record the start, hand the job to the engine
    Engine.wait               until a process ends
    _finish                   outcome.judge -> journal -> outputs file -> screen
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
import uuid
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from mlpipeline.board import Board, process_started
from mlpipeline.errors import ConfigError, ModelDirError
from mlpipeline.project import Project
from mlpipeline.records import Job, Result, Status, now
from mlpipeline.runner.active import GRACE_SECONDS, Active
from mlpipeline.runner.catalog import Catalog
from mlpipeline.runner.engine import Engine, Exit, gpu_devices, threads_per_run
from mlpipeline.runner.mode import Mode
from mlpipeline.runner.options import Options, check_versions
from mlpipeline.runner.outcome import judge, last_printed, read_result
from mlpipeline.runner.plan import Candidate, Choice, List, Plan, Start, Wait, next_run
from mlpipeline.runner.queue import ScriptSource
from mlpipeline.runner.screen import Screen
from mlpipeline.runner.session import MOST_RESTLESS, Session
from mlpipeline.runner.sources import Sources, signature
from mlpipeline.runner.workplace import Places, Taken, Workplace

_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_TICK_SECONDS = 0.1
_IDLE_SECONDS = 0.25
_BUSY_SECONDS = 0.5
_SETTLING_SECONDS = 0.5
_LOOK_SECONDS = 1.0
LISTING_SECONDS = 60.0


@dataclass
class Daemon:
    """Runs a queue with one engine in one workplace."""

    project: Project
    mode: Mode
    options: Options
    engine: Engine
    workplace: Workplace
    screen: Screen
    queue: ScriptSource

    def __post_init__(self) -> None:
        self.session = Session(self.options, self.workplace.last)
        self.catalog = Catalog(self.project, self.session.is_settled)
        self._active: dict[str, Active] = {}
        self._elsewhere: dict[str, float] = {}
        self._unlistable: dict[str, str] = {}
        self._checked: set[str] = set()
        self._free_slots = list(range(self.options.slots))
        self._devices = gpu_devices()
        self._threads = threads_per_run(self.options.slots)
        self._listings = Path(tempfile.mkdtemp(prefix="mlpipeline-listing-"))
        self._pid_started = process_started(os.getpid())
        self._look_at = 0.0
        self._interrupts = 0
        self._stopping = False
        self._told_counts: tuple[int, ...] = ()
        self._scripts: list[str] = []

    def run(self) -> int:
        """Run until nothing is left, a failure halts the mode, or a signal comes.

        Returns: exit status: 0 all succeeded, 1 a run failed, 130 interrupted.
        Raises: MlpError: the queue or a selection has no meaning, or nothing can be recorded any more.
        """
        previous = {number: signal.signal(number, self._on_signal) for number in _STOP_SIGNALS}
        try:
            self.workplace.open(self.screen)
            while self._turn():
                pass
            self.screen.show(self._board())
        finally:
            self.close()
            for number, handler in previous.items():
                signal.signal(number, handler)
        if self._interrupts:
            return 130
        if self.queue.missing and self.session.is_empty():
            raise ConfigError(f"nothing could run: {', '.join(self.queue.missing[:5])} not found")
        return 1 if self.session.failed else 0

    def list_all(self) -> dict[str, str]:
        """List the versions of every queued script; return, in the order of the queue, why a listing failed, or ""."""
        self.workplace.open(self.screen)
        self._scripts = self.queue.read()
        for script in list(self._scripts):
            self._list(script)
            while self._active:
                for ended in self.engine.wait(_TICK_SECONDS):
                    self._finish(ended)
        return {script: self._unlistable.get(script, "") for script in self._scripts}

    def close(self) -> None:
        """Kill what still runs and give everything back."""
        self.engine.close()
        self.workplace.close()
        shutil.rmtree(self._listings, ignore_errors=True)

    def _turn(self) -> bool:
        """Fill the slots, wait a moment, take in what has ended; return whether to go on."""
        choice = self._fill_slots()
        if not self._active and (self._stopping or (choice is None and not self._may_come_more())):
            return False
        self._show()
        for ended in self.engine.wait(_TICK_SECONDS if self._active else _IDLE_SECONDS):
            self._finish(ended)
        self.workplace.tend()
        self._heed_signals()
        self._heed_deadlines()
        if self.options.relays_output:
            for active in self._active.values():
                self._relay(active, active.new_output())
        return True

    def _may_come_more(self) -> bool:
        # a queue file that was written a moment ago may still be half saved
        return self.options.watches or time.time() - self.queue.changed_at() < _SETTLING_SECONDS

    def _fill_slots(self) -> Choice:
        """Start what can be started; return the choice that ended it."""
        if self._stopping:
            return Wait()
        if not self._free_slots:
            self._look_at_queue()
            return Wait()
        self._scripts = self.queue.read()
        self.catalog.forget_changed(self._scripts)
        while self._free_slots and not self._stopping:
            choice = next_run(self._scripts, self.catalog.plans, self._listing(), self._busy_dirs())
            if isinstance(choice, Start):
                self._start(choice.candidate)
            elif isinstance(choice, List):
                self._list(choice.script)
            else:
                return choice
        return Wait()

    def _look_at_queue(self) -> None:
        """Read the queue file now and then while no slot is free, for its warnings and counts."""
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + _LOOK_SECONDS
            self._scripts = self.queue.read()

    def _listing(self) -> set[str]:
        return {active.job.script for active in self._active.values() if active.candidate is None}

    def _busy_dirs(self) -> set[str]:
        moment = time.monotonic()
        self._elsewhere = {folder: until for folder, until in self._elsewhere.items() if until > moment}
        return {active.candidate.model_dir for active in self._active.values() if active.candidate} | set(
            self._elsewhere
        )

    def _list(self, script: str) -> None:
        run_id = new_run_id()
        folder = self._listings / run_id
        places = Places(str(folder), str(folder / "result.json"), str(folder / "stdout.log"))
        try:
            sources = self.catalog.sources(script)
        except FileNotFoundError:
            self._scripts.remove(script)  # it vanished since the queue was read; the next reading says so
            return
        except OSError as error:
            path = self.project.script_path(script)
            unread = Sources((path,), (), "", signature([path]))
            self._fail_listing(script, unread, _failed(run_id, f"{path} cannot be read: {error.strerror}"))
            return
        self._begin(self._job(run_id, script, None, places, sources, slot=self._free_slots[0]), None, sources)

    def _start(self, candidate: Candidate) -> None:
        taken = self.workplace.take(candidate, uses_history=self.options.uses_history)
        if taken is Taken.BUSY:
            self._elsewhere[candidate.model_dir] = time.monotonic() + _BUSY_SECONDS
            return
        if taken is Taken.DONE:
            self.session.skipped.add((candidate.script, candidate.name))
            del self.catalog.plans[candidate.script].pending[candidate.name]
            return
        run_id = new_run_id()
        slot = self._free_slots[0]
        sources = self.catalog.entries[candidate.script].sources
        places = self.workplace.places(candidate, run_id, slot)
        job = self._job(run_id, candidate.script, candidate, places, sources, slot)
        self.workplace.begin(job, candidate)
        self._begin(job, candidate, sources)
        self.screen.started(job.script, candidate.name, resumed=not job.clean_model_dir)

    def _begin(self, job: Job, candidate: Candidate | None, sources: Sources) -> None:
        self._active[job.run_id] = Active(job, candidate, sources, self._free_slots.pop(0))
        self.engine.start(job)

    def _job(
        self, run_id: str, script: str, candidate: Candidate | None, places: Places, sources: Sources, slot: int
    ) -> Job:
        keeps_files = self.mode.keeps_model_dir and candidate is not None
        return Job(
            run_id=run_id,
            script=script,
            version=candidate.name if candidate else None,
            root=str(self.project.root),
            models_dir=str(self.project.models_dir),
            model_dir=places.model_dir,
            result_file=places.result_file,
            output_file=places.output_file,
            log_file=places.log_file,
            is_test=self.mode.runs_one_step,
            keeps_files=keeps_files,
            clean_model_dir=not (candidate and self._resumes(candidate)),
            seed=candidate.seed if candidate else 0,
            device=self._devices[slot % len(self._devices)] if self._devices else None,
            threads=self._threads,
            imports=sources.imports,
            sources=tuple(map(str, sources.files)),
            source_digest=sources.digest,
            study_file=str(self.project.study_file(script, sources.digest)) if keeps_files else "",
        )

    def _resumes(self, candidate: Candidate) -> bool:
        last = self.workplace.last(candidate.script, candidate.name)
        if not self.options.uses_history or last is None:
            return False
        return Status(last.status).can_resume and last.fingerprint == candidate.fingerprint

    def _finish(self, ended: Exit) -> None:
        active = self._active[ended.run_id]
        job = active.job
        found = read_result(Path(job.result_file), job.run_id)
        result = judge(job, found, ended, active.told, active.seconds())
        if self.options.relays_output:
            self._relay(active, active.new_output(is_last=True).removesuffix(result.error))
        if active.candidate is None:
            self._finish_listing(active, result)
        else:
            self._finish_run(active, active.candidate, result)
        del self._active[ended.run_id]
        self._free_slots.append(active.slot)
        if not Status(result.status).is_done and self.mode.halts_on_failure:
            self._stop_runs(Status.INTERRUPTED)

    def _finish_run(self, active: Active, candidate: Candidate, result: Result) -> None:
        self.workplace.end(active.job, candidate, result)
        if self.session.add(candidate, result, self.catalog.current_fingerprint(candidate)):
            self.screen.warn(
                f"{candidate.script}:{candidate.name} has changed during each of {MOST_RESTLESS + 1} runs; "
                "it does not run again before the next start"
            )
        plan = self.catalog.plans.get(candidate.script, Plan())
        # a plan made meanwhile from a changed script holds another fingerprint: its version may be due again
        listed = plan.pending.get(candidate.name)
        if listed and self.session.is_settled(candidate.script, candidate.name, listed.fingerprint):
            del plan.pending[candidate.name]
        self.screen.ended(candidate.script, candidate.name, result)

    def _finish_listing(self, active: Active, result: Result) -> None:
        script = active.job.script
        printed = last_printed(active.job)
        shutil.rmtree(Path(active.job.result_file).parent, ignore_errors=True)
        if result.status == Status.SUCCEEDED:
            if script not in self._checked:  # once: later an edit may take a version away
                check_versions(self.options.only, script, [str(version["name"]) for version in result.versions])
                self._checked.add(script)
            try:
                self.catalog.store(script, active.sources, result)
                return
            except ModelDirError as error:
                result = _failed(result.run_id, str(error))
        if active.told is None or active.told[0] is not Status.INTERRUPTED:
            self._fail_listing(script, active.sources, replace(result, error=printed + result.error))

    def _fail_listing(self, script: str, sources: Sources, result: Result) -> None:
        self.catalog.store_failure(script, sources)
        self._unlistable[script] = result.error_summary
        self.workplace.end_listing(script, sources.digest, result)
        self.session.count(result)
        self.screen.ended(script, None, result)

    def _on_signal(self, *_: object) -> None:
        self._interrupts += 1

    def _heed_signals(self) -> None:
        if self._interrupts and not self._stopping:
            hint = f"; runs have {GRACE_SECONDS:.0f} s to end, Ctrl-C again ends them at once" if self._active else ""
            self.screen.say(f"stopping{hint}")
            self._stop_runs(Status.INTERRUPTED)
        if self._interrupts > 1:
            for active in self._active.values():
                active.end_grace()

    def _stop_runs(self, status: Status) -> None:
        self._stopping = True
        for active in self._active.values():
            active.tell(status, self.engine)

    def _heed_deadlines(self) -> None:
        limit = self.options.timeout_seconds
        # a listing may be the first to import a library, which is nothing that the script does
        listing_limit = None if limit is None else max(limit, LISTING_SECONDS)
        for active in self._active.values():
            active.heed_deadlines(limit if active.candidate else listing_limit, self.engine)

    def _relay(self, active: Active, text: str) -> None:
        if text and active.candidate is not None:
            self.screen.printed(text, f"{active.job.version}: " if self.options.slots > 1 else "")

    def _show(self) -> None:
        board = self._board()
        self.screen.show(board)
        if board.counts() != self._told_counts:
            self._told_counts = board.counts()
            self.workplace.show(board)

    def _board(self) -> Board:
        rows = tuple(active.row() for active in self._active.values() if active.candidate is not None)
        plans = [self.catalog.plans.get(script) for script in self._scripts]
        return Board(
            mode=self.mode.name,
            pid=os.getpid(),
            pid_started=self._pid_started,
            running=rows,
            queued=max(0, sum(len(plan.pending) for plan in plans if plan) - len(rows)),
            unlisted=sum(plan is None for plan in plans),
            done=self.session.done,
            failed=self.session.failed,
            skipped=len(self.session.skipped),
            slots=self.options.slots,
            mean_seconds=self.session.mean_seconds(),
        )


def _failed(run_id: str, why: str) -> Result:
    return Result(run_id, Status.FAILED, now(), error=why, error_summary=why)


def new_run_id() -> str:
    """Return an id that is unique and sorts by time."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid.uuid4().hex[:12]}"
