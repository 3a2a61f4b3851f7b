"""Where boxes lie and how arrows run: layers from top to bottom, and no arrow through a box.

`place` -> `layers_of` (which row) -> `_with_bends` (long arrows get a place in each row between)
-> `_ordered_rows` (igraph crosses few arrows) -> `_spread` (room for each width, arrows straight).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from mlpipeline.dataflow.drawing.boxes import Link
from mlpipeline.dataflow.pictures import plot_module

WIDEST = 12  # boxes beside each other; a wider row becomes several
GAP = 28.0  # between boxes beside each other; half of it beside an arrow
ROW_GAP = 46.0  # between rows, where arrows bend
_BEND_WIDTH = 2.0


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
    """Return x of each vertex: in order, with room between, and arrows that go as little to the side as can be."""
    from scipy.optimize import linprog  # comes with scikit-learn
    from scipy.sparse import csr_array, eye_array, hstack, vstack

    beside = [pair for row in rows for pair in pairwise(row)]
    vertex, length = eye_array(len(widths)).tocsr(), eye_array(len(segments))
    left, right = np.array(beside, dtype=int).reshape(-1, 2).T
    source, target = np.array(segments, dtype=int).reshape(-1, 2).T
    aside = vertex[source] - vertex[target]
    # unknown are x of each vertex, and of each segment a length that is at least what it goes to either side
    between = hstack([vertex[left] - vertex[right], csr_array((len(beside), len(segments)))])
    limits: Any = vstack([between, hstack([aside, -length]), hstack([-aside, -length])])
    limit = [-_distance(*pair, widths) for pair in beside] + [0.0] * (2 * len(segments))
    weights = np.array([1.0, 3.0, 12.0])[1 * (source >= boxes) + (target >= boxes)]  # long arrows are kept straight
    solved = np.asarray(linprog([*np.zeros(len(widths)), *weights], A_ub=limits, b_ub=limit).x)
    return [float(x) for x in solved[: len(widths)]]


def _distance(one: int, other: int, widths: list[float]) -> float:
    between_boxes = widths[one] > _BEND_WIDTH and widths[other] > _BEND_WIDTH
    return (widths[one] + widths[other]) / 2 + (GAP if between_boxes else GAP / 2)


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
