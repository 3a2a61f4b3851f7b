"""The queue file: which scripts run, in which order; it may be edited at any time."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from mlpipeline.errors import ConfigError, did_you_mean
from mlpipeline.files import config_lines, parse_config
from mlpipeline.project import Project

WHITELIST, BLACKLIST, SETTINGS = "WHITELISTED_MODELS", "BLACKLISTED_MODELS", "MLP"
_SECTIONS = (SETTINGS, WHITELIST, BLACKLIST)
_HAS_MODEL = re.compile(rb"^(MODEL\b\s*(:.*)?=|from\s.+\bimport\b.*\bMODEL\b)", re.MULTILINE)


@dataclass(frozen=True)
class Queue:
    """What a queue file says: scripts or patterns, relative to the models directory."""

    use_blacklist: bool = False
    whitelist: tuple[str, ...] = ()
    blacklist: tuple[str, ...] = ()

    @property
    def names_all_scripts(self) -> bool:
        """Whether the selection can be made without looking into the models directory."""
        return not self.use_blacklist and not any(_is_pattern(entry) for entry in self.whitelist)

    def select(self, available: Sequence[str]) -> list[str]:
        """Return the scripts to run, in order, each once.

        Args:
            available: the scripts of the models directory, sorted; what patterns and the blacklist choose from.
        """
        if self.use_blacklist:
            return [script for script in available if not any(matches(entry, script) for entry in self.blacklist)]
        chosen: dict[str, None] = {}
        for entry in self.whitelist:
            named = [script for script in available if matches(entry, script)] if _is_pattern(entry) else [entry]
            chosen.update(dict.fromkeys(named))
        return list(chosen)


def parse_queue(text: str, name: str) -> tuple[Queue, list[str]]:
    """Return the queue that a text describes, and a warning for each doubled entry, unknown key or section.

    Raises: ConfigError: a line has no meaning, there is no section at all, or a value is not a boolean.
    """
    parser = parse_config(text, name)
    if not parser.sections():
        raise ConfigError(
            f"{name} line 1: expected [{WHITELIST}] and the names of scripts, but the file has no section"
        )
    warnings = []
    seen: dict[tuple[str, str], int] = {}
    for line, section, key in config_lines(text):
        if unknown := _unknown(section, key):
            warnings.append(f"{name} line {line}: {unknown}")
            continue
        first = seen.setdefault((section, _script_name(key)), line)
        if key and first != line:
            warnings.append(f"{name} line {line}: {key} stands already in line {first}; it counts once")
        if section in (WHITELIST, BLACKLIST) and key:
            _check_entry(name, line, key, parser[section][key])
    return (
        Queue(
            use_blacklist=_boolean(parser.get(SETTINGS, "use_blacklist", fallback="false"), text, name),
            whitelist=_entries(parser.options(WHITELIST) if parser.has_section(WHITELIST) else ()),
            blacklist=_entries(parser.options(BLACKLIST) if parser.has_section(BLACKLIST) else ()),
        ),
        warnings,
    )


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
        line = next((number for number, _, key in config_lines(text) if _script_name(key) == script), 0)
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


def available_scripts(project: Project) -> list[str]:
    """Return the Python files below the models directory that set a global MODEL, relative to it, sorted."""
    found = []
    for folder, inner, files in os.walk(project.models_dir):
        here = Path(folder)
        # runs keep copies of scripts, and the outputs may lie within the models
        inner[:] = [name for name in inner if name[0] not in "._" and here / name != project.outputs_dir]
        scripts = [here / name for name in files if name.endswith(".py") and not name.startswith(".")]
        found += [path.relative_to(project.models_dir).as_posix() for path in scripts if _has_model(path)]
    return sorted(found)


def matches(entry: str, script: str) -> bool:
    """Tell whether an entry of the queue file means a script: by name, or by `*`, `?` and `**`."""
    pattern = re.escape(entry).replace(r"\*\*/", "(?:.*/)?").replace(r"\*\*", ".*")
    return re.fullmatch(pattern.replace(r"\*", "[^/]*").replace(r"\?", "[^/]"), script) is not None


def _has_model(path: Path) -> bool:
    try:
        stat = path.stat()
        return _sets_model(path, stat.st_mtime_ns, stat.st_size)
    except OSError:
        return False


@lru_cache(maxsize=4096)
def _sets_model(path: Path, *_stamp: int) -> bool:
    return _HAS_MODEL.search(path.read_bytes()) is not None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name too long for the file system
        return False


def _entries(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(_script_name(name) for name in names)


def _script_name(entry: str) -> str:
    """Return an entry as a path with `/` and its ending: `cnn` means `cnn.py`."""
    name = entry.replace("\\", "/").removeprefix("./")
    return name if not name or name.endswith((".py", "*")) else f"{name}.py"


def _is_pattern(entry: str) -> bool:
    return "*" in entry or "?" in entry


def _unknown(section: str, key: str) -> str:
    """Return what is wrong with a section or a setting that has no meaning, or an empty string."""
    if section not in _SECTIONS:
        return "" if key else f"[{section}] is not a section{did_you_mean(section, _SECTIONS)}"
    if section == SETTINGS and key not in ("", "use_blacklist"):
        return f"{key} is not a key of [{SETTINGS}]{did_you_mean(key, ['use_blacklist'])}"
    return ""


def _check_entry(name: str, line: int, entry: str, value: str | None) -> None:
    if value is not None:
        raise ConfigError(f"{name} line {line}: expected the name of a script, but got {entry} = {value}")
    if entry.startswith("/") or ".." in entry.replace("\\", "/").split("/"):
        raise ConfigError(
            f"{name} line {line}: {entry} leads outside the models directory; name scripts relative to it"
        )


def _boolean(value: str | None, text: str, name: str) -> bool:
    words = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    if (value or "").lower() not in words:
        line = next(number for number, _, key in config_lines(text) if key == "use_blacklist")
        got = f"got {value!r}" if value else "it has no value"
        raise ConfigError(f"{name} line {line}: use_blacklist must be true or false, but {got}")
    return words[(value or "").lower()]
