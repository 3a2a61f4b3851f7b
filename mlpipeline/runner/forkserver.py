"""A small process that has imported the libraries and forks one child a run.

It never runs user code, makes no CUDA call and has one thread. Its memory is shared with every child, so a
child starts in milliseconds with torch already there.

Messages, one JSON object a line:
    in:   {"op": "preload", "modules": [...]}   {"op": "run", "job": {...}}   {"op": "signal", "run_id", "signal"}
    out:  {"event": "preloaded", "failed": {...}}   {"event": "started", "run_id"}   {"event": "refused", "run_id"}
          {"event": "exited", "run_id", "code", "peak_memory_mb"}

A library that starts a thread while it is imported makes forking unsafe: from then on every run is refused, and
the daemon starts another server without that library.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import importlib.util
import os
import selectors
import signal
import site
import socket
import sys
import sysconfig
from typing import Any

from mlpipeline.records import Job
from mlpipeline.runner import child
from mlpipeline.runner.channel import Channel
from mlpipeline.runner.engine import EXIT_NO_RESULT
from mlpipeline.runner.hugepages import collapse, huge_page_chunks
from mlpipeline.runner.surroundings import RUN_ID_VARIABLE

# what the first training step, the first split or the first data set pulls in, each as costly as its library
PULLED_IN_LATE = {
    "torch": ("torch._dynamo", "torch.utils.data"),
    "numpy": ("numpy.random", "threadpoolctl"),
    "optuna": ("mlpipeline.runner.studies",),
    "mlpipeline.ensemble": ("sklearn.model_selection", "scipy.stats", "numpy.random", "altair", "vl_convert"),
    "mlpipeline.ensemble:KerasTrainer": ("mlpipeline.ensemble.keras_loaded", "torch._dynamo"),
    "mlpipeline.dataflow": ("pandas", "numpy.random", "mlpipeline.dataflow.drawing"),
    "mlpipeline.pytorch": ("torch._dynamo", "numpy.random", "numpy.ctypeslib", "pandas", "threadpoolctl"),
}
_WITHOUT_ESTIMATORS = ("sklearn.datasets", "sklearn.metrics", "sklearn.model_selection", "sklearn.preprocessing")
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


class ForkServer:
    """Serves one daemon over a socket, and ends with it."""

    def __init__(self, connection: socket.socket) -> None:
        self._channel = Channel(connection)
        self._runs: dict[int, str] = {}  # run ids by process id
        self._may_fork = True
        self._small_pages: list[int] = []
        self._wake_reader, self._wake_writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def serve(self) -> None:
        """Answer messages and report ends until the daemon closes its side or dies."""
        signal.signal(signal.SIGTERM, self._end)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake_writer, warn_on_full_buffer=False)
        with selectors.DefaultSelector() as selector:
            selector.register(self._channel, selectors.EVENT_READ)
            selector.register(self._wake_reader, selectors.EVENT_READ)
            while True:
                ready = {key.fd for key, _ in selector.select(0 if self._small_pages else None)}
                if not ready and self._small_pages:
                    collapse(self._small_pages.pop())  # in idle time only: it makes the next forks cheaper
                if self._wake_reader in ready:
                    os.read(self._wake_reader, 4096)
                self._reap()
                if self._channel.fileno() in ready:
                    messages = self._channel.read()
                    if messages is None:
                        self._end()
                    for message in messages or ():
                        self._answer(message)

    def _answer(self, message: dict[str, Any]) -> None:
        if message["op"] == "preload":
            self._send({"event": "preloaded", "failed": preload(message["modules"])})
            self._may_fork = thread_count() == 1
            self._small_pages = huge_page_chunks()
        elif message["op"] == "run" and not self._may_fork:
            self._send({"event": "refused", "run_id": message["job"]["run_id"]})
        elif message["op"] == "run":
            self._fork(message["job"])
        else:
            self._signal(message["run_id"], message["signal"])

    def _fork(self, values: dict[str, Any]) -> None:
        server_pid = os.getpid()
        pid = os.fork()
        if pid:
            self._runs[pid] = values["run_id"]
            self._send({"event": "started", "run_id": values["run_id"]})
            return
        try:
            self._become_child(server_pid)
            child.run_job(Job(**values))
        finally:
            os._exit(EXIT_NO_RESULT)

    def _become_child(self, server_pid: int) -> None:
        os.setsid()
        end_with_parent(server_pid, signal.SIGKILL)
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self._channel.close()
        os.close(self._wake_reader)
        os.close(self._wake_writer)
        os.environ.pop("GLIBC_TUNABLES", None)
        atexit._clear()
        gc.enable()

    def _reap(self) -> None:
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            run_id = self._runs.pop(pid, None)
            _kill_group(pid)  # what the run started itself must not outlive it
            self._end_orphans()
            if run_id is None:
                continue
            code = os.waitstatus_to_exitcode(status)
            self._send(
                {"event": "exited", "run_id": run_id, "code": code, "peak_memory_mb": child.peak_memory_mb(usage)}
            )

    def _end_orphans(self) -> None:
        """Kill what ended runs have left in sessions of their own; the system gives it to this process as children."""
        for pid in _children():
            if pid not in self._runs and (not self._runs or _run_id_of(pid) not in (None, *self._runs.values())):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def _signal(self, run_id: str, number: int) -> None:
        for pid, running in self._runs.items():
            if running != run_id:
                continue
            if number == signal.SIGKILL:
                _kill_group(pid)
            os.kill(pid, number)  # the leader alone is told to stop; what it has started follows it

    def _send(self, message: dict[str, Any]) -> None:
        if not self._channel.send(message):
            self._end()

    def _end(self, *_: object) -> None:
        for pid in self._runs:
            _kill_group(pid)
            os.kill(pid, signal.SIGKILL)  # one that has no group of its own yet
        self._runs.clear()
        self._end_orphans()
        os._exit(0)


def preload(modules: list[str]) -> dict[str, str]:
    """Import libraries, and what they pull in late, so that children find them loaded.

    Returns: for each module that is not loaded now, why.
    """
    failed: dict[str, str] = {}
    for name in [*modules, *_writers_of_estimators(modules)]:
        top = name.partition(":")[0].partition(".")[0]
        if not is_library(top):
            continue
        keys = (name, name.partition(":")[0], top)
        late = next((PULLED_IN_LATE[key] for key in keys if key in PULLED_IN_LATE), ())
        for wanted in (name, *late):
            try:
                child.import_library(wanted)
            except BaseException as error:  # a library may do anything while it is imported
                failed[wanted] = f"{type(error).__name__}: {error}"
    child.rehearse()
    gc.collect()
    gc.freeze()
    return failed


def _writers_of_estimators(modules: list[str]) -> list[str]:
    """Return what the members of an ensemble are written with where they are scikit-learn estimators; it is slow."""
    names = {name.partition(":")[0] for name in modules}
    has_estimators = any(name.startswith("sklearn.") and name not in _WITHOUT_ESTIMATORS for name in names)
    is_for_ensembles = "mlpipeline.ensemble" in names or "mlpipeline.ensemble" in sys.modules
    return ["skops.io"] if has_estimators and is_for_ensembles else []


def is_library(name: str) -> bool:
    """Tell whether a top-level module is installed for good: from the standard library or site-packages.

    What is installed to be edited stays out, since a loaded module does not see the edit.
    """
    if name in sys.modules or name in sys.stdlib_module_names:
        return name != "__main__"
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return False
    origin = spec.origin if spec is not None else None
    return origin is not None and origin.startswith(_library_folders())


def _library_folders() -> tuple[str, ...]:
    paths = [sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib")]
    return (*paths, *site.getsitepackages(), site.getusersitepackages())


def thread_count() -> int:
    """Return how many threads this process has; 1 where the system does not tell."""
    try:
        return len(os.listdir("/proc/self/task"))
    except OSError:
        return 1


def end_with_parent(parent_pid: int, number: int) -> None:
    """Have this process get a signal when its parent dies, however that happens; Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if os.getppid() != parent_pid:  # it died before the call above
        os._exit(EXIT_NO_RESULT)


def adopt_orphans() -> None:
    """Become the parent of what descendants leave behind; Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _children() -> list[int]:
    try:
        with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as file:
            return [int(pid) for pid in file.read().split()]
    except OSError:
        return []


def _run_id_of(pid: int) -> str | None:
    """Return the run that a process was started in, as its environment tells; None if it does not."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            variables = file.read().decode(errors="replace").split("\0")
    except OSError:
        return None
    prefix = f"{RUN_ID_VARIABLE}="
    return next((text.removeprefix(prefix) for text in variables if text.startswith(prefix)), None)


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def main() -> None:
    """Serve the daemon: its socket's descriptor and its process id are the arguments."""
    gc.disable()
    connection = socket.socket(fileno=int(sys.argv[1]))
    connection.set_inheritable(False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the daemon decides what Ctrl-C means
    end_with_parent(int(sys.argv[2]), signal.SIGTERM)
    adopt_orphans()
    ForkServer(connection).serve()


if __name__ == "__main__":
    main()
