"""Runs each job in a fresh interpreter; for systems without a safe fork, and slower by the imports."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time

from mlpipeline.errors import EngineError
from mlpipeline.records import Job
from mlpipeline.runner.engine import Exit, child_environment, interpreter_command

_POLL_SECONDS = 0.01


class SpawnEngine:
    """One process a run; its standard input stays open as long as the daemon lives."""

    def __init__(self) -> None:
        self._processes: dict[str, subprocess.Popen[str]] = {}

    def start(self, job: Job) -> None:
        try:
            process = subprocess.Popen(
                interpreter_command("mlpipeline.runner.child"),
                env=child_environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                text=True,
            )
        except OSError as error:
            raise EngineError(f"no process can be started: {error}") from error
        self._processes[job.run_id] = process
        assert process.stdin is not None
        with contextlib.suppress(OSError):  # it has died already; the next wait tells
            process.stdin.write(job.to_json() + "\n")
            process.stdin.flush()

    def wait(self, seconds: float) -> list[Exit]:
        deadline = time.monotonic() + seconds
        while not (ended := self._ended()) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        return ended

    def signal(self, run_id: str, number: int) -> None:
        process = self._processes.get(run_id)
        if process is None or process.poll() is not None:
            return
        if number == signal.SIGKILL:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)

    def close(self) -> None:
        for run_id in list(self._processes):
            self.signal(run_id, signal.SIGKILL)
            self._forget(run_id)

    def _ended(self) -> list[Exit]:
        codes = {run_id: process.poll() for run_id, process in self._processes.items()}
        ended = [Exit(run_id, code, 0.0) for run_id, code in codes.items() if code is not None]
        for run_id in [one.run_id for one in ended]:
            self._forget(run_id)
        return ended

    def _forget(self, run_id: str) -> None:
        process = self._processes.pop(run_id)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)  # what the run started itself must not outlive it
        assert process.stdin is not None
        with contextlib.suppress(OSError):
            process.stdin.close()
        process.wait()
