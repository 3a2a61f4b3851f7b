"""A queue file changed the way a careful person changes it: only the list of scripts, and nothing half."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from pathlib import Path

from mlpipeline.errors import ConfigError, QueueChangedError, did_you_mean
from mlpipeline.files import config_lines, replace_file
from mlpipeline.project import Project
from mlpipeline.queue_file import WHITELIST, Queue, available_scripts, is_pattern, parse_queue, script_name

_BOM = "\ufeff"
_LOCK_SECONDS = 10.0
_MOST_SCRIPTS = 10_000
_LONGEST_NAME = 1_000


@dataclass
class _Entry:
    """A script in the list: its line, and the comments directly above it, which move with it."""

    script: str
    line: str
    comments: list[str] = field(default_factory=list)

    def lines(self) -> list[str]:
        return [*self.comments, self.line]


def revision(content: bytes) -> str:
    """Return what tells one content of a file from another."""
    return hashlib.sha256(content).hexdigest()[:16]


def listed_scripts(text: str, name: str) -> tuple[list[str], list[str]]:
    """Return the scripts and patterns of a queue file's whitelist, each once, and what is wrong with the file.

    A text without any entry, of a file that is just begun, lists nothing.

    Raises: ConfigError: it is no queue file.
    """
    queue, warnings = _parsed(text, name)
    return list(dict.fromkeys(queue.whitelist)), warnings


def rewritten(text: str, scripts: Sequence[str], name: str = "models.config") -> str:
    """Return the text of a queue file with another list of scripts in its whitelist.

    Entries that keep their order stay where they are. One that moves, or is new, stands directly after the one that
    it follows. Comments, blank lines, other sections and the ends of lines stay as they were.

    Args:
        text: of a queue file; its entries are known again however they are spelt.
        scripts: names or patterns, in their new order, each once.
        name: what to call the file in messages.
    Raises: ConfigError: the text is no queue file, or a name cannot stand in one.
    """
    if len(scripts) > _MOST_SCRIPTS:
        raise ConfigError(f"expected up to {_MOST_SCRIPTS} scripts, but got {len(scripts)}")
    asked = [_checked(script) for script in scripts]
    if doubled := {script for script, count in Counter(asked).items() if count > 1}:
        raise ConfigError(f"expected each script once, but got {', '.join(sorted(doubled))} more than once")
    if listed_scripts(text, name)[0] == asked:
        return text
    bom = text[: len(text) - len(text.lstrip(_BOM))]
    result = bom + _with_list(text.lstrip(_BOM), asked)
    _check_same_but_list(text, result, asked, name)
    return result


def write_queue(project: Project, path: Path, expected: str, scripts: Sequence[str]) -> None:
    """Change the list of scripts of a queue file, unless somebody has changed the file meanwhile.

    The file is written aside and moved into place; its mode, its owner and a link that leads to it stay.

    Args:
        project: where scripts lie.
        path: the queue file; it need not exist.
        expected: the `revision` of the content that the new list was made from.
        scripts: names or patterns in their new order.
    Raises: QueueChangedError: the file has another content. ConfigError: it is no queue file, cannot be written, or a
        new name is that of no script.
    """
    from filelock import FileLock, Timeout

    try:
        target = path.resolve()
        project.outputs_dir.mkdir(parents=True, exist_ok=True)
        with FileLock(project.outputs_dir / f".{path.name}.lock", timeout=_LOCK_SECONDS):
            content = read_queue_file(target)
            if revision(content) != expected:
                raise QueueChangedError(
                    f"{path.name} was changed meanwhile; look at it again, and make the change anew"
                )
            text = _decoded(content, path)
            new = rewritten(text, scripts, path.name)
            _check_added(project, listed_scripts(text, path.name)[0], scripts)
            if new != text:
                _replace(target, new)
    except Timeout:
        raise ConfigError(f"{path.name} is being written by another process; try again") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}; it stays as it was") from None


def read_queue_file(path: Path) -> bytes:
    """Return the content of a queue file, empty where there is none. Raises: OSError: it cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _replace(path: Path, text: str) -> None:
    if path.exists() and not os.access(path, os.W_OK):  # moving another file into its place would not ask
        raise ConfigError(f"{path} is read-only; it stays as it was")
    replace_file(path, text.encode(), synced=True, keeps_mode=True)


def _decoded(content: bytes, path: Path) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None


def _parsed(text: str, name: str) -> tuple[Queue, list[str]]:
    return parse_queue(text, name) if config_lines(text) else (Queue(), [])


def _checked(script: str) -> str:
    """Return an asked script as `parse_queue` would. Raises: ConfigError: it cannot stand as an entry."""
    name = script_name(script)
    problem = f"expected the name of a script, but got {script[:80]!r}"
    if not name.isprintable() or len(name) > _LONGEST_NAME:
        raise ConfigError(problem)
    try:
        queue, _ = parse_queue(f"[{WHITELIST}]\n{name}\n", "the queue")
    except ConfigError:
        queue = Queue()
    if queue.whitelist != (name,):
        raise ConfigError(f"{problem}; write it relative to the models directory, without '=', ' #' or '..'")
    return name


