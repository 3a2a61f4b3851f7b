"""Tables for a terminal, a pipe, CSV, JSON and Markdown. Texts of records never reach a terminal as control codes."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import click

Rows = Sequence[Sequence[Any]]

_COLOUR = re.compile(r"\x1b\[[0-9;:]*m")
_MARKDOWN = re.compile(r"([\\`*\[\]<>|~#$&]|(?<![^\W_])_|_(?![^\W_]))")
_SPREAD = re.compile(r"[\r\n]+")
_TIMES = frozenset(("seconds", "memory_mb"))
_STATUS_COLOURS = {"SUCCEEDED": "green", "INTERRUPTED": "yellow", "PRUNED": "cyan", "RUNNING": "blue"}
_CHUNK = 1000
_LONGEST = 60  # characters in a cell, where there is CSV and JSON for the rest
_NAMES = frozenset(("name", "script", "version", "run_id"))
_GAP = 2  # between columns
_ENCODE = json.JSONEncoder(ensure_ascii=False).encode


def is_terminal() -> bool:
    """Tell whether what is printed goes to a terminal."""
    return sys.stdout is not None and sys.stdout.isatty()


def safe_text(text: str, *, spans_lines: bool = False, keeps_colours: bool = False) -> str:
    """Return a text with control characters, and others that print nothing, as their escapes.

    Args:
        text: of a record or a file: hostile.
        spans_lines: keep the ends of lines and tabs.
        keeps_colours: keep the codes that colour text.
    """
    if text.isprintable():
        return text
    if not keeps_colours:
        return "".join(_escaped(character, spans_lines) for character in text)
    parts = _COLOUR.split(text)
    plain = [safe_text(part, spans_lines=spans_lines) for part in parts]
    colours = _COLOUR.findall(text)
    whole = "".join(part + colour for part, colour in zip(plain, [*colours, ""], strict=True))
    return f"{whole}\x1b[0m" if colours else whole  # so that no colour goes on behind it


def _escaped(character: str, spans_lines: bool) -> str:
    if character.isprintable() or (spans_lines and character in "\n\t"):
        return character
    if unicodedata.category(character) == "Zs":  # a space of some kind
        return " "
    return character.encode("unicode_escape").decode()


def cell_text(value: Any) -> str:
    """Return a value as people read it."""
    if value is None:
        return ""
    if isinstance(value, str):
        return safe_text(value)
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, dict)):
        return safe_text(json.dumps(value, ensure_ascii=False))
    return str(value)


def column_texts(name: str, values: Iterable[Any], *, longest: int = _LONGEST) -> list[str]:
    """Return the cells of a column as people read them, but for names with at most so many characters."""
    if name in _TIMES:
        places = 2 if name == "seconds" else 0
        return ["" if value is None else f"{value:.{places}f}" for value in values]
    if name == "delta":
        return ["" if value is None or value != value else f"{value:+.3g}" if value else "0" for value in values]
    if name == "ci95":
        return ["" if value is None else f"±{value:.2g}" for value in values]
    if name == "p":
        return ["" if value is None else f"{value:.2g}{' *' if value < 0.05 else ''}" for value in values]
    texts = [f"{value:.4g}" if type(value) is float else cell_text(value) for value in values]
    if name in _NAMES:
        return texts
    return [text if len(text) <= longest else f"{text[: longest - 1]}…" for text in texts]


def print_plain(columns: Sequence[str], rows: Rows, *, longest: int = _LONGEST) -> None:
    """Print aligned columns, two spaces between them, for pipes. Args: longest: characters in a cell."""
    heads = [safe_text(name) for name in columns]
    texts = [column_texts(name, [row[place] for row in rows], longest=longest) for place, name in enumerate(columns)]
    padded = [
        _padded([head, *cells], to_right=is_numeric(rows, place))
        for place, (head, cells) in enumerate(zip(heads, texts, strict=True))
    ]
    _print_lines("  ".join(cells).rstrip() for cells in zip(*padded, strict=True))


def is_numeric(rows: Rows, place: int) -> bool:
    """Tell whether the first value of a column that there is is a number."""
    first = next((row[place] for row in rows if row[place] is not None), None)
    return isinstance(first, (int, float)) and not isinstance(first, bool)


def print_csv(columns: Sequence[str], rows: Rows) -> None:
    """Print what `csv` and spreadsheets read; a missing value or NaN is empty, a list is JSON."""
    whole = [columns, *rows]
    for begin in range(0, len(whole), _CHUNK):
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerows([csv_value(value) for value in row] for row in whole[begin : begin + _CHUNK])
        _print_lines([text.getvalue().removesuffix("\n")])


def csv_value(value: Any) -> Any:
    """Return what a cell of a CSV file holds."""
    if value is None or value != value:
        return ""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, (list, dict)) else value


def print_json(columns: Sequence[str], rows: Rows) -> None:
    """Print a list of objects, one a line; what JSON has no number for is null."""

    def lines() -> Iterator[str]:
        yield "["
        for number, row in enumerate(rows, start=1):
            values = {name: json_value(value) for name, value in zip(columns, row, strict=True)}
            yield _ENCODE(values) + ("," if number < len(rows) else "")
        yield "]"

    _print_lines(lines())


def json_value(value: Any) -> Any:
    """Return what a JSON file holds of a value."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_markdown(columns: Sequence[str], rows: Rows) -> None:
    """Print a table of GitHub's Markdown."""
    sides = ["---:" if is_numeric(rows, place) else "---" for place in range(len(columns))]
    texts = [column_texts(name, [row[place] for row in rows]) for place, name in enumerate(columns)]
    heads = " | ".join(_markdown(safe_text(name)) for name in columns)
    body = (" | ".join(map(_markdown, cells)) for cells in zip(*texts, strict=True))
    _print_lines(f"| {line} |" for line in [heads, " | ".join(sides), *body])


