"""Drawing: a graph as SVG or PNG, without any program beside Python.

`to_svg` -> `make_boxes`, `make_links` (what there is) -> `place` (where it lies) -> the elements.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from mlpipeline.dataflow.drawing.boxes import INK, LINE, ROLES, Box, Link, make_boxes, make_links
from mlpipeline.dataflow.drawing.layout import Placement, place
from mlpipeline.dataflow.drawing.text import printable, shortened, width_of
from mlpipeline.dataflow.graph import Fitted, Graph
from mlpipeline.dataflow.pictures import as_png, checked_suffix, write_picture

_FONT = "system-ui, 'Segoe UI', 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"
_MARGIN = 16.0
_PADDING = 14.0
_NARROWEST, _WIDEST = 110.0, 250.0
_LINE_HEIGHT = 17.0
_ARROW = 7.0
_LEGEND_HEIGHT = 22.0
_LEGEND_WIDTH = 560.0  # of pictures narrower than that
_FITTING_CAPTION = "for fitting only"

Element = ElementTree.Element


@dataclass(frozen=True)
class Line:
    """One line of text in a box."""

    text: str
    size: float
    bold: bool = False

    @property
    def width(self) -> float:
        """About how wide it is."""
        return width_of(self.text, self.size, self.bold)


def draw(graph: Graph, fitted: Fitted | None, path: str | Path, title: str = "data pipeline") -> Path:
    """Write a picture of a graph.

    Args:
        path: ends in .svg or .png. A missing folder is made.
        title: what a screen reader calls it.
    Returns: the path.
    Raises: PipelineError: the path ends in something else or cannot be written, or a package is missing.
    """
    suffix = checked_suffix(path, (".svg", ".png"))
    svg = to_svg(graph, fitted, title)
    return write_picture(path, as_png(svg) if suffix == ".png" else svg)


def to_svg(graph: Graph, fitted: Fitted | None, title: str = "data pipeline") -> str:
    """Return a picture of a graph as the text of an SVG, for a file or a notebook.

    Raises: PipelineError: igraph is not installed.
    """
    boxes, links = make_boxes(graph, fitted), make_links(graph)
    lines = [_lines(box) for box in boxes]
    sizes = [_size(each) for each in lines]
    placement = place(sizes, links)
    legend, legend_width, legend_height = _legend(boxes, links, max(placement.width, _LEGEND_WIDTH))
    width = max(placement.width, legend_width) + 2 * _MARGIN
    height = placement.height + legend_height + 3 * _MARGIN
    root = _root(width, height, title, _description(boxes, links))
    picture = _group(root, (width - placement.width) / 2, _MARGIN)
    for link, route in zip(links, _routes(placement, sizes, links), strict=True):
        picture.append(_arrow(route, link.for_fitting))
    for box, text, size, center in zip(boxes, lines, sizes, placement.centers, strict=True):
        picture.append(_box(box, text, size, center))
    _group(root, (width - legend_width) / 2, placement.height + 2 * _MARGIN).extend(legend)
    return ElementTree.tostring(root, encoding="unicode")


def _lines(box: Box) -> list[Line]:
    written = [Line(printable(box.name), 13, bold=True), Line(printable(box.kind), 12)]
    written += [Line(printable(detail), 11) for detail in box.details]
    return [Line(shortened(line.text, _WIDEST, line.size, line.bold), line.size, line.bold) for line in written]


def _size(lines: Sequence[Line]) -> tuple[float, float]:
    width = max(_NARROWEST, *(line.width for line in lines)) + 2 * _PADDING
    return round(width), len(lines) * _LINE_HEIGHT + _PADDING


def _root(width: float, height: float, title: str, description: str) -> Element:
    size = {"width": _number(width), "height": _number(height), "viewBox": f"0 0 {_number(width)} {_number(height)}"}
    label = printable(title)
    attributes = {"xmlns": "http://www.w3.org/2000/svg", **size, "role": "img", "aria-label": label}
    root = Element("svg", attributes | {"font-family": _FONT, "style": "max-width: 100%; height: auto"})
    _append(root, "title", text=label)
    _append(root, "desc", text=description)
    return root


def _description(boxes: Sequence[Box], links: Sequence[Link]) -> str:
    sources: dict[int, list[str]] = defaultdict(list)
    for link in links:
        sources[link.target].append(boxes[link.source].name)
    told = []
    for number, box in enumerate(boxes):
        on = f" on {', '.join(sources[number])}" if sources[number] else ""
        roles = " and ".join(ROLES[role].caption for role in box.roles)
        told.append(printable(f"{box.name} ({roles}): {box.kind}{on}."))
    return " ".join(told)


def _routes(
    placement: Placement, sizes: Sequence[tuple[float, float]], links: Sequence[Link]
) -> list[list[tuple[float, float, float]]]:
    """Return for each link (x, top, bottom) of what it passes: the source, rows between boxes, the target."""
    starts, ends = _ports(placement, sizes, links, outgoing=True), _ports(placement, sizes, links, outgoing=False)
    routes = []
    for number, link in enumerate(links):
        (_, source_y), (_, target_y) = placement.centers[link.source], placement.centers[link.target]
        lower, upper = source_y + sizes[link.source][1] / 2, target_y - sizes[link.target][1] / 2
        first = (starts[number], lower, placement.bottoms[link.source])
        last = (ends[number], placement.tops[link.target], upper)
        routes.append([first, *placement.bends[number], last])
    return routes


def _ports(
    placement: Placement, sizes: Sequence[tuple[float, float]], links: Sequence[Link], outgoing: bool
) -> list[float]:
    """Return for each link where on the edge of its box it starts or ends: side by side, without crossing."""
    at: dict[int, list[tuple[int, float, int]]] = defaultdict(list)
    for number, link in enumerate(links):
        bends = placement.bends[number]
        far = placement.centers[link.target if outgoing else link.source][0]
        toward = bends[0 if outgoing else -1][0] if bends else far
        at[link.source if outgoing else link.target].append((link.port if outgoing else 0, toward, number))
    ports = [0.0] * len(links)
    for box, arrows in at.items():
        groups = sorted({port for port, _, _ in arrows}) if outgoing else range(len(arrows))
        step = min(18.0, sizes[box][0] / (len(groups) + 1))
        for place_in_order, (port, _, number) in enumerate(sorted(arrows)):
            position = list(groups).index(port) if outgoing else place_in_order
            ports[number] = placement.centers[box][0] + (position - (len(groups) - 1) / 2) * step
    return ports


def _arrow(route: Sequence[tuple[float, float, float]], for_fitting: bool) -> Element:
    """Return an arrow: straight down beside boxes, bent in the gaps between rows."""
    x, top, y = route[0]
    steps = [f"M{_number(x)},{_number(top)} V{_number(y)}"]
    for next_x, next_top, next_y in route[1:]:
        middle = _number((y + next_top) / 2)
        steps.append(f"C{_number(x)},{middle} {_number(next_x)},{middle} {_number(next_x)},{_number(next_top)}")
        steps.append(f"V{_number(next_y)}")
        x, y = next_x, next_y
    arrow = Element("g")
    dashes = {"stroke-dasharray": "6 4"} if for_fitting else {}
    line = {"fill": "none", "stroke": LINE, "stroke-width": "1.5", **dashes}
    _append(arrow, "path", {"d": " ".join(steps), **line})
    left, right, up = _number(x - _ARROW / 2), _number(x + _ARROW / 2), _number(y - _ARROW)
    _append(arrow, "path", {"d": f"M{left},{up} H{right} L{_number(x)},{_number(y)} Z", "fill": LINE})
    return arrow


def _box(box: Box, lines: Sequence[Line], size: tuple[float, float], center: tuple[float, float]) -> Element:
    (width, height), (x, y) = size, center
    left, top = x - width / 2, y - height / 2
    drawn = Element("g", {"class": " ".join(box.roles)})
    _append(drawn, "title", text=printable("; ".join([box.name, box.kind, *box.details])))
    drawn.append(_rectangle(box.roles[0], left, top, width, height))
    for role in box.roles[1:]:
        bar = {"x": _number(left + 5), "y": _number(top + 8), "width": "4", "height": _number(height - 16), "rx": "2"}
        _append(drawn, "rect", {**bar, "fill": ROLES[role].stroke})
    for i, line in enumerate(lines):
        baseline = top + _PADDING / 2 + i * _LINE_HEIGHT + _LINE_HEIGHT * 0.74
        drawn.append(_text(line.text, x, baseline, line.size, line.bold))
    return drawn


def _legend(boxes: Sequence[Box], links: Sequence[Link], width: float) -> tuple[list[Element], float, float]:
    """Return what the colours that occur mean, in as many lines as fit, with its width and height."""
    used = {role for box in boxes for role in box.roles}
    entries = [(role, ROLES[role].caption) for role in ("input", "layer", "state", "output", "metric", "explorer")]
    entries = [entry for entry in entries if entry[0] in used]
    if any(link.for_fitting for link in links):
        entries.append(("", _FITTING_CAPTION))
    elements, x, y, widest = [], 0.0, 0.0, 0.0
    for role, caption in entries:
        across = round(width_of(caption, 11)) + 18.0 + (0.0 if role else 30.0)
        if x and x + across > width:
            x, y = 0.0, y + _LEGEND_HEIGHT + 6
        elements.append(_legend_entry(role, caption, x, y, across))
        x += across + 8
        widest = max(widest, x - 8)
    return elements, widest, y + _LEGEND_HEIGHT


def _legend_entry(role: str, caption: str, x: float, y: float, width: float) -> Element:
    entry = Element("g")
    entry.append(_rectangle(role or "layer", x, y, width, _LEGEND_HEIGHT, 1.0))
    if not role:
        line = {"d": f"M{_number(x + 8)},{_number(y + 11)} h28", "stroke": LINE, "stroke-width": "1.5"}
        _append(entry, "path", {**line, "stroke-dasharray": "6 4"})
    entry.append(_text(caption, x + width / 2 + (0 if role else 15), y + 15, 11))
    return entry


def _rectangle(role: str, x: float, y: float, width: float, height: float, stroke_width: float = 0.0) -> Element:
    look = ROLES[role]
    thickness = stroke_width or (2.5 if role == "output" else 1.5)
    rounding = min(height / 2, 16.0) if role == "input" else 2.0 if role in ("metric", "explorer") else 7.0
    at = {"x": _number(x), "y": _number(y), "width": _number(width), "height": _number(height), "rx": _number(rounding)}
    return Element("rect", {**at, "fill": look.fill, "stroke": look.stroke, "stroke-width": _number(thickness)})


def _text(text: str, x: float, y: float, size: float, bold: bool = False) -> Element:
    weight = {"font-weight": "600"} if bold else {}
    at = {"x": _number(x), "y": _number(y), "font-size": _number(size), "text-anchor": "middle", "fill": INK}
    written = Element("text", at | weight)
    written.text = text
    return written


def _group(parent: Element, x: float, y: float) -> Element:
    return _append(parent, "g", {"transform": f"translate({_number(x)} {_number(y)})"})


def _append(parent: Element, tag: str, attributes: dict[str, str] | None = None, text: str | None = None) -> Element:
    child = ElementTree.SubElement(parent, tag, attributes or {})
    child.text = text
    return child


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
