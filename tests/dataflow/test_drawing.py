from __future__ import annotations

import itertools
import re
import sys
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from mlpipeline.dataflow.drawing import draw, to_svg
from mlpipeline.dataflow.drawing.boxes import Link, make_boxes, make_links
from mlpipeline.dataflow.drawing.layout import GAP, WIDEST, layers_of, place
from mlpipeline.dataflow.drawing.text import printable, shortened, width_of
from mlpipeline.dataflow.graph import Graph, make_graph
from mlpipeline.dataflow.layer import Lambda
from mlpipeline.dataflow.node import Input
from mlpipeline.errors import PipelineError
from tests.dataflow.graphs import Center, large, small, small_fitted

SVG = "{http://www.w3.org/2000/svg}"
STRANGE = "größe <b>\"&' 高さ \x00 \ud800 ]]> \n\u202e #1; 😀"


def chain(length: int) -> Graph:
    node = first = Input("x", 5)
    for i in range(length):
        node = Center()(node, f"step {i}")
    return make_graph(first, node, (), ())


def wide(count: int) -> Graph:
    columns = [Input(f"c{i}") for i in range(count)]
    return make_graph(columns, Lambda(np.stack)([Center()(each) for each in columns], "all"), (), ())


def strange() -> Graph:
    x = Input(STRANGE * 3, (None, 3))
    return make_graph(x, Lambda(np.clip, a_min=0, a_max="W" * 99)(x, "W" * 80), (), ())


GRAPHS = {"small": small(), "large": large(), "chain": chain(30), "wide": wide(40), "strange": strange()}


@cache
def drawn(name: str) -> ElementTree.Element:
    return ElementTree.fromstring(to_svg(GRAPHS[name], None))


def boxes_of(root: ElementTree.Element) -> list[ElementTree.Element]:
    return [group for group in root.iter(f"{SVG}g") if group.get("class")]


def arrows_of(root: ElementTree.Element) -> list[ElementTree.Element]:
    return [path for path in root.iter(f"{SVG}path") if path.get("fill") == "none"]


def rectangle(box: ElementTree.Element) -> tuple[float, float, float, float]:
    rect = box.find(f"{SVG}rect")
    assert rect is not None
    x, y, width, height = (float(rect.get(name, "")) for name in ("x", "y", "width", "height"))
    return x, y, x + width, y + height


def route(path: str) -> list[tuple[float, float]]:
    """Return points along a path of M, V and C steps."""
    points: list[tuple[float, float]] = []
    for step, numbers in re.findall(r"([MVC])([^MVC]*)", path):
        values = [float(each) for each in re.findall(r"-?[\d.]+", numbers)]
        if step == "M":
            points.append((values[0], values[1]))
        elif step == "V":
            (x, y), end = points[-1], values[0]
            points += [(x, y + (end - y) * i / 10) for i in range(1, 11)]
        else:
            control = np.array([points[-1], *np.reshape(values, (3, 2)).tolist()])
            for t in np.linspace(0, 1, 21)[1:]:
                x, y = np.array([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t**2 * (1 - t), t**3]) @ control
                points.append((float(x), float(y)))
    return points


@pytest.mark.parametrize("name", GRAPHS)
def test_boxes_do_not_overlap_and_lie_in_the_picture(name: str) -> None:
    root = drawn(name)
    boxes = [rectangle(box) for box in boxes_of(root)]
    assert len(boxes) == len(GRAPHS[name].inputs) + len(GRAPHS[name].applications)
    for one, other in itertools.combinations(boxes, 2):
        beside = one[2] + GAP * 0.9 < other[0] or other[2] + GAP * 0.9 < one[0]
        assert beside or one[3] < other[1] or other[3] < one[1]
    assert min(box[0] for box in boxes) >= -0.1
    assert max(box[2] for box in boxes) + 2 * 15 < float(root.get("width", ""))
    assert max(box[3] for box in boxes) < float(root.get("height", ""))


@pytest.mark.parametrize("name", GRAPHS)
def test_arrows_run_from_box_to_box_and_through_none(name: str) -> None:
    root = drawn(name)
    boxes = [rectangle(box) for box in boxes_of(root)]
    for line, link in zip(arrows_of(root), make_links(GRAPHS[name]), strict=True):
        points = route(line.get("d", ""))
        assert points[0][1] == pytest.approx(boxes[link.source][3], abs=0.2)
        assert points[-1][1] == pytest.approx(boxes[link.target][1], abs=0.2)
        for left, top, right, bottom in boxes:
            assert not any(left < x < right and top + 0.2 < y < bottom - 0.2 for x, y in points)


@pytest.mark.parametrize("name", GRAPHS)
def test_text_lies_within_its_box(name: str) -> None:
    for box in boxes_of(drawn(name)):
        left, top, right, bottom = rectangle(box)
        assert right - left < 300
        for text in box.iter(f"{SVG}text"):
            half = width_of(text.text or "", float(text.get("font-size", "")), text.get("font-weight") == "600") / 2
            x_at, y_at = float(text.get("x", "")), float(text.get("y", ""))
            assert left + 8 < x_at - half
            assert x_at + half < right - 8
            assert top + 8 < y_at < bottom - 5