def print_rich(
    columns: Sequence[str],
    rows: Rows,
    *,
    bold: tuple[int, int] | None = None,
    kept: Sequence[str] = (),
    longest: int = _LONGEST,
) -> list[str]:
    """Print a table in colours; return the columns that the terminal was too narrow for.

    Args:
        columns: their names, the most wanted ones first.
        rows: of the table.
        bold: row and column of the best value.
        kept: columns that are shown in any case.
        longest: characters in a cell.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, markup=False)
    texts = [column_texts(name, [row[place] for row in rows], longest=longest) for place, name in enumerate(columns)]
    widths = [max(map(_width, [safe_text(name), *cells])) for name, cells in zip(columns, texts, strict=True)]
    shown = _fitting(columns, widths, console.width, kept)
    table = Table(box=None, pad_edge=False, header_style="bold")
    for place in shown:
        to_right = is_numeric(rows, place)
        table.add_column(Text(safe_text(columns[place])), justify="right" if to_right else "left", overflow="fold")
    for number in range(len(rows)):
        table.add_row(*(_styled(columns[k], texts[k][number], (number, k) == bold) for k in shown))
    console.print(table)
    return [name for place, name in enumerate(columns) if place not in shown]


def _styled(column: str, text: str, is_best: bool) -> Any:
    from rich.text import Text

    if column == "status":
        return Text(text, style=status_colour(text))
    return Text(text, style="bold green" if is_best else "")


def status_colour(status: str) -> str:
    """Return the colour of a status, or of what the runs of a group have."""
    words = set(re.findall("[A-Z_]+", status))
    return _STATUS_COLOURS.get(words.pop(), "red") if len(words) == 1 else "yellow"


def _fitting(columns: Sequence[str], widths: Sequence[int], width: int, kept: Sequence[str]) -> list[int]:
    """Return the places of the columns that fit, in their order; those after them in line make room first."""
    left = width + _GAP - sum(widths[place] + _GAP for place, name in enumerate(columns) if name in kept)
    chosen = []
    for place, name in enumerate(columns):
        if name in kept:
            chosen.append(place)
        elif widths[place] + _GAP <= left:
            left -= widths[place] + _GAP
            chosen.append(place)
    return chosen


def _padded(texts: list[str], *, to_right: bool) -> list[str]:
    if all(map(str.isascii, texts)):
        widest = max(map(len, texts))
        return [text.rjust(widest) if to_right else text.ljust(widest) for text in texts]
    widths = list(map(_width, texts))
    widest = max(widths)
    if to_right:
        return [" " * (widest - width) + text for text, width in zip(texts, widths, strict=True)]
    return [text + " " * (widest - width) for text, width in zip(texts, widths, strict=True)]


def _width(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(unicodedata.combining(character) > 0 for character in text)


def _markdown(text: str) -> str:
    plain = _SPREAD.sub(" ", text)
    return _MARKDOWN.sub(lambda match: {"<": "&lt;", ">": "&gt;", "&": "&amp;"}.get(match[0], f"\\{match[0]}"), plain)


def _print_lines(lines: Iterable[str]) -> None:
    shield: Callable[[str], str] = _shielded if is_terminal() else lambda text: text
    block: list[str] = []
    for line in lines:
        block.append(line)
        if len(block) == _CHUNK:
            click.echo(shield(_encodable("\n".join(block))), color=True)
            block.clear()
    if block:
        click.echo(shield(_encodable("\n".join(block))), color=True)


def _shielded(text: str) -> str:
    return safe_text(text, spans_lines=True)


def _encodable(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()
