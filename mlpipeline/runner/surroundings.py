"""What surrounds a run in its own process: output, folders, import path, device, threads, and a clean end."""

from __future__ import annotations

import atexit
import contextlib
import faulthandler
import logging
import os
import sys
import threading
from pathlib import Path
from typing import TextIO

from mlpipeline.records import Job, output_header
from mlpipeline.scripting import log_to

RUN_ID_VARIABLE = "MLPIPELINE_RUN_ID"


def prepare(job: Job) -> None:
    """Make this process one in which a script can run as if it had been started by itself in the project folder."""
    _capture_output(Path(job.output_file))
    if job.keeps_files:
        sys.stdout.write(output_header(job))
    os.chdir(job.root)
    script_folder = os.path.dirname(os.path.join(job.models_dir, job.script))
    sys.path[:0] = list(dict.fromkeys([script_folder, job.models_dir, job.root]))
    sys.argv = [os.path.join(job.models_dir, job.script)]
    os.environ[RUN_ID_VARIABLE] = job.run_id
    if job.device is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = job.device
    _limit_threads(job.threads)
    log_to(Path(job.log_file) if job.log_file else None, f"{job.script}:{job.version}")


def _capture_output(path: Path) -> None:
    """Send what this process prints, from C too, to a file, line by line: a crash must not lose the last lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
    sys.stdout = _line_buffered(1)
    sys.stderr = _line_buffered(2)
    faulthandler.enable()


def _line_buffered(descriptor: int) -> TextIO:
    return open(descriptor, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=False)


def restore_output(path: Path) -> None:
    """Put the output back at its place where the script has removed it together with its folder."""
    if path.exists() and os.path.samestat(os.stat(path), os.fstat(1)):
        return
    flush()
    size = os.fstat(1).st_size
    printed = os.pread(1, size, 0) if size else b""
    _capture_output(path)
    os.write(1, printed)


def _limit_threads(count: int) -> None:
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[variable] = str(count)
    if (torch := sys.modules.get("torch")) is not None:
        torch.set_num_threads(count)
    if count > 1 and "numpy" in sys.modules and "threadpoolctl" in sys.modules:
        sys.modules["threadpoolctl"].threadpool_limits(count)


def finish_threads_and_hooks() -> None:
    """Do what an ordinary end of Python does for the script: join its threads, run its atexit hooks."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()


def flush() -> None:
    """Bring all that was printed or logged to its file."""
    for stream in (sys.stdout, sys.stderr):
        # the disk may be full, or the script may have closed the stream: nothing is left to tell
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    logging.shutdown()
