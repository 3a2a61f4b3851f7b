"""The queue file: which scripts run, in which order; it may be edited at any time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from mlpipeline.errors import ConfigError, did_you_mean
from mlpipeline.files import config_lines
from mlpipeline.project import Project
from mlpipeline.queue_file import Queue, available_scripts, parse_queue, script_name


class ScriptSource(Protocol):
    """Says what is to run at this moment."""

    missing: list[str]
    """Scripts that are named and do not exist."""

    def read(self) -> list[str]:
        """Return the scripts to run now, in order. Raises: ConfigError: that cannot be known."""

    def changed_at(self) -> float:
        """Return when the answer may last have changed, seconds since the epoch."""


class QueueReader:
    """Reads the queue file again and again, and keeps the last good queue while the file is no good.

    Args:
        path: the queue file.
        project: where scripts lie.
        warn: told once of each thing that is wrong.
    """

    def __init__(self, path: Path, project: Project, warn: Callable[[str], None]) -> None:
        self.path = path
        self._project = project
        self._models_dir = project.models_dir
        self._warn = warn
        self._content: bytes | None = None
        self._queue: Queue | None = None
        self._warned: set[str] = set()
        self._complaint = ""
        self.missing: list[str] = []

    def read(self) -> list[str]:
        """Return the scripts to run now, in order.

        Raises: ConfigError: the file cannot be read and never could.
        """
        self._queue = self._parsed()
        available = () if self._queue.names_all_scripts else available_scripts(self._project)
        scripts = self._queue.select(available)
        self.missing = [script for script in scripts if not _is_file(self._models_dir / script)]
        for script in self.missing:
            if script not in self._warned:
                self._warn_once(script, self._about_missing(script))
        found = [script for script in scripts if script not in self.missing]
        self._warned.difference_update(found)  # warn anew if one vanishes again
        return found

    def changed_at(self) -> float:
        """Return when the file was last written, seconds since the epoch; 0 if it is not there."""
        try:
            return self.path.stat().st_mtime
        except OSError:
            return 0.0

    def _about_missing(self, script: str) -> str:
        text = (self._content or b"").decode(errors="replace")
        line = next((number for number, _, key in config_lines(text) if script_name(key) == script), 0)
        inner = script.removeprefix(f"{self._models_dir.name}/")
        if inner != script and _is_file(self._models_dir / inner):
            hint = f"; names are relative to that folder: write {inner}"
        elif "," in script:
            hint = "; write one script a line"
        else:
            hint = did_you_mean(script, available_scripts(self._project))
        return f"{self.path.name} line {line}: {script} is not in {self._models_dir}{hint}"

    def _parsed(self) -> Queue:
        try:
            content = self.path.read_bytes()
            if content == self._content and self._queue is not None:
                return self._queue
            queue, warnings = parse_queue(content.decode(), self.path.name)
        except (ConfigError, OSError, UnicodeDecodeError) as error:
            return self._last_good(error)
        self._content = content
        self._warned.discard(self._complaint)
        for warning in warnings:
            self._warn_once(warning, warning)
        return queue

    def _last_good(self, error: Exception) -> Queue:
        message = str(error) if isinstance(error, ConfigError) else f"{self.path.name} cannot be read: {error}"
        if self._queue is None:
            raise ConfigError(message) from None
        self._complaint = message
        self._warn_once(message, f"{message}; the queue stays as it was")
        return self._queue

    def _warn_once(self, key: str, message: str) -> None:
        if key not in self._warned:
            self._warned.add(key)
            self._warn(message)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name too long for the file system
        return False
