"""How wide text is in a picture whose font is not known, and text cut to a width."""

from __future__ import annotations

import unicodedata

# widths in parts of the size of the font, those of DejaVu Sans: wider than what most systems have
_WIDTHS = {
    **dict.fromkeys("ijlI'|.,:; ", 0.36),
    **dict.fromkeys('frt()[]{}/\\!"-`', 0.46),
    **dict.fromkeys("mwMWQO@%&…", 0.99),
    **dict.fromkeys("ABCDEFGHJKLNPRSTUVXYZ#+=<>~^", 0.80),
    **dict.fromkeys("0123456789_?$*", 0.65),
}
_LOWER, _OTHER, _WIDE, _BOLD = 0.63, 0.80, 1.05, 1.1


def width_of(text: str, size: float, bold: bool = False) -> float:
    """Return about how wide a line is, in the unit of the font's size; rather too much than too little."""
    return sum(map(_character_width, text)) * size * (_BOLD if bold else 1.0)


def shortened(text: str, width: float, size: float, bold: bool = False) -> str:
    """Return a line, cut with an ellipsis where it is wider than allowed."""
    if width_of(text, size, bold) <= width:
        return text
    room = width / size / (_BOLD if bold else 1.0) - _character_width("…")
    end = 0
    for end, character in enumerate(text):  # noqa: B007
        room -= _character_width(character)
        if room < 0:
            break
    while end and unicodedata.combining(text[end]):
        end -= 1
    return f"{text[:end].rstrip()}…"


def printable(text: str) -> str:
    """Return text on one line, without the characters that XML does not allow."""
    shown = "".join(character if _is_allowed(character) else "\ufffd" for character in " ".join(text.split()))
    return shown or " "


def _is_allowed(character: str) -> bool:
    category = unicodedata.category(character)
    return category not in ("Cc", "Cs", "Cn") and character not in "\ufffe\uffff" and not _turns_direction(character)


def _turns_direction(character: str) -> bool:
    return "\u202a" <= character <= "\u202e" or "\u2066" <= character <= "\u2069"


def _character_width(character: str) -> float:
    known = _WIDTHS.get(character)
    if known is not None:
        return known
    if "a" <= character <= "z":
        return _LOWER
    if unicodedata.combining(character) or unicodedata.category(character) == "Cf":
        return 0.0
    return _WIDE if unicodedata.east_asian_width(character) in "WF" else _OTHER
