"""Where boxes lie and how arrows run: layers from top to bottom, and no arrow through a box.

`place` -> `layers_of` (which row) -> `_with_bends` (long arrows get a place in each row between)
-> `_ordered_rows` (igraph crosses few arrows) -> `_spread` (room for each width) -> `_straighten`
(long arrows bend where they must).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from mlpipeline.dataflow.drawing.boxes import Link
from mlpipeline.dataflow.pictures import plot_module

WIDEST = 12  # boxes beside each other; a wider row becomes several
GAP = 28.0  # between boxes beside each other; half of it beside an arrow
ROW_GAP = 46.0  # between rows, where arrows bend
_BEND_WIDTH = 2.0
_SWEEPS = 300
INFINITE = float("inf")


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
    segments = [segment for path in paths for segment in pairwise(path)]
    rows = _ordered_rows(rows_of, segments)
    widths = [width for width, _ in sizes] + [_BEND_WIDTH] * (len(rows_of) - len(sizes))
    x = _spread(rows, widths, segments, len(sizes))
    _straighten(rows, paths, widths, x)
    left = min(at - width / 2 for at, width in zip(x, widths, strict=True))
    x = [at - left for at in x]
    edges = _row_edges(rows, sizes, _gaps(rows_of, segments, x))
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
    return x


def _straighten(rows: list[list[int]], paths: list[list[int]], widths: list[float], x: list[float]) -> None:
    """Move the bends of each long link between their neighbours, so that it runs straight down for long."""
    beside: dict[int, tuple[float, float]] = {}
    neighbour = {vertex: (row, i) for row in rows for i, vertex in enumerate(row)}
    for path in sorted((path for path in paths if len(path) > 2), key=len):
        for vertex in path[1:-1]:
            row, i = neighbour[vertex]
            low = x[row[i - 1]] + _distance(row[i - 1], vertex, widths) if i else -INFINITE
            high = x[row[i + 1]] - _distance(vertex, row[i + 1], widths) if i + 1 < len(row) else INFINITE
            beside[vertex] = low, high
        _straighten_path(path, beside, x)


def _straighten_path(path: list[int], beside: dict[int, tuple[float, float]], x: list[float]) -> None:
    bends, at = path[1:-1], x[path[0]]
    while bends:
        low, high = -INFINITE, INFINITE
        run = 0
        for vertex in bends:
            tighter = max(low, beside[vertex][0]), min(high, beside[vertex][1])
            if tighter[0] > tighter[1]:
                break
            (low, high), run = tighter, run + 1
        run = max(run, 1)  # neighbours that touch leave one place, and rounding less than that
        toward = x[path[-1]] if run == len(bends) and not low <= at <= high else at
        at = min(max(toward, low), high)
        for vertex in bends[:run]:
            x[vertex] = at
        bends = bends[run:]


def _distance(one: int, other: int, widths: list[float]) -> float:
    between_boxes = widths[one] > _BEND_WIDTH and widths[other] > _BEND_WIDTH
    return (widths[one] + widths[other]) / 2 + (GAP if between_boxes else GAP / 2)


def _offsets(row: list[int], widths: list[float]) -> list[float]:
    offsets = [0.0]
    for one, other in pairwise(row):
        offsets.append(offsets[-1] + _distance(one, other, widths))
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


def _gaps(rows_of: list[int], segments: list[tuple[int, int]], x: list[float]) -> list[float]:
    """Return the room below each row: more where arrows go far to the side."""
    gaps = [ROW_GAP] * (max(rows_of) + 1)
    for source, target in segments:
        row = rows_of[source]
        gaps[row] = max(gaps[row], min(ROW_GAP + 0.06 * abs(x[source] - x[target]), 2.5 * ROW_GAP))
    return gaps


def _row_edges(
    rows: list[list[int]], sizes: Sequence[tuple[float, float]], gaps: list[float]
) -> list[tuple[float, float]]:
    edges, top = [], 0.0
    for row, gap in zip(rows, gaps, strict=True):
        height = max(sizes[vertex][1] for vertex in row if vertex < len(sizes))
        edges.append((top, top + height))
        top += height + gap
    return edges
