"""Which commit a run used, asked of git while the run goes on."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

_SHARED_SECONDS = 1.0


class GitState:
    """Asks for the commit and whether the tree was clean, without waiting for the answer.

    Args:
        root: the project folder.
        outputs_dir: left out, since runs write there.
    """

    def __init__(self, root: Path, outputs_dir: Path) -> None:
        self._root = root
        exclude = [f":(exclude){os.path.relpath(outputs_dir, root)}"] if outputs_dir.is_relative_to(root) else []
        self._command = ["git", "status", "--porcelain=v2", "--branch", "--", ".", *exclude]
        self._asked_at = -_SHARED_SECONDS
        self._query: subprocess.Popen[str] | None = None
        self._answer: dict[str, str | bool | None] = {}

    def ask(self) -> None:
        """Begin to ask; runs that start within a second share an answer."""
        if time.monotonic() - self._asked_at < _SHARED_SECONDS:
            return
        self.answer()
        self._asked_at = time.monotonic()
        try:
            self._query = subprocess.Popen(
                self._command,
                cwd=self._root,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                stdin=subprocess.DEVNULL,
                text=True,
                env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
            )
        except OSError:
            self._answer = {"git_commit": None, "git_clean": None}  # git is not installed

    def answer(self) -> dict[str, str | bool | None]:
        """Return `git_commit` and `git_clean`; None outside a repository or before its first commit."""
        if self._query is not None:
            printed, _ = self._query.communicate()
            self._answer = _parse(printed) if self._query.returncode == 0 else {"git_commit": None, "git_clean": None}
            self._query = None
        return self._answer

    def close(self) -> None:
        """Give up a question that has no answer yet."""
        if self._query is not None:
            self._query.kill()
            self.answer()


def _parse(printed: str) -> dict[str, str | bool | None]:
    commit = None
    clean = True
    for line in printed.splitlines():
        if line.startswith("# branch.oid "):
            commit = line.removeprefix("# branch.oid ")
        clean = clean and line.startswith("# ")
    return {"git_commit": commit if commit != "(initial)" else None, "git_clean": clean}
