"""The live page on an address, until somebody ends it."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import re
import secrets
import socket
from collections.abc import Callable
from pathlib import Path

import uvicorn

from mlpipeline.errors import ReportError
from mlpipeline.project import Project
from mlpipeline.reports.server import make_app

_TOKEN = re.compile(r"[\w.~-]{16,200}", re.ASCII)
_END_SECONDS = 3


def serve(
    project: Project,
    queue_file: Path,
    *,
    host: str,
    port: int,
    edits: bool,
    token: str,
    announce: Callable[[str], None],
    warn: Callable[[str], None],
) -> None:
    """Serve the live page until Ctrl-C or SIGTERM.

    Args:
        project: what it shows.
        queue_file: what it shows as the queue.
        host: an address of this machine or its name; on any but the loopback address a token is demanded.
        port: 0 for any that is free.
        edits: allow changes of the queue.
        token: demanded of every request; empty for none on the loopback address, and for a new one elsewhere.
        announce: told the address, with the token, once it can be opened.
        warn: told of what cannot be read.
    Raises: ReportError: the address is not one of this machine, or the port is taken.
    """
    if token and not _TOKEN.fullmatch(token):
        raise ReportError("expected a token of 16 to 200 letters, digits and -._~; without one, a new one is made up")
    with _listening(host, port) as listener:
        address, taken_port = listener.getsockname()[:2]
        is_local = ipaddress.ip_address(address.partition("%")[0]).is_loopback
        if not is_local:
            token = token or secrets.token_urlsafe(24)
        app = make_app(project, queue_file, edits=edits, token=token, is_local=is_local, warn=warn)
        announce(_address(address, taken_port, token))
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,  # it would hold the token
            server_header=False,
            ws="none",
            timeout_graceful_shutdown=_END_SECONDS,
        )
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])


def _listening(host: str, port: int) -> socket.socket:
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(address[:2], family=family, backlog=128)
    except socket.gaierror as error:
        raise ReportError(f"--host {host} is no address: {error.strerror}") from None
    except OverflowError:
        raise ReportError(f"expected a port from 0 to 65535, but got {port}") from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            hint = "choose another with --port, or any that is free with --port 0"
            raise ReportError(f"port {port} of {host} is taken, perhaps by another `mlpipeline ui`; {hint}") from None
        raise ReportError(f"cannot listen on port {port} of {host}: {error.strerror}") from None


def _address(address: str, port: int, token: str) -> str:
    anywhere = ipaddress.ip_address(address.partition("%")[0]).is_unspecified
    host = socket.gethostname() if anywhere else f"[{address}]" if ":" in address else address
    return f"http://{host}:{port}/" + (f"?token={token}" if token else "")
