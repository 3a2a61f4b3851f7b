"""Files that are never seen half written, and configuration files whose errors name a line."""

from __future__ import annotations

import contextlib
import os
import re
from configparser import ConfigParser, MissingSectionHeaderError, ParsingError
from configparser import Error as ParserError
from pathlib import Path

from mlpipeline.errors import ConfigError

_COMMENT = re.compile(r"(^|\s)[#;].*$")


def replace_file(path: Path, content: bytes | str, *, synced: bool = False, keeps_mode: bool = False) -> None:
    """Write a file aside and move it into place, so that a reader finds the old content or the new.

    Args:
        path: the file. Its folder is made if it is missing.
        content: text is written as UTF-8.
        synced: survive a power cut too.
        keeps_mode: give it the mode and, where that is allowed, the owner of the file that it replaces.
    """
    data = content.encode(errors="backslashreplace") if isinstance(content, str) else content
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.tmp")  # one name, so that kills do not leave many
    try:
        if aside.is_symlink():  # what it leads to is not ours
            aside.unlink()
        with aside.open("wb") as file:
            file.write(data)
            if synced:
                file.flush()
                os.fsync(file.fileno())
        if keeps_mode and path.exists():
            _copy_mode(path, aside)
        os.replace(aside, path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def _copy_mode(source: Path, target: Path) -> None:
    stat = source.stat()
    with contextlib.suppress(PermissionError):  # only root may give a file away; the owner may choose its group
        os.chown(target, stat.st_uid, stat.st_gid)
    os.chmod(target, stat.st_mode & 0o7777)


def parse_config(text: str, name: str) -> ConfigParser:
    """Parse an INI text in which keys keep their case and may stand without a value.

    Args:
        text: the content. Indented lines count as lines of their own; `#` and `;` begin comments.
        name: what to call it in messages.
    Raises: ConfigError: with the first line that has no meaning.
    """
    parser = ConfigParser(
        allow_no_value=True,
        strict=False,
        delimiters=("=",),
        comment_prefixes=(),
        interpolation=None,
        default_section="",
    )
    for number, content in enumerate(text.lstrip("\ufeff").splitlines(), start=1):
        entry = _without_comment(content)
        if entry.startswith("[") and not re.fullmatch(r"\[[^\[\]]+\]", entry):
            raise ConfigError(f"{name} line {number}: expected a section like [MLP], but got {entry!r}")
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read_string("\n".join(map(_without_comment, text.lstrip("\ufeff").splitlines())), source=name)
    except ParsingError as error:
        if isinstance(error, MissingSectionHeaderError):
            found = _line(text, error.lineno)
            raise ConfigError(f"{name} line {error.lineno}: expected a [SECTION] first, but got {found!r}") from None
        line = error.errors[0][0]
        raise ConfigError(
            f"{name} line {line}: expected [SECTION] or an entry, but got {_line(text, line)!r}"
        ) from None
    except ParserError as error:
        raise ConfigError(f"{name} line {getattr(error, 'lineno', 1)}: {error.message.splitlines()[0]}") from None
    return parser


def config_lines(text: str) -> list[tuple[int, str, str]]:
    """Return (line number, section, key) of each entry of a configuration text, sections as ("SECTION", "")."""
    found = []
    section = ""
    for number, line in enumerate(text.lstrip("\ufeff").splitlines(), start=1):
        entry = _without_comment(line)
        if entry.startswith("[") and entry.endswith("]"):
            section = entry[1:-1]
            found.append((number, section, ""))
        elif entry:
            found.append((number, section, entry.partition("=")[0].strip()))
    return found


def _without_comment(line: str) -> str:
    return _COMMENT.sub("", line).strip()


def _line(text: str, number: int) -> str:
    lines = text.splitlines()
    return lines[number - 1].strip() if 0 < number <= len(lines) else ""
