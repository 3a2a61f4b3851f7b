"""A private PostgreSQL server for the tests, started on a free port in a folder of its own."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

_NUMBERS = itertools.count()
_NOTHING = subprocess.DEVNULL


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """Give the URL of a server that lives as long as the tests; skip when no PostgreSQL is installed."""
    programs = find_programs()
    if programs is None:
        pytest.skip("PostgreSQL is not installed: no initdb on PATH or under /usr/lib/postgresql")
    with running_server(programs) as url:
        yield url


@pytest.fixture
def postgres_schema(postgres_url: str) -> str:
    """Give the URL of a schema of its own on the server, without tables."""
    schema = f"test_{next(_NUMBERS)}"
    with psycopg.connect(postgres_url.replace("+psycopg", ""), autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
    return f"{postgres_url}?options=-csearch_path%3D{schema}"


def find_programs() -> Path | None:
    """Return the folder of initdb and pg_ctl, the newest that is installed."""
    found = shutil.which("initdb")
    if found:
        return Path(found).resolve().parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return installed[-1].parent if installed else None


@contextmanager
def running_server(programs: Path) -> Iterator[str]:
    """Make a database cluster, start its server, and stop it at the end; give its URL."""
    account = server_account()
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        if "user" in account:
            os.chown(folder, account["user"], account["group"])
        data, port = Path(folder) / "data", free_port()
        _call([programs / "initdb", "-D", data, "-U", "tester", "-A", "trust", "-E", "UTF8", "--no-sync"], account)
        options = ["listen_addresses=127.0.0.1", f"port={port}", f"unix_socket_directories={folder}", "fsync=off"]
        command = [programs / "postgres", "-D", data, *(part for option in options for part in ("-c", option))]
        url = f"postgresql+psycopg://tester@127.0.0.1:{port}/postgres"
        # the server keeps the streams that it gets: a pipe would never end
        server = subprocess.Popen(
            list(map(str, command)), **account, cwd="/", stdin=_NOTHING, stdout=_NOTHING, stderr=_NOTHING
        )
        try:
            _wait_until_ready(url.replace("+psycopg", ""))
            yield url
        finally:
            server.send_signal(signal.SIGQUIT)
            server.wait(timeout=30)


def _wait_until_ready(url: str) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            psycopg.connect(url).close()
            return
        except psycopg.OperationalError:
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.05)


def server_account() -> dict[str, Any]:
    """Return whom to run as: initdb refuses root, so another account then."""
    if os.getuid() != 0:
        return {}
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = names.get("postgres") or names["nobody"]
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


def _call(command: list[Any], account: dict[str, Any]) -> None:
    subprocess.run(
        list(map(str, command)),
        **account,
        cwd="/",
        stdin=_NOTHING,
        stdout=_NOTHING,
        stderr=_NOTHING,
        timeout=60,
        check=True,
    )
