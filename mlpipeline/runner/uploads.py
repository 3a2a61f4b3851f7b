"""The process that uploads to MLflow beside the runs; whatever becomes of it, nothing waits for it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable

from mlpipeline.project import Project
from mlpipeline.runner.engine import interpreter_command

_NICENESS = 10
_SHORT_RUN_SECONDS = 5.0
FIRST_PAUSE_SECONDS = 5.0
_LONGEST_PAUSE_SECONDS = 300.0
IDLE_SECONDS = 60.0
_WRONG_USE = 2
_NEVER = float("inf")
_LARGEST_LOG_BYTES = 1_000_000
_LONGEST_MESSAGE_BYTES = 2000


class Uploads:
    """Keeps one process that follows the journals, for as long as something runs.

    Its standard input says when to look and, by its end, that nothing more comes: it sees the end of the daemon too,
    however that ends, uploads the rest and ends by itself.

    Args:
        project: whose records.
        warn: told once when uploads fail.
        say: told at the end where to look.
        pause_seconds: after the first failure; it grows with each.
        idle_seconds: after which the process ends where nothing runs.
    """

    def __init__(
        self,
        project: Project,
        warn: Callable[[str], None],
        say: Callable[[str], None],
        *,
        pause_seconds: float = FIRST_PAUSE_SECONDS,
        idle_seconds: float = IDLE_SECONDS,
    ) -> None:
        self._project = project
        self._warn = warn
        self._say = say
        self._process: subprocess.Popen[bytes] | None = None
        self._log_size = 0
        self._running = 0
        self._wanted_at = _NEVER
        self._is_possible = True
        self._has_warned = False
        self._pause = pause_seconds
        self._idle_seconds = idle_seconds
        self._not_before = 0.0
        self._last_news = 0.0

    def began(self) -> None:
        """A run has begun; it is shown while it goes on, if it takes longer than a moment."""
        self._running += 1
        self._wanted_at = min(self._wanted_at, time.monotonic() + _SHORT_RUN_SECONDS)

    def ended(self, *, is_run: bool) -> None:
        """A record of an end is on disk. Args: is_run: it had begun, and is not that of a listing."""
        self._running -= is_run
        self._wanted_at = self._last_news = time.monotonic()
        stream = self._process.stdin if self._process is not None else None
        if stream is not None and not stream.closed:
            with contextlib.suppress(OSError):  # it has ended, which the next look sees, or has much to do already
                os.write(stream.fileno(), b"\n")
        self.tend()

    def tend(self) -> None:
        """Start the process where it is wanted and not there, and take in how it has ended."""
        moment = time.monotonic()
        if self._process is not None and self._process.poll() is not None:
            self._take_end(self._process.returncode, moment)
        if self._process is not None:
            if not self._running and moment > self._last_news + self._idle_seconds:
                self._dismiss(self._process)
        elif self._is_possible and moment >= max(self._wanted_at, self._not_before):
            self._start()

    def close(self) -> None:
        """Let the process upload the rest and end by itself."""
        if self._process is None and self._wanted_at < _NEVER and not self._has_warned:
            self._start()
        if self._process is None:
            return
        self._dismiss(self._process)
        if self._process.poll() is not None:
            return
        if not self._has_warned:
            self._say(f"uploads to MLflow go on in the background; {self._project.mlflow_log_file} tells of problems")
        # a process that outlives the one that started it is no leak
        self._process.returncode = 0

    def _start(self) -> None:
        path = self._project.mlflow_log_file
        command = [*interpreter_command("mlpipeline.cli.main"), "-C", str(self._project.root)]
        try:
            self._log_size = path.stat().st_size if path.exists() else 0
            if self._log_size > _LARGEST_LOG_BYTES:
                path.unlink()
                self._log_size = 0
            with path.open("ab") as log:
                self._process = subprocess.Popen(
                    [*command, "mlflow-sync", "--quiet", "--follow"],
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=log,
                    bufsize=0,
                    cwd=self._project.root,
                    env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
                    start_new_session=True,  # Ctrl-C is meant for the daemon
                )
            assert self._process.stdin is not None
            os.set_blocking(self._process.stdin.fileno(), False)
            os.setpriority(os.PRIO_PROCESS, self._process.pid, _NICENESS)
        except OSError as error:  # no memory, a full disk; or it has ended already
            if self._process is None:
                self._fail(str(error), time.monotonic())

    def _dismiss(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdin is not None and not process.stdin.closed:
            process.stdin.close()
            self._wanted_at = _NEVER

    def _take_end(self, status: int, moment: float) -> None:
        assert self._process is not None
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process = None
        if status:  # what it has not uploaded remains to be done
            self._wanted_at = moment
            self._is_possible = status != _WRONG_USE
            self._fail(self._last_message() or f"the process ended with status {status}", moment)

    def _fail(self, why: str, moment: float) -> None:
        self._not_before = moment + self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE_SECONDS)
        if not self._has_warned:
            self._has_warned = True
            self._warn(f"no uploads to MLflow for now: {why}")

    def _last_message(self) -> str:
        try:
            with self._project.mlflow_log_file.open("rb") as file:
                file.seek(max(self._log_size, os.fstat(file.fileno()).st_size - _LONGEST_MESSAGE_BYTES))
                lines = file.read().decode(errors="replace").strip().splitlines()
        except OSError:
            return ""
        return lines[-1].removeprefix("mlpipeline: ") if lines else ""