def test_the_picture_says_names_layers_shapes_and_what_was_learned() -> None:
    graph = small()
    before, after = (to_svg(graph, fitted) for fitted in (None, small_fitted(graph)))
    for said in (
        "near",
        "Nearest(power=1)",
        "(n, 4)",
        "not fitted",
        "left: (n, ...)",
        "for fitting only",
        "Lambda(multiply)",
    ):
        assert f">{said}<" in before
    for said in ("(n, 4) float64", "learned mean", "learned centers, n", "right: (n, 3) float64", "(n, 2) float64"):
        assert f">{said}<" in after


def test_every_role_has_its_own_colour_and_the_legend_says_which() -> None:
    root = drawn("small")
    fills = {}
    for box in boxes_of(root):
        rect = box.find(f"{SVG}rect")
        assert rect is not None
        fills[box.get("class", "").split()[0]] = rect.get("fill")
    assert set(fills) == {"input", "output", "metric", "explorer", "state", "layer"}
    assert len(set(fills.values())) == 6
    last = root.findall(f"{SVG}g")[-1]
    captions = [text.text for text in last.iter(f"{SVG}text")]
    assert captions == ["input", "layer", "learns", "output", "metric", "explorer", "for fitting only"]


def test_arrows_to_labels_are_dashed() -> None:
    dashed = [
        link
        for line, link in zip(arrows_of(drawn("small")), make_links(GRAPHS["small"]), strict=True)
        if line.get("stroke-dasharray")
    ]
    boxes = make_boxes(GRAPHS["small"], None)
    assert [(boxes[link.source].name, boxes[link.target].name) for link in dashed] == [("label", "near")]


def test_a_screen_reader_finds_a_title_and_a_description() -> None:
    root = ElementTree.fromstring(to_svg(small(), None, title="my <pipeline>"))
    assert root.get("role") == "img"
    assert root.find(f"{SVG}title").text == "my <pipeline>"  # type: ignore[union-attr]
    description = root.find(f"{SVG}desc").text or ""  # type: ignore[union-attr]
    assert "near (output and learns): Nearest(power=1) on product, label." in description


def test_any_name_gives_an_svg_that_can_be_read() -> None:
    x = Input(STRANGE)
    root = ElementTree.fromstring(to_svg(make_graph(x, Center()(x, f"{STRANGE} 2"), (), ()), None))
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert any(text and text.startswith("größe <b>\"&' 高さ \ufffd \ufffd") for text in texts)


def test_svg_and_png_files_are_written(tmp_path: Path) -> None:
    graph = small()
    assert draw(graph, None, tmp_path / "new" / "a.SVG").read_text(encoding="utf-8") == to_svg(graph, None)
    png = draw(graph, None, tmp_path / "a.png").read_bytes()
    width, height = (int.from_bytes(png[i : i + 4], "big") for i in (16, 20))
    root = ElementTree.fromstring(to_svg(graph, None))
    assert png.startswith(b"\x89PNG")
    assert (width, height) == pytest.approx(
        (2 * float(root.get("width", "")), 2 * float(root.get("height", ""))), abs=2
    )


def test_another_suffix_and_an_impossible_path_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"ends in .svg or .png, but got 'a.pdf'"):
        draw(small(), None, "a.pdf")
    (tmp_path / "file").touch()
    with pytest.raises(PipelineError, match="cannot be written"):
        draw(small(), None, tmp_path / "file" / "a.svg")


def test_a_missing_package_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "igraph", None)
    with pytest.raises(PipelineError, match=r'need igraph: pip install "mlpipeline\[plot\]"'):
        to_svg(small(), None)


def test_rows_lie_below_what_they_stand_on_and_are_not_too_wide() -> None:
    pairs = [(i, 40 + i) for i in range(40)] + [(40 + i, 80) for i in range(40)]
    rows = layers_of(81, pairs)
    assert all(rows[source] < rows[target] for source, target in pairs)
    assert max(np.bincount(rows)) <= WIDEST
    assert layers_of(4, [(0, 1), (1, 2), (2, 3), (0, 3)]) == [0, 1, 2, 3]
    assert layers_of(4, [(0, 2), (2, 3), (1, 3)]) == [0, 1, 1, 2]  # an input stands near what it is used for


def test_a_long_link_runs_straight_where_it_can() -> None:
    links = [Link(i, i + 1, 0, False) for i in range(9)] + [Link(0, 9, 0, False)]
    bends = place([(100.0, 50.0)] * 10, links).bends[-1]
    assert len(bends) == 8
    assert len({x for x, _, _ in bends}) == 1


def test_text_is_cut_to_a_width() -> None:
    assert shortened("short", 100, 12) == "short"
    cut = shortened("long " * 30, 100, 12)
    assert cut.endswith("…")
    assert 70 < width_of(cut, 12) <= 100
    assert width_of("高", 10) > width_of("i", 10)
    assert printable("a\n\tb\x07") == "a b\ufffd"
