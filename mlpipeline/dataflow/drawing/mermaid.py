"""Mermaid: a graph as text that documents draw."""

from __future__ import annotations

from mlpipeline.dataflow.drawing.boxes import INK, ROLES, Box, make_boxes, make_links
from mlpipeline.dataflow.drawing.text import printable
from mlpipeline.dataflow.graph import Fitted, Graph

_PLAIN = frozenset(" ,()")
_SHAPES = {"input": ('(["', '"])'), "metric": ('{{"', '"}}'), "explorer": ('{{"', '"}}')}
_LONGEST = 60  # characters of one line


def to_mermaid(graph: Graph, fitted: Fitted | None) -> str:
    """Return a graph as a flowchart of Mermaid; dashed arrows are for fitting only."""
    boxes = make_boxes(graph, fitted)
    lines = ["flowchart TD"]
    lines += [f"  {_box_text(number, box)}" for number, box in enumerate(boxes)]
    for link in make_links(graph):
        arrow = "-.->" if link.for_fitting else "-->"
        lines.append(f"  n{link.source} {arrow} n{link.target}")
    for role in sorted({box.roles[0] for box in boxes}):
        look = ROLES[role]
        lines.append(f"  classDef {_class(role)} fill:{look.fill},stroke:{look.stroke},color:{INK}")
    learning = [f"n{number}" for number, box in enumerate(boxes) if "state" in box.roles[1:]]
    if learning:  # an output that learns: the fill of an output in the frame of what learns
        lines.append(f"  classDef learning stroke:{ROLES['state'].stroke},stroke-width:3px")
        lines.append(f"  class {','.join(learning)} learning")
    return "\n".join(lines) + "\n"


def escaped(text: str) -> str:
    """Return any text so that Mermaid shows it as it is, within quotes.

    All that is no letter or digit is written as the number of its character: quotes, brackets and
    colons have meanings there, and "1." or "- " would start a list.
    """
    return "".join(each if each.isalnum() or each in _PLAIN else f"#{ord(each)};" for each in printable(text))


def _box_text(number: int, box: Box) -> str:
    opening, closing = _SHAPES.get(box.roles[-1], ('["', '"]'))
    text = "<br/>".join(escaped(_cut(line)) for line in (box.name, box.kind, *box.details))
    return f"n{number}{opening}{text}{closing}:::{_class(box.roles[0])}"


def _cut(line: str) -> str:
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def _class(role: str) -> str:
    return f"is_{role}"  # a plain word could be one of Mermaid's own
