"""The live page's server as a real process, and its events as they come over the socket."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from tests.support import Folder, wait_until


class Live:
    """`mlpipeline ui` in a folder."""

    def __init__(self, folder: Folder, *arguments: str) -> None:
        self.process: subprocess.Popen[str] = folder.start("ui", "--port", "0", *arguments)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found, line + self.process.stdout.read()
        self.url = found[0]
        parts = urlsplit(self.url)
        self.port, self.token = parts.port, parts.query.removeprefix("token=")
        self.origin = f"http://127.0.0.1:{self.port}"

    def ask(
        self, path: str, method: str = "GET", body: object = None, **headers: str
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Return status, headers and body; the names of headers are written with `_`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), sent)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def get(self, path: str) -> Any:
        status, _, body = self.ask(path)
        assert status == 200, body
        return json.loads(body)

    def put_queue(self, revision: str, *scripts: str, **headers: str) -> tuple[int, Any]:
        """Ask for another list, as the page does."""
        sent = {"Content_Type": "application/json", "X_Requested_With": "mlpipeline", "Origin": self.origin, **headers}
        status, _, body = self.ask("/api/queue", "PUT", {"revision": revision, "scripts": scripts}, **sent)
        return status, json.loads(body) if body.startswith(b"{") else body.decode()

    def stop(self, signal: int) -> tuple[int, str]:
        """Return the exit status and all that was printed after the address."""
        self.process.send_signal(signal)
        printed, _ = self.process.communicate(timeout=20)
        return self.process.returncode, printed


class Events:
    """A client that listens in a thread, and keeps (event, data) of all that has come."""

    def __init__(self, live: Live, query: str = "", **headers: str) -> None:
        self.seen: list[tuple[str, Any]] = []
        self.has_ended = False
        self._connection = http.client.HTTPConnection("127.0.0.1", live.port, timeout=30)
        self._connection.request("GET", f"/api/events{query}", headers=headers)
        self._socket = self._connection.sock
        self._answer = self._connection.getresponse()
        assert self._answer.status == 200
        assert self._answer.headers["Content-Type"].startswith("text/event-stream")
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def of(self, kind: str) -> list[Any]:
        return [data for event, data in self.seen if event == kind]

    def wait_for(self, kind: str, condition: Callable[[Any], object] = lambda data: True) -> Any:
        """Return the first of a kind for which the condition holds."""
        return wait_until(lambda: [data for data in self.of(kind) if condition(data)])[0]

    def __enter__(self) -> Events:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # the server may have ended it
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._answer.close()
        self._connection.close()

    def _listen(self) -> None:
        event = ""
        for line in self._lines():
            key, _, value = line.partition(": ")
            if key == "event":
                event = value
            elif key == "data":
                self.seen.append((event, json.loads(value)))
        self.has_ended = True

    def _lines(self) -> Iterator[str]:
        try:
            while line := self._answer.readline():
                yield line.decode().rstrip("\r\n")
        except (OSError, http.client.HTTPException, ValueError):
            return
