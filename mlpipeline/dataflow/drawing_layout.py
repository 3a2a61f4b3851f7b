"""Where boxes lie and how arrows run: layers from top to bottom, and no arrow through a box.

`place` -> `layers_of` (which row) -> `_with_bends` (long arrows get a place in each row between)
-> `_ordered_rows` (igraph crosses few arrows) -> `_spread` (room for each width, arrows straight).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from mlpipeline.dataflow.boxes import Link
from mlpipeline.dataflow.plotting import plot_module

WIDEST = 8  # boxes beside each other; a wider row becomes several
GAP = 28.0  # between boxes beside each other
ROW_GAP = 46.0  # between rows, where arrows bend
_BEND_WIDTH = 4.0
_SWEEPS = 300


@dataclass(frozen=True)
class Placement:
    """Where everything lies; the left top corner is (0, 0).

    Args:
        centers: (x, y) of each box.
        bends: for each link, (x, top, bottom) of the rows that it passes between two boxes.
        bottoms: for each box, where its row ends.
        tops: for each box, where its row begins.
    """

    centers: list[tuple[float, float]]
    bends: list[list[tuple[float, float, float]]]
    tops: list[float]
    bottoms: list[float]
    width: float
    height: float


def place(sizes: Sequence[tuple[float, float]], links: Sequence[Link]) -> Placement:
    """Return where boxes of these sizes (width, height) lie and where the links between them bend.

    Raises: PipelineError: igraph is not installed.
    """
    pairs = [(link.source, link.target) for link in links]
    rows_of, paths = _with_bends(layers_of(len(sizes), pairs), pairs)
    segments = [segment for path in paths for segment in zip(path, path[1:], strict=False)]
    rows = _ordered_rows(rows_of, segments)
    widths = [width for width, _ in sizes] + [_BEND_WIDTH] * (len(rows_of) - len(sizes))
    x = _spread(rows, widths, segments, len(sizes))
    edges = _row_edges(rows, sizes)
    box_edges = [edges[rows_of[box]] for box in range(len(sizes))]
    return Placement(
        centers=[(x[box], (top + bottom) / 2) for box, (top, bottom) in enumerate(box_edges)],
        bends=[[(x[bend], *edges[rows_of[bend]]) for bend in path[1:-1]] for path in paths],
        tops=[top for top, _ in box_edges],
        bottoms=[bottom for _, bottom in box_edges],
        width=max(at + width / 2 for at, width in zip(x, widths, strict=True)),
        height=max(bottom for _, bottom in edges),
    )


def layers_of(count: int, pairs: Sequence[tuple[int, int]]) -> list[int]:
    """Return the row of each box: below all that it stands on, near what stands on it, rows not too wide."""
    after: dict[int, list[int]] = defaultdict(list)
    before: dict[int, list[int]] = defaultdict(list)
    for source, target in pairs:
        after[source].append(target)
        before[target].append(source)
    row = [0] * count
    for box in range(count):  # boxes come after those that they stand on
        row[box] = max((row[source] + 1 for source in before[box]), default=0)
    for box in reversed(range(count)):
        if len(after[box]) > len(before[box]):
            row[box] = min(row[target] for target in after[box]) - 1
    return _narrow(row)


def _narrow(row: list[int]) -> list[int]:
    members: dict[int, list[int]] = defaultdict(list)
    for box, at in enumerate(row):
        members[at].append(box)
    result, shift = [0] * len(row), 0
    for _, boxes in sorted(members.items()):
        count = -(-len(boxes) // WIDEST)
        for i, box in enumerate(boxes):
            result[box] = shift + i * count // len(boxes)
        shift += count
    return result


def _with_bends(rows_of: list[int], pairs: Sequence[tuple[int, int]]) -> tuple[list[int], list[list[int]]]:
    """Add a vertex for each row that a link passes; return the row of each vertex, and each link's vertices."""
    rows, paths = list(rows_of), []
    for source, target in pairs:
        passed = range(rows[source] + 1, rows[target])
        paths.append([source, *range(len(rows), len(rows) + len(passed)), target])
        rows += passed
    return rows, paths


def _ordered_rows(rows_of: list[int], segments: list[tuple[int, int]]) -> list[list[int]]:
    igraph = plot_module("igraph")
    layout = igraph.Graph(len(rows_of), segments, directed=True).layout_sugiyama(layers=rows_of)
    rows: list[list[int]] = [[] for _ in range(max(rows_of) + 1)]
    for vertex in sorted(range(len(rows_of)), key=lambda vertex: (layout[vertex][0], vertex)):
        rows[rows_of[vertex]].append(vertex)
    return rows


def _spread(rows: list[list[int]], widths: list[float], segments: list[tuple[int, int]], boxes: int) -> list[float]:
    """Return x of each vertex: in order, with room between, as near as can be to what it is linked with."""
    neighbours: list[list[tuple[int, float]]] = [[] for _ in widths]
    for source, target in segments:
        weight = (1.0, 3.0, 12.0)[(source >= boxes) + (target >= boxes)]  # long arrows are kept straight
        neighbours[source].append((target, weight))
        neighbours[target].append((source, weight))
    offsets = [_offsets(row, widths) for row in rows]
    x = [0.0] * len(widths)
    for row, offset in zip(rows, offsets, strict=True):
        for vertex, at in zip(row, offset, strict=True):
            x[vertex] = at - offset[-1] / 2
    for sweep in range(_SWEEPS):
        moved = 0.0
        for number in range(len(rows)) if sweep % 2 == 0 else reversed(range(len(rows))):
            moved = max(moved, _settle(rows[number], offsets[number], neighbours, x))
        if moved < 0.05:
            break
    left = min(at - width / 2 for at, width in zip(x, widths, strict=True))
    return [at - left for at in x]


def _offsets(row: list[int], widths: list[float]) -> list[float]:
    offsets = [0.0]
    for one, other in zip(row, row[1:], strict=False):
        offsets.append(offsets[-1] + (widths[one] + widths[other]) / 2 + GAP)
    return offsets


def _settle(row: list[int], offset: list[float], neighbours: list[list[tuple[int, float]]], x: list[float]) -> float:
    """Move the vertices of a row to where they are drawn to, as far as their order allows; return the farthest move."""
    blocks: list[tuple[float, float, int]] = []  # (where, weight, how many) of vertices that touch
    for vertex, at in zip(row, offset, strict=True):
        weight = sum(weight for _, weight in neighbours[vertex]) or 1e-3
        drawn = sum(weight * x[other] for other, weight in neighbours[vertex]) / weight
        block = ((drawn if neighbours[vertex] else x[vertex]) - at, weight, 1)
        while blocks and blocks[-1][0] > block[0]:
            where, heavy, count = blocks.pop()
            total = heavy + block[1]
            block = ((where * heavy + block[0] * block[1]) / total, total, count + block[2])
        blocks.append(block)
    settled = [where for where, _, count in blocks for _ in range(count)]
    moved = 0.0
    for vertex, at, where in zip(row, offset, settled, strict=True):
        moved = max(moved, abs(x[vertex] - where - at))
        x[vertex] = where + at
    return moved


def _row_edges(rows: list[list[int]], sizes: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    edges, top = [], 0.0
    for row in rows:
        height = max(sizes[vertex][1] for vertex in row if vertex < len(sizes))
        edges.append((top, top + height))
        top += height + ROW_GAP
    return edges
