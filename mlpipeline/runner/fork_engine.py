"""Runs jobs in children forked from a server that has the libraries loaded.

A server that dies, or in which a library has started a thread, is replaced by one without that library; what ran in
it goes on there or is reported as ended, what had not begun begins in the new one.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
import socket
import subprocess
import tempfile
from dataclasses import asdict

from mlpipeline.errors import EngineError
from mlpipeline.records import Job
from mlpipeline.runner.channel import Channel
from mlpipeline.runner.engine import Exit, child_environment, interpreter_command

_CLOSE_SECONDS = 1.0
_LOG = logging.getLogger(__name__)


class ForkEngine:
    """One fork server, and those before it whose runs have not ended."""

    def __init__(self) -> None:
        self._servers: list[_Server] = []
        self._excluded: set[str] = set()
        self._ended: list[Exit] = []

    def start(self, job: Job) -> None:
        if not self._servers or self._servers[-1].retired:
            self._servers.append(_Server())
        wanted = [name for name in job.imports if name not in self._excluded]
        self._servers[-1].start(job, wanted)

    def wait(self, seconds: float) -> list[Exit]:
        with selectors.DefaultSelector() as selector:
            for server in self._servers:
                selector.register(server.channel, selectors.EVENT_READ, server)
            timeout = 0 if self._ended else seconds
            for key, _ in selector.select(timeout):
                self._hear(key.data)
        for server in [server for server in self._servers if server.retired and not server.jobs]:
            server.close()
            self._servers.remove(server)
        ended, self._ended = self._ended, []
        return ended

    def signal(self, run_id: str, number: int) -> None:
        for server in self._servers:
            if run_id in server.begun:
                server.channel.send({"op": "signal", "run_id": run_id, "signal": number})
            elif run_id in server.jobs:
                # the server is still importing, and may hang there: what has not begun need not wait for it
                server.forget(run_id)
                self._retire(server, "a library takes long to import")
                self._ended.append(Exit(run_id, -number, 0.0))

    def close(self) -> None:
        for server in self._servers:
            server.close()
        self._servers = []

    def _hear(self, server: _Server) -> None:
        messages = server.channel.read()
        if messages is None:
            self._replace_dead(server)
            return
        for message in messages:
            if message.get("run_id", "") and message["run_id"] not in server.jobs:
                server.channel.send({"op": "signal", "run_id": message["run_id"], "signal": signal.SIGKILL})
            elif message["event"] == "exited":
                server.forget(message["run_id"])
                self._ended.append(Exit(message["run_id"], message["code"], message["peak_memory_mb"]))
            elif message["event"] == "started":
                server.begun.add(message["run_id"])
            elif message["event"] == "preloaded":
                self._take_preload(server, message["failed"])
            elif message["event"] == "refused":
                self._retire(server, "a library started a thread, which makes forking unsafe")
                self.start(server.forget(message["run_id"]))

    def _take_preload(self, server: _Server, failed: dict[str, str]) -> None:
        server.preloading.pop(0)
        for name, reason in failed.items():
            _LOG.info("%s is not preloaded: %s", name, reason)

    def _retire(self, server: _Server, reason: str) -> None:
        if not server.retired:
            _LOG.warning("%s; runs import %s themselves", reason, ", ".join(server.last_preload) or "libraries")
        server.retired = True
        self._excluded.update(server.last_preload)

    def _replace_dead(self, server: _Server) -> None:
        """Report what ran in a server that died; what had not begun begins anew, without what killed the server."""
        self._servers.remove(server)
        guilty = server.preloading[0] if server.preloading else ()
        self._excluded.update(guilty)
        _LOG.warning("the fork server died%s: %s", f" importing {', '.join(guilty)}" if guilty else "", server.stderr())
        server.close()
        for run_id, job in server.jobs.items():
            if run_id in server.begun or not guilty:
                self._ended.append(Exit(run_id, -signal.SIGKILL, 0.0))
            else:
                self.start(job)


class _Server:
    """The daemon's side of one fork server."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.begun: set[str] = set()
        self.preloading: list[tuple[str, ...]] = []
        self.last_preload: tuple[str, ...] = ()
        self.retired = False
        self._preloaded: set[str] = set()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the server)
        ours, theirs = socket.socketpair()
        self.channel = Channel(ours)
        command = [*interpreter_command("mlpipeline.runner.forkserver"), str(theirs.fileno()), str(os.getpid())]
        try:
            self._process = subprocess.Popen(
                command,
                env=child_environment(),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._stderr,
                start_new_session=True,  # the terminal's Ctrl-C is for the daemon, which tells the runs
            )
        except OSError as error:
            raise EngineError(f"no process can be started: {error}") from error
        finally:
            theirs.close()

    def start(self, job: Job, imports: list[str]) -> None:
        """Have the libraries loaded, where they are not yet, and the job run."""
        missing = tuple(name for name in imports if name not in self._preloaded)
        self.jobs[job.run_id] = job
        if missing:
            self._preloaded.update(missing)
            self.preloading.append(missing)
            self.last_preload = missing
            self.channel.send({"op": "preload", "modules": missing})
        self.channel.send({"op": "run", "job": asdict(job)})

    def forget(self, run_id: str) -> Job:
        self.begun.discard(run_id)
        return self.jobs.pop(run_id)

    def stderr(self) -> str:
        """Return the end of what the server has printed."""
        self._stderr.seek(0)
        return self._stderr.read()[-500:].decode(errors="replace").strip()

    def close(self) -> None:
        """End the server, which kills its children."""
        self.channel.close()
        try:
            self._process.wait(_CLOSE_SECONDS)
        except subprocess.TimeoutExpired:  # it hangs in an import; its children die with it
            self._process.kill()
            self._process.wait()
        self._stderr.close()