def _check_added(project: Project, before: Iterable[str], scripts: Sequence[str]) -> None:
    for script in map(script_name, scripts):
        if script in before or is_pattern(script) or project.script_path(script).is_file():
            continue
        hint = did_you_mean(script, available_scripts(project))
        raise ConfigError(f"{script} is not in {project.models_dir}{hint}")


def _check_same_but_list(text: str, result: str, asked: list[str], name: str) -> None:
    before, _ = _parsed(text, name)
    after, _ = _parsed(result, name)
    is_as_asked = list(after.whitelist) == asked
    if not is_as_asked or (before.use_blacklist, before.blacklist) != (after.use_blacklist, after.blacklist):
        raise ConfigError(f"{name} cannot be rewritten so that it means what was asked for; edit it by hand")


def _with_list(text: str, asked: list[str]) -> str:
    lines = text.splitlines(keepends=True)
    ending = next((_ending(line) for line in lines if _ending(line)), "\n")
    ends_whole = not lines or bool(_ending(lines[-1]))
    if not ends_whole:  # it may come to stand before another line
        lines[-1] += ending
    new = "".join(_flat(_arranged(_pieces(lines, ending), asked, ending)))
    return new if ends_whole else new.removesuffix(ending)


def _pieces(lines: list[str], ending: str) -> list[str | _Entry]:
    """Return the lines with each entry of the whitelist and the comments directly above it as one piece."""
    entries = config_lines("".join(lines))
    keys = {number: key for number, section, key in entries if section == WHITELIST and key}
    pieces: list[str | _Entry] = []
    for number, line in enumerate(lines, start=1):
        if number not in keys:
            pieces.append(line)
            continue
        entry = _Entry(script_name(keys[number]), line)
        while pieces and isinstance(above := pieces[-1], str) and above.lstrip().startswith(("#", ";")):
            entry.comments.insert(0, above)
            pieces.pop()
        pieces.append(entry)
    if (WHITELIST, "") not in [(section, key) for _, section, key in entries]:
        pieces += [ending] * bool(lines and lines[-1].strip()) + [f"[{WHITELIST}]{ending}"]
    return pieces


def _arranged(pieces: list[str | _Entry], asked: list[str], ending: str) -> Iterator[str | _Entry]:
    """Yield the pieces in the new order."""
    entries: dict[str, _Entry] = {}
    for piece in pieces:
        if isinstance(piece, _Entry):
            entries.setdefault(piece.script, piece)  # a doubled one counts where it stands first
    staying = _staying(list(entries), asked)
    following = _following(asked, staying)
    first = next((place for place, piece in enumerate(pieces) if _is_first(piece, entries, staying)), None)
    first = _end_of_list(pieces) if first is None else first

    def brought(after: str | None) -> Iterator[_Entry]:
        for script in following.get(after, ()):
            yield entries.get(script) or _new_entry(script, list(entries.values()), ending)

    for place, piece in enumerate([*pieces, ""]):
        if place == first:
            yield from brought(None)
        if isinstance(piece, str):
            yield piece
        elif piece is entries[piece.script] and piece.script in staying:
            yield piece
            yield from brought(piece.script)
        elif piece is not entries[piece.script] or piece.script not in asked:
            yield from piece.comments


def _staying(before: list[str], asked: list[str]) -> set[str]:
    blocks = SequenceMatcher(None, before, asked, autojunk=False).get_matching_blocks()
    return {script for block in blocks for script in before[block.a : block.a + block.size]}


def _following(asked: list[str], staying: set[str]) -> dict[str | None, list[str]]:
    """Return the moved and new scripts by the staying one that they come after; None for those before all."""
    following: dict[str | None, list[str]] = {}
    last = None
    for script in asked:
        if script in staying:
            last = script
        else:
            following.setdefault(last, []).append(script)
    return following


def _is_first(piece: str | _Entry, entries: dict[str, _Entry], staying: set[str]) -> bool:
    """Tell whether what comes before all others may be put before this piece."""
    return isinstance(piece, _Entry) and (not staying or piece.script in staying) and piece is entries[piece.script]


def _end_of_list(pieces: list[str | _Entry]) -> int:
    """Return the place after the head of a whitelist without entries and the comments directly below it."""
    place, is_inside = len(pieces), False
    for number, piece in enumerate(pieces, start=1):
        is_head = [entry[1:] for entry in config_lines(str(piece))] == [(WHITELIST, "")]
        is_inside = is_head or (is_inside and str(piece).lstrip().startswith(("#", ";")))
        place = number if is_inside else place
    return place


def _new_entry(script: str, others: list[_Entry], ending: str) -> _Entry:
    """Return an entry for a new script in the style of the others."""
    indent, spelt = "", script
    if others:
        line = others[-1].line
        indent = line[: len(line) - len(line.lstrip())]
    names = [config_lines(entry.line)[0][2] for entry in others if not is_pattern(entry.script)]
    short = script.removesuffix(".py")
    if names and not any(name.endswith(".py") for name in names) and script_name(short) == script:
        spelt = short
    return _Entry(script, f"{indent}{spelt}{ending}")


def _flat(pieces: Iterable[str | _Entry]) -> Iterator[str]:
    for piece in pieces:
        yield from [piece] if isinstance(piece, str) else piece.lines()


def _ending(line: str) -> str:
    return line[len(line.splitlines()[0]) :] if line else ""
