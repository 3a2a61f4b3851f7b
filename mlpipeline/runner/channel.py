"""Messages between the daemon and its fork server: one JSON object a line, over a socket."""

from __future__ import annotations

import json
import socket
from typing import Any


class Channel:
    """One end of the conversation."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._rest = b""

    def fileno(self) -> int:
        """Return the descriptor, for selectors."""
        return self._connection.fileno()

    def send(self, message: dict[str, Any]) -> bool:
        """Send a message; False when the other side is gone."""
        try:
            self._connection.sendall(json.dumps(message).encode() + b"\n")
        except OSError:
            return False
        return True

    def read(self) -> list[dict[str, Any]] | None:
        """Return the whole messages that have come; None when the other side is gone."""
        try:
            data = self._connection.recv(1 << 20)
        except ConnectionError:
            return None
        if not data:
            return None
        *lines, self._rest = (self._rest + data).split(b"\n")
        return [json.loads(line) for line in lines]

    def close(self) -> None:
        """End the conversation."""
        self._connection.close()
