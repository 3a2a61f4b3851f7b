"""Which commit a run used, asked of git while the run goes on."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

Answer = dict[str, str | bool | None]

_SHARED_SECONDS = 1.0
_LONGEST_SECONDS = 5.0
_UNKNOWN: Answer = {"git_commit": None, "git_clean": None}


class Question:
    """A question that git is answering."""

    def __init__(self, command: list[str], root: Path) -> None:
        self.asked_at = time.monotonic()
        self._answer: Answer | None = None
        try:
            self._process: subprocess.Popen[str] | None = subprocess.Popen(
                command,
                cwd=root,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                stdin=subprocess.DEVNULL,
                text=True,
                errors="replace",
                env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
            )
        except OSError:
            self._process = None  # git is not installed

    def answer(self) -> Answer:
        """Return `git_commit` and `git_clean`; None outside a repository, before its first commit, or without git."""
        if self._answer is None:
            self._answer = self._read()
        return self._answer

    def close(self) -> None:
        """Give up the question, if it has no answer yet."""
        if self._answer is None and self._process is not None:
            self._process.kill()
            self.answer()

    def _read(self) -> Answer:
        if self._process is None:
            return _UNKNOWN
        try:
            printed, _ = self._process.communicate(timeout=_LONGEST_SECONDS)
        except subprocess.TimeoutExpired:  # a very large tree, or a file system that hangs
            self._process.kill()
            self._process.communicate()
            return _UNKNOWN
        return _parse(printed) if self._process.returncode == 0 else _UNKNOWN


class GitState:
    """Asks for the commit and whether the tree is clean, without waiting for the answer.

    Args:
        root: the project folder.
        outputs_dir: left out, since runs write there.
    """

    def __init__(self, root: Path, outputs_dir: Path) -> None:
        self._root = root
        exclude = [f":(exclude){os.path.relpath(outputs_dir, root)}"] if outputs_dir.is_relative_to(root) else []
        self._command = ["git", "status", "--porcelain=v2", "--branch", "--", ".", *exclude]
        self._latest: Question | None = None

    def ask(self) -> Question:
        """Begin to ask; runs that start within a second share a question."""
        if self._latest is None or time.monotonic() - self._latest.asked_at > _SHARED_SECONDS:
            self.close()
            self._latest = Question(self._command, self._root)
        return self._latest

    def close(self) -> None:
        """Take in the answer to the latest question, for those who have still to read it."""
        if self._latest is not None:
            self._latest.answer()


def _parse(printed: str) -> Answer:
    commit = None
    clean = True
    for line in printed.splitlines():
        if line.startswith("# branch.oid "):
            commit = line.removeprefix("# branch.oid ")
        clean = clean and line.startswith("# ")
    return {"git_commit": commit if commit != "(initial)" else None, "git_clean": clean}
