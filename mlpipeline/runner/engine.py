"""What the loop asks of an engine, and what the machine has to offer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple, Protocol

from mlpipeline.records import Job

EXIT_NO_RESULT = 74
"""The exit status of a process that could not leave its result; EX_IOERR of sysexits.h."""


class Exit(NamedTuple):
    """The end of a process.

    Args:
        code: exit status; minus the signal's number where a signal ended it.
        peak_memory_mb: resident set, MiB; 0 where it is not known.
    """

    run_id: str
    code: int
    peak_memory_mb: float


class Engine(Protocol):
    """Starts jobs in processes of their own and tells when they have ended."""

    def start(self, job: Job) -> None:
        """Begin a job. Raises: EngineError: no process can be started."""

    def wait(self, seconds: float) -> list[Exit]:
        """Return the processes that have ended, waiting for the first no longer than `seconds`."""

    def signal(self, run_id: str, number: int) -> None:
        """Send a signal to a run; SIGKILL reaches everything that it has started too."""

    def close(self) -> None:
        """Kill what is left."""


def local_engine() -> Engine:
    """Return the engine for this machine: forked children, or spawned ones where fork is not to be had."""
    if sys.platform == "linux":
        from mlpipeline.runner.fork_engine import ForkEngine

        return ForkEngine()
    from mlpipeline.runner.spawn_engine import SpawnEngine

    return SpawnEngine()


def child_environment() -> dict[str, str]:
    """Return the environment in which libraries are imported: one thread, and the same hashes in every process."""
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    huge_pages = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}  # cheaper to fork; children do not inherit it
    # pandas loads pyarrow where it is installed, and its allocator would start a thread, which rules out forking
    no_thread = {"JE_ARROW_MALLOC_CONF": "background_thread:false"}
    return {"PYTHONHASHSEED": "0", **huge_pages, **no_thread, **os.environ, **single}


def interpreter_command(module: str) -> list[str]:
    """Return the command that runs `main` of a module of this package in a new interpreter.

    The folder that the daemon was started in is not on its path: what lies there is not for it to import.
    """
    parent = str(Path(__file__).resolve().parents[2])
    code = (
        f"import sys; sys.path.insert(0, {parent!r}); from {module} import main; "
        f"sys.path.remove({parent!r}); {parent!r} in sys.path or sys.path.append({parent!r}); main()"
    )
    return [sys.executable, "-P", "-c", code]


def threads_per_run(slots: int) -> int:
    """Return how many threads each of so many runs gets: OMP_NUM_THREADS where it is set, else an even share."""
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(wanted) if wanted.isdigit() else cores // slots)


def gpu_devices() -> list[str]:
    """Return the CUDA devices that runs may use, without loading a library that would claim one."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [device for device in visible.split(",") if device.strip() not in ("", "-1")]
    try:
        listing = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return []
    count = sum(line.startswith("GPU ") for line in listing.stdout.splitlines())
    return [str(index) for index in range(count)] if listing.returncode == 0 else []
