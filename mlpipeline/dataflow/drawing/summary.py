"""Summary: a graph as a table of text."""

from __future__ import annotations

from io import StringIO

from mlpipeline.dataflow.drawing.captions import count_values, layer_caption, spec_of, value_captions
from mlpipeline.dataflow.drawing.text import printable
from mlpipeline.dataflow.graph import Fitted, Graph
from mlpipeline.dataflow.layer import StatefulLayer
from mlpipeline.dataflow.node import Application, Node
from mlpipeline.dataflow.pictures import counted
from mlpipeline.dataflow.spec import Spec, shape_text

_COLUMNS = ("node", "layer", "from", "shape", "dtype", "state", "values")


def summarize(graph: Graph, fitted: Fitted | None, width: int = 120) -> str:
    """Return a table with a row for each node, and how much was learned.

    Args:
        width: characters of a line at most; longer cells are broken.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in _COLUMNS:
        table.add_column(column, justify="right" if column == "values" else "left", overflow="fold")
    for row in _rows(graph, fitted):
        table.add_row(*map(Text, row))
    console = Console(file=StringIO(), width=width, force_terminal=False, color_system=None, legacy_windows=False)
    with console.capture() as written:
        console.print(table)
    lines = [line.rstrip() for line in written.get().splitlines()]
    return "\n".join([*(line for line in lines if line), "", _total(graph, fitted), ""])


def _rows(graph: Graph, fitted: Fitted | None) -> list[tuple[str, ...]]:
    rows = [_row(graph, node, "Input", [], [], "", fitted) for node in graph.inputs]
    for application in graph.applications:
        for node in application.outputs:
            first = node.position == 0  # what was learned is told once, and counted once
            state, count = _state(application, fitted) if first else ([], "")
            sources = [graph.labels[each] for each in application.features]
            sources += [f"{graph.labels[each]} (to fit)" for each in application.labels]
            rows.append(_row(graph, node, layer_caption(application.layer), sources, state, count, fitted))
    return rows


def _row(
    graph: Graph, node: Node, layer: str, sources: list[str], state: list[str], count: str, fitted: Fitted | None
) -> tuple[str, ...]:
    observes = node.application is not None and node.application.layer.is_observer
    shape, dtype = ("", "") if observes else _spec_cells(spec_of(node, fitted))
    cells = [[graph.labels[node] + _role(graph, node)], [layer], sources, [shape], [dtype], state, [count]]
    return tuple("\n".join(printable(line) for line in cell if line) for cell in cells)


def _spec_cells(spec: Spec) -> tuple[str, str]:
    return shape_text(spec.shape), "?" if spec.dtype is None else str(spec.dtype)


def _role(graph: Graph, node: Node) -> str:
    roles = {"output": graph.outputs, "metric": graph.metrics, "explorer": graph.explorers}
    return "".join(f" ({role})" for role, nodes in roles.items() if node in nodes)


def _state(application: Application, fitted: Fitted | None) -> tuple[list[str], str]:
    if not isinstance(application.layer, StatefulLayer):
        return [], ""
    if fitted is None or application not in fitted.layers:
        return ["not fitted"], ""
    learned = fitted.layers[application].metadata
    return value_captions(learned) or ["nothing"], f"{count_values(learned):,}"


def _total(graph: Graph, fitted: Fitted | None) -> str:
    learning = [each for each in graph.applications if isinstance(each.layer, StatefulLayer)]
    parts = [
        counted(len(graph.inputs), "input"),
        counted(len(graph.applications), "layer"),
        f"{len(learning)} of them {'learns' if len(learning) == 1 else 'learn'}",
    ]
    if fitted is None:
        return f"{', '.join(parts)}; not fitted"
    values = sum(count_values(layer.metadata) for layer in fitted.layers.values())
    return f"{', '.join(parts)}; {counted(values, 'value')} learned"
