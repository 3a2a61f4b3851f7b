"""The process of a run: it prepares itself, executes the job and leaves a result file.

run_job
    prepare              output file, working directory, import path, device, threads
    _Run.work             lock -> libraries -> seed -> execute.load_model -> list_versions or run_version,
                          of a version of a search within Trial.follow
    files.replace_file    the result, written aside and moved into place
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.metadata
import itertools
import os
import random
import resource
import signal
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path
from typing import Any, NoReturn

from filelock import FileLock, Timeout

from mlpipeline.description import describe_version
from mlpipeline.errors import MlpError, ModelDirError
from mlpipeline.files import replace_file
from mlpipeline.model import Model
from mlpipeline.project import ARTIFACTS_FOLDER, METRICS_FILE, PROGRESS_FILE
from mlpipeline.records import Job, Result, Status, now
from mlpipeline.reporting import Recorder, listen
from mlpipeline.runner.engine import EXIT_NO_RESULT
from mlpipeline.runner.execute import list_versions, load_model, run_version
from mlpipeline.runner.sources import is_project_file
from mlpipeline.runner.surroundings import finish_threads_and_hooks, flush, prepare, restore_output
from mlpipeline.runner.trials import Pruned, Trial
from mlpipeline.scripting import log_to
from mlpipeline.versions import Version

LOCK_SECONDS = 15.0
_RUNNER_FOLDER = os.path.dirname(os.path.abspath(__file__))
_PACKAGE_FOLDER = os.path.dirname(_RUNNER_FOLDER)
_OUTER_FRAMES = (_RUNNER_FOLDER, "<frozen importlib")
_REHEARSALS = 3
_SEEDED = ("numpy", "torch")
_FIRST_OF_SCRIPT = "mlpipeline.runner.first_module_of_the_script"  # a mark in sys.modules; see loaded_sources


def run_job(job: Job) -> NoReturn:
    """Execute a job in this process, leave its result file, and end the process."""
    code = EXIT_NO_RESULT
    process = os.getpid()
    try:
        prepare(job)
        result = _Run(job).result()
        if os.getpid() == process:  # a process that the script has forked may come back here too
            finish_threads_and_hooks()
            replace_file(Path(job.result_file), result.to_json())
            code = 0
    except BaseException:  # the last frame of the process: nothing may unwind into the fork server
        with contextlib.suppress(OSError, ValueError):  # the script may have closed its standard error
            traceback.print_exc()
    finally:
        flush()
        os._exit(code)


class _StillInUseError(ModelDirError):
    """The process of an earlier run, whose daemon is gone, still holds the model directory."""


class _Run:
    """One job, from its start to its result."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self._started = time.perf_counter()
        self._lock: FileLock | None = None
        self._values: dict[str, Any] = {}

    def result(self) -> Result:
        """Do the work; whatever the script does wrong becomes a value."""
        try:
            self.work()
            return self._result(Status.SUCCEEDED)
        except Pruned as pruned:
            self._values["metrics"] = pruned.metrics
            return self._result(Status.PRUNED, error_summary=str(pruned))
        except KeyboardInterrupt as error:
            return self._failure(Status.INTERRUPTED, error, "interrupted")
        except SystemExit as error:
            return self._failure(Status.FAILED, error, f"the script called sys.exit({error.code!r})")
        except _StillInUseError as error:  # nothing was wrong with the script: what is there can be resumed
            return self._failure(Status.CRASHED, error, str(error))
        except BaseException as error:  # user code may raise anything
            return self._failure(Status.FAILED, error, summarize(error))

    def work(self) -> None:
        """List the versions of a script, or run one."""
        job = self.job
        if job.keeps_files:
            self._hold_lock()
        _load_what_is_seeded(job.imports)
        seed_everything(job.seed)
        seeded = [name for name in _SEEDED if name in sys.modules]
        sys.modules.setdefault(_FIRST_OF_SCRIPT, sys.modules[__name__])
        model = load_model(job)
        if job.version is None:
            self._values["versions"] = tuple(list_versions(job, model))
            return
        if seeded != [name for name in _SEEDED if name in sys.modules]:
            seed_everything(job.seed)
        model._source_digest = job.source_digest
        model._artifacts_folder = Path(job.model_dir, ARTIFACTS_FOLDER, job.run_id)
        version = model.versions.get(job.version)
        trial = Trial.of(job, model, version)
        if trial is None:
            listen(_recorder(job))
            self._run_version(job, model, version)
        else:
            self._values["parameters"] = describe_version(trial.version)
            listen(_recorder(job), trial)
            trial.follow(lambda: self._run_version(trial.job, model, trial.version))
        if job.keeps_files:
            _copy_sources(job, loaded_sources(job))  # what training has loaded late

    def _run_version(self, job: Job, model: Model, version: Version) -> dict[str, float]:
        metrics, outputs, steps = run_version(job, model, self._model_dir_is_ready, version)
        self._values.update(metrics=metrics, outputs=outputs, steps=steps)
        return metrics

    def _hold_lock(self) -> None:
        lock = FileLock(Path(self.job.model_dir, ".lock"), timeout=LOCK_SECONDS)
        Path(self.job.model_dir).mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire()
        except Timeout:
            raise _StillInUseError(
                f"{self.job.model_dir} is still in use by the process of an earlier run; "
                "end that process, then start again"
            ) from None
        self._lock = lock

    def _model_dir_is_ready(self) -> None:
        """Mend what the script's own clean_model_dir may have removed, and keep the code that runs."""
        if not self.job.keeps_files:
            return
        if not Path(self.job.model_dir, ".lock").exists():
            self._hold_lock()
        restore_output(Path(self.job.output_file))
        _copy_sources(self.job, loaded_sources(self.job))

    def _failure(self, status: Status, error: BaseException, summary: str) -> Result:
        text = script_traceback(error)
        if self.job.keeps_files:
            with contextlib.suppress(OSError, ValueError):  # the script may have closed it
                sys.stderr.write(text)
        return self._result(status, error=text, error_summary=summary)

    def _result(self, status: Status, **values: Any) -> Result:
        job = self.job
        return Result(
            run_id=job.run_id,
            status=status,
            ended=now(),
            seconds=round(time.perf_counter() - self._started, 6),
            peak_memory_mb=peak_memory_mb(resource.getrusage(resource.RUSAGE_SELF)),
            libraries=_library_versions(job.imports),
            sources=tuple(str(path) for path in loaded_sources(job)),
            **self._values,
            **values,
        )


