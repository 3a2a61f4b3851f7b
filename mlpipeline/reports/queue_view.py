"""The queue file as the live page shows it: a list that can be changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mlpipeline.errors import ConfigError, ScriptError
from mlpipeline.files import config_lines
from mlpipeline.project import Project
from mlpipeline.queue_edit import listed_scripts, read_queue_file, revision
from mlpipeline.queue_file import WHITELIST, available_scripts, is_pattern, parse_queue, script_name


def queue_data(project: Project, queue_file: Path, *, edits: bool) -> dict[str, Any]:
    """Return what a queue file says, and what may be added to it.

    Args:
        project: where scripts lie.
        queue_file: it need not exist, nor be right: what is wrong stands among the warnings.
        edits: whether it may be changed.
    """
    scripts: list[dict[str, Any]] = []
    warnings: list[str] = []
    content, is_right = b"", True
    try:
        content = read_queue_file(queue_file)
        text = content.decode()
        names, warnings = listed_scripts(text, queue_file.name)
        scripts = [_entry(project, text, name) for name in names]
        if config_lines(text) and parse_queue(text, queue_file.name)[0].use_blacklist:
            warnings.append(f"use_blacklist is true in {queue_file.name}: all scripts run but for its blacklist")
    except ConfigError as error:
        warnings, is_right = [str(error)], False
    except (OSError, UnicodeDecodeError) as error:
        warnings, is_right = [f"{queue_file.name} cannot be read: {error}"], False
    return {
        "scripts": scripts,
        "available": available_scripts(project),
        "revision": revision(content),
        "editable": edits and is_right,
        "warnings": warnings,
    }


def _entry(project: Project, text: str, script: str) -> dict[str, Any]:
    places = [line for line, section, key in config_lines(text) if section == WHITELIST and key]
    keys = [script_name(key) for _, section, key in config_lines(text) if section == WHITELIST and key]
    return {
        "name": script,
        "line": places[keys.index(script)],
        "exists": _exists(project, script),
        "is_pattern": is_pattern(script),
    }


def _exists(project: Project, script: str) -> bool:
    try:
        return project.script_path(script).is_file()
    except (OSError, ScriptError):  # a name too long for the file system
        return False
