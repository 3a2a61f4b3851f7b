"""Curves drawn with characters, by plotext."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import click

from mlpipeline.cli.tables import safe_text
from mlpipeline.errors import ReportError
from mlpipeline.reports.curves import Curve, Curves

_HEIGHT = 11
_POINTS = 1000
_TICKS = 5
# the colours of plotext's theme `simple`, in its order
_COLOURS = ("bright_blue", "bright_green", "bright_red", "bright_cyan", "bright_magenta", "bright_yellow")
_MARKS = (".", "x", "+", "o", "*", "#")


def families(curves: Curves) -> dict[str, Curves]:
    """Return the curves that belong on one picture, such as train.loss and test.loss, by what they share."""
    found: dict[str, Curves] = {}
    for name, curve in curves.items():
        if finite := _finite(curve):
            found.setdefault(name.rpartition(".")[2], {})[name] = finite
    return found


def draw(curves: Mapping[str, Curve], width: int, *, in_colours: bool) -> str:
    """Return a picture of some curves over the steps, and a line that names them.

    Args:
        curves: of finite values.
        width: in characters.
        in_colours: else the lines differ in their characters.
    Raises: ReportError: plotext is not installed.
    """
    try:
        import plotext
    except ImportError:
        raise ReportError("drawing curves needs plotext: pip install plotext") from None

    figure: Any = plotext.figure
    figure.clear()
    figure.theme("simple" if in_colours else "colorless")
    figure.plot_size(width, _HEIGHT)
    names = []
    for number, (name, curve) in enumerate(list(curves.items())[: len(_COLOURS)]):
        thin = curve.thinned(_POINTS)
        mark = "braille" if in_colours else _MARKS[number]
        figure.draw(figure.signal(thin.steps, thin.values, marker=mark).lines(True))
        last = f"{safe_text(name)} {curve.values[-1]:.4g}"
        names.append(click.style(f"━ {last}", fg=_COLOURS[number]) if in_colours else f"{_MARKS[number]} {last}")
    first = min(curve.steps[0] for curve in curves.values())
    last_step = max(curve.steps[-1] for curve in curves.values())
    ticks = sorted({round(first + (last_step - first) * part / _TICKS) for part in range(_TICKS + 1)})
    figure.ruler("x").ticks(ticks, list(map(str, ticks)))
    picture = str(figure.build())
    if not in_colours:
        picture = click.unstyle(picture)
    lines = [line.rstrip() for line in picture.splitlines()]
    return "\n".join([*lines, "   ".join(names)])


def _finite(curve: Curve) -> Curve | None:
    places = [place for place, value in enumerate(curve.values) if math.isfinite(value)]
    if not places:
        return None
    steps, times, values = curve.steps, curve.times, curve.values
    return Curve([steps[k] for k in places], [times[k] for k in places], [values[k] for k in places])
