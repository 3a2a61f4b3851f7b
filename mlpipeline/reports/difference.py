"""How two runs differ: what is recorded of them, and the code that was kept of each."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlpipeline.reports.columns import canonical
from mlpipeline.reports.history import History, Run

_FACTS = ("status", "started", "seconds", "memory_mb", "steps", "seed", "host", "python", "git_commit", "source_digest")
_DIGEST_LENGTH = 12
_LARGEST_BYTES = 1_000_000


@dataclass(frozen=True)
class Line:
    """One thing of both runs. Args: first, second: None where a run has none; delta: of numbers, second - first."""

    name: str
    first: Any
    second: Any

    @property
    def differs(self) -> bool:
        return bool(canonical(self.first) != canonical(self.second))

    @property
    def delta(self) -> float | None:
        numbers = [value for value in (self.first, self.second) if isinstance(value, (int, float))]
        if len(numbers) < 2 or self.name == "seed" or any(isinstance(value, bool) for value in numbers):
            return None
        try:
            return float(self.second) - float(self.first)
        except OverflowError:  # JSON has whole numbers of any length
            return None


@dataclass(frozen=True)
class Difference:
    """Two runs side by side.

    Args:
        first, second: the runs.
        facts, parameters, metrics, packages: line by line.
        code: a unified difference; empty where the code is the same.
        code_note: why there is none, where it may differ.
    """

    first: Run
    second: Run
    facts: tuple[Line, ...]
    parameters: tuple[Line, ...]
    metrics: tuple[Line, ...]
    packages: tuple[Line, ...]
    code: str
    code_note: str


def difference_of(history: History, first: Run, second: Run) -> Difference:
    """Return how two runs differ."""
    one, other = history.details(first), history.details(second)
    code, note = _code_difference(history, first, second)
    return Difference(
        first,
        second,
        _lines(_facts(first, one), _facts(second, other)),
        _lines(first.parameters, second.parameters),
        _lines(first.metrics, second.metrics),
        _lines(_packages(one), _packages(other)),
        code,
        note,
    )


def kept_code(history: History, run: Run) -> dict[str, Path] | None:
    """Return the files of the code that a run was made of, by their names; None where no copy was kept."""
    folder = history.folder(run)
    digest = run.source_digest[:_DIGEST_LENGTH]
    if folder is None or not digest.isalnum():
        return None
    kept = folder / "code" / digest
    if not kept.is_dir() or kept.is_symlink() or kept.parent.is_symlink():
        return None
    return {
        path.relative_to(kept).as_posix(): path
        for path in sorted(kept.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def _facts(run: Run, details: Mapping[str, Any]) -> dict[str, Any]:
    values = {name: getattr(run, name, details.get(name)) for name in _FACTS}
    found = {**values, "memory_mb": run.peak_memory_mb, "source_digest": run.source_digest[:_DIGEST_LENGTH]}
    return {name: None if value == "" else value for name, value in found.items()}


def _packages(details: Mapping[str, Any]) -> Mapping[str, Any]:
    libraries = details.get("libraries")
    return libraries if isinstance(libraries, dict) else {}


def _lines(first: Mapping[str, Any], second: Mapping[str, Any]) -> tuple[Line, ...]:
    return tuple(Line(name, first.get(name), second.get(name)) for name in {**first, **second})


def _code_difference(history: History, first: Run, second: Run) -> tuple[str, str]:
    if first.source_digest and first.source_digest == second.source_digest:
        return "", ""
    one, other = kept_code(history, first), kept_code(history, second)
    if one is None or other is None:
        lacking = " and ".join(run.name for run, files in ((first, one), (second, other)) if files is None)
        return "", f"no copy of the code of {lacking} was kept"
    pairs = [(name, name) for name in sorted({*one, *other} - {first.script, second.script})]
    pairs.insert(0, (first.script, second.script))  # two scripts are compared with each other, not added and removed
    if first.script in other and first.script != second.script:  # one of them imports the other
        pairs = [(name, name) for name in sorted({*one, *other})]
    parts: list[str] = []
    for name, of_other in pairs:
        before, after = _text(one.get(name)), _text(other.get(of_other))
        headings = f"{name} of {first.name}", f"{of_other} of {second.name}"
        parts += difflib.unified_diff(before, after, *headings, lineterm="")
    return "\n".join(parts), ""


def _text(path: Path | None) -> list[str]:
    if path is None:
        return []
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            return [f"(a file of {path.stat().st_size} bytes)"]
        return path.read_text(encoding="utf-8", errors="backslashreplace").split("\n")
    except OSError as error:
        return [f"(cannot be read: {error.strerror})"]
