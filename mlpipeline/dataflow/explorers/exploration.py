"""Exploration: what an explorer saw, as data and as a picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from mlpipeline.dataflow.pictures import as_png, checked_suffix, plot_module, write_picture
from mlpipeline.errors import PipelineError


class Exploration:
    """A frame, and a picture that is made when it is asked for. A notebook shows the picture.

    Args:
        data: a pandas frame.
        title: of the picture.
        notes: what must be said of the picture, such as how much of the data it shows.
        chart: given `data` and the notes, returns an Altair chart and all notes.
    """

    def __init__(
        self, data: Any, title: str, notes: Sequence[str], chart: Callable[[Any], tuple[Any, list[str]]]
    ) -> None:
        self.data = data
        self.title = title
        self.notes = list(notes)
        self._chart = chart

    @property
    def figure(self) -> Any:
        """The picture as an Altair chart.

        Raises: PipelineError: Altair is not installed.
        """
        chart, added = self._chart(self.data)
        title = plot_module("altair").TitleParams(self.title, subtitle=[*self.notes, *added], anchor="start")
        return chart.properties(title=title)

    def to_svg(self) -> str:
        """Return the picture as the text of an SVG.

        Raises: PipelineError: a package is missing.
        """
        svg: str = plot_module("vl_convert").vegalite_to_svg(self.figure.to_dict())
        return svg

    def save(self, path: str | Path) -> Path:
        """Write the picture as .svg, .png or .html; the last needs no network to be looked at.

        Returns: the path.
        Raises: PipelineError: the path ends in something else or cannot be written, or a package is missing.
        """
        suffix = checked_suffix(path, (".svg", ".png", ".html"))
        if suffix == ".html":
            convert = plot_module("vl_convert").vegalite_to_html
            return write_picture(path, convert(self.figure.to_dict(), bundle=True))
        return write_picture(path, self.to_svg() if suffix == ".svg" else as_png(self.to_svg()))

    def _repr_html_(self) -> str:
        try:
            return self.to_svg()
        except PipelineError as error:  # a notebook without the extra: the numbers say the same
            return f"<p>{escape(str(error))}</p>{self.data.to_html(max_rows=20)}"

    def __repr__(self) -> str:
        said = f" ({'; '.join(self.notes)})" if self.notes else ""
        return f"{self.title}{said}\n{self.data}"
