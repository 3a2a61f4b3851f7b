"""The text of a queue file: which scripts it names, in which order, and what is wrong with it."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from mlpipeline.errors import ConfigError, did_you_mean
from mlpipeline.files import config_lines, parse_config
from mlpipeline.project import Project
from mlpipeline.selection import matches

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
        return not self.use_blacklist and not any(is_pattern(entry) for entry in self.whitelist)

    def select(self, available: Sequence[str]) -> list[str]:
        """Return the scripts to run, in order, each once.

        Args:
            available: the scripts of the models directory, sorted; what patterns and the blacklist choose from.
        """
        if self.use_blacklist:
            return [script for script in available if not any(matches(entry, script) for entry in self.blacklist)]
        chosen: dict[str, None] = {}
        for entry in self.whitelist:
            named = [script for script in available if matches(entry, script)] if is_pattern(entry) else [entry]
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
        first = seen.setdefault((section, script_name(key)), line)
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


def _has_model(path: Path) -> bool:
    try:
        status = path.stat()
        return stat.S_ISREG(status.st_mode) and _sets_model(path, status.st_mtime_ns, status.st_size)
    except OSError:
        return False


@lru_cache(maxsize=4096)
def _sets_model(path: Path, *_stamp: int) -> bool:
    return _HAS_MODEL.search(path.read_bytes()) is not None


def _entries(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(script_name(name) for name in names)


def script_name(entry: str) -> str:
    """Return an entry as a path with `/` and its ending: `cnn` means `cnn.py`."""
    name = entry.replace("\\", "/").removeprefix("./")
    return name if not name or name.endswith((".py", "*")) else f"{name}.py"


def is_pattern(entry: str) -> bool:
    """Tell whether an entry chooses among the scripts that there are."""
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
