"""A terminal that commands are run on, and a text that must not harm it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

from tests.support import Folder

HOSTILE = 'x,"y"\n|<script>alert(1)</script>\x1b[31mred\u202e ü表'


def on_a_terminal(folder: Folder, *arguments: str, columns: int = 80) -> str:
    """Return what the command shows on a terminal."""
    master, slave = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "LINES": "40", "TERM": "xterm"}
    command = [sys.executable, "-W", "error", "-m", "mlpipeline", "-C", str(folder.root), *arguments]
    with subprocess.Popen(command, stdout=slave, stderr=slave, env=environment) as process:
        os.close(slave)
        shown = b""
        while chunk := _read(master):
            shown += chunk
    os.close(master)
    assert process.returncode == 0
    return shown.decode()


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # the other side is closed
        return b""
