"""What the figures share: Plotly where it is installed, and texts as they are."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mlpipeline.errors import ReportError

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_LONGEST_TEXT = 60


def new_figure(traces: Sequence[Mapping[str, Any]], layout: Mapping[str, Any]) -> Figure:
    """Return a figure of Plotly. Raises: ReportError: it is not installed."""
    try:
        from plotly.graph_objects import Figure
    except ImportError:
        raise ReportError("figures need plotly, which is not installed: pip install 'mlpipeline[report]'") from None
    return Figure(data=list(traces), layout=dict(layout))


def shown(text: object, longest: int = _LONGEST_TEXT) -> str:
    """Return a text that Plotly shows as it is: it would take tags in it for its own."""
    whole = str(text)
    short = whole if len(whole) <= longest else f"{whole[: longest - 1]}…"
    return html.escape(short, quote=False)