def _recorder(job: Job) -> Recorder:
    metrics_file = Path(job.model_dir, METRICS_FILE) if job.keeps_files else None
    return Recorder(job.run_id, Path(job.result_file).with_name(PROGRESS_FILE), metrics_file)


def import_library(name: str) -> None:
    """Import `package.module`, or `package.module:name` where the name may be a module too.

    Raises: whatever the library raises, ImportError where it is not installed.
    """
    module_name, _, member = name.partition(":")
    module = importlib.import_module(module_name)
    if member and member != "*" and not hasattr(module, member):
        importlib.import_module(f"{module_name}.{member}")


def rehearse() -> None:
    """Do what every run does, in the fork server and without a script.

    What happens once in a process, such as looking up source lines and specialising code, has then happened before
    the fork: it costs a child milliseconds and copies of the server's memory.
    """
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(_REHEARSALS):
            with FileLock(Path(folder, ".lock")):
                replace_file(Path(folder, "file"), "")
            seed_everything(0)
            log_to(None, "")


def _load_what_is_seeded(imports: tuple[str, ...]) -> None:
    """Import NumPy and torch where the script names them, so that its first random number is a seeded one."""
    named = {name.partition(":")[0].partition(".")[0] for name in imports}
    for name in _SEEDED:
        if name in named:
            with contextlib.suppress(ImportError):  # the script may know how to do without
                importlib.import_module(name)


def seed_everything(seed: int) -> None:
    """Seed random, and NumPy and torch where they are loaded."""
    random.seed(seed)
    if (numpy := sys.modules.get("numpy")) is not None:
        numpy.random.seed(seed)
    if (torch := sys.modules.get("torch")) is not None:
        torch.manual_seed(seed)


def loaded_sources(job: Job) -> list[Path]:
    """Return the project-local files behind the modules that this process has loaded."""
    root, models_dir = Path(job.root), Path(job.models_dir)
    found: dict[Path, None] = {Path(path): None for path in job.sources}
    for name in list(itertools.takewhile(lambda name: name != _FIRST_OF_SCRIPT, reversed(sys.modules))):
        # the newest only: to look at every library's module would copy the page of each from the fork server
        file = getattr(sys.modules[name], "__file__", None)
        if file and str(file).startswith((job.root, job.models_dir)):
            path = Path(os.path.abspath(file))
            if is_project_file(path, root, models_dir):
                found[path] = None
    return list(found)


def script_traceback(error: BaseException) -> str:
    """Return a traceback that begins at the script, without the frames of the runner around it.

    Of an error of the pipeline's own only the script's lines are named.
    """
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(_OUTER_FRAMES):
        frames = frames.tb_next
    if isinstance(error, MlpError):  # its message says all but where in the script
        places = [place for place in traceback.extract_tb(frames) if not place.filename.startswith(_PACKAGE_FOLDER)]
        return "".join([*traceback.format_list(places), f"{error}\n"])
    return "".join(traceback.format_exception(type(error), error, frames))


def peak_memory_mb(usage: resource.struct_rusage) -> float:
    """Return the largest resident set in MiB; the unit of ru_maxrss is the platform's."""
    return round(usage.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10), 1)


def _copy_sources(job: Job, sources: list[Path]) -> None:
    target = Path(job.model_dir, "code", job.source_digest[:12])
    for path in sources:
        base = job.models_dir if path.is_relative_to(job.models_dir) else job.root
        copy = target / (path.relative_to(base) if path.is_relative_to(base) else path.name)
        if not copy.exists() and path.is_file():
            replace_file(copy, path.read_bytes())


def _library_versions(imports: tuple[str, ...]) -> dict[str, str]:
    names = {name.partition(":")[0].partition(".")[0] for name in imports} - sys.stdlib_module_names
    versions = {name: _library_version(name) for name in sorted(names) if name in sys.modules}
    return {name: version for name, version in versions.items() if version}


def _library_version(name: str) -> str:
    version = getattr(sys.modules[name], "__version__", None)
    if version is None:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            version = importlib.metadata.version(name)
    return str(version or "")


def summarize(error: BaseException) -> str:
    """Return an error in one line; one of the pipeline's own says all in its message."""
    return str(error) if isinstance(error, MlpError) else traceback.format_exception_only(error)[-1].strip()


def main() -> NoReturn:
    """Execute the job in JSON on standard input; where processes cannot be forked, each run starts here.

    Standard input stays open as long as the daemon lives.
    """
    job = Job.from_json(sys.stdin.readline())
    lifeline = os.dup(0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    threading.Thread(target=_end_with, args=(lifeline,), daemon=True).start()
    run_job(job)


def _end_with(lifeline: int) -> None:
    os.read(lifeline, 1)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
