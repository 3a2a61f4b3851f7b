"""Selections of scripts and versions, by name or pattern."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase

from mlpipeline.errors import ScriptError


@dataclass(frozen=True)
class Selection:
    """`SCRIPT` or `SCRIPT:VERSION`; both may be patterns.

    Args:
        version: None for all versions.
    """

    script: str
    version: str | None = None

    def includes(self, script: str, version: str | None) -> bool:
        """Tell whether a version, or with None the script as such, is meant."""
        if not matches(self.script, script):
            return False
        return self.version is None or version is None or fnmatchcase(version, self.version)


def parse_selection(text: str) -> Selection:
    """Return the selection that `SCRIPT` or `SCRIPT:VERSION` means; `.py` may be left out.

    Raises: ScriptError: no script is named.
    """
    script, _, version = text.partition(":")
    script = script.removeprefix("./")
    if not script:
        raise ScriptError(f"expected SCRIPT or SCRIPT:VERSION, but got {text!r}")
    return Selection(script if script.endswith((".py", "*")) else f"{script}.py", version or None)


def matches(pattern: str, script: str) -> bool:
    """Tell whether a name or a pattern with `*`, `?` and `**` means a script."""
    expression = re.escape(pattern).replace(r"\*\*/", "(?:.*/)?").replace(r"\*\*", ".*")
    return re.fullmatch(expression.replace(r"\*", "[^/]*").replace(r"\?", "[^/]"), script) is not None
