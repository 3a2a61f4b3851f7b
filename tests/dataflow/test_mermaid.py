from __future__ import annotations

import html
import re

import numpy as np
import pytest

from mlpipeline.dataflow.drawing.boxes import make_boxes
from mlpipeline.dataflow.drawing.mermaid import escaped, to_mermaid
from mlpipeline.dataflow.graph import make_graph
from mlpipeline.dataflow.layer import Lambda
from mlpipeline.dataflow.node import Input
from tests.dataflow.graphs import large, small, small_fitted

# what a line may be; the texts within quotes have no character with a meaning in Mermaid
LINE = re.compile(
    r"flowchart TD"
    r"|  n\d+(\(\[|\[|\{\{)\"([\w ,()]|#\d+;|<br/>)+\"(\]\)|\]|\}\}):::is_[a-z]+"
    r"|  n\d+ (-->|-\.->) n\d+"
    r"|  classDef [a-z_]+ (fill:#[0-9a-f]{6},)?stroke:#[0-9a-f]{6},(color:#[0-9a-f]{6}|stroke-width:3px)"
    r"|  class n\d+(,n\d+)* learning"
)
STRANGE = 'end "]):::x --> n0 | {a} #35; `b` <b> 1. - %%{init}%% $$x$$ \n\x00 style:#1; größe 高さ 😀 @ \\ ~ _ * & ;'


def shown(text: str) -> str:
    """Return what a reader sees: #34; becomes &#34; and that a quote."""
    return html.unescape(re.sub(r"#(\d+);", r"&#\1;", text))


@pytest.mark.parametrize("name", ["small", "fitted", "large", "strange"])
def test_every_line_is_one_that_mermaid_knows(name: str) -> None:
    x = Input(STRANGE)
    strange = make_graph(x, Lambda(np.clip, a_min=STRANGE)([x, x], f"1. {STRANGE}"), (), ())
    graph = {"small": small(), "fitted": small(), "large": large(), "strange": strange}[name]
    for line in to_mermaid(graph, small_fitted(graph) if name == "fitted" else None).splitlines():
        assert LINE.fullmatch(line), line


def test_any_text_is_shown_as_it_is() -> None:
    assert shown(escaped(STRANGE)) == STRANGE.replace("\n", "").replace("  ", " ").replace("\x00", "\ufffd")


def test_boxes_arrows_and_roles_are_there() -> None:
    graph = small()
    text = to_mermaid(graph, small_fitted(graph))
    number = {box.name: f"n{i}" for i, box in enumerate(make_boxes(graph, None))}
    assert f"  {number['label']} -.-> {number['near']}\n" in text
    assert f"  {number['x']} --> {number['centered']}\n" in text
    assert text.count(f"  {number['left, right']} --> {number['product']}\n") == 2
    assert f"class {number['near']} learning" in text
    box = next(line for line in text.splitlines() if line.startswith(f"  {number['near']}["))
    assert box.endswith(":::is_output")
    assert "(n, 2) float64<br/>learned centers, n" in box
