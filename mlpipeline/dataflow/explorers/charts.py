"""Charts: frames of explorers as Altair charts. Each is given a frame, and returns a chart and what to say of it."""

from __future__ import annotations

from typing import Any

from mlpipeline.dataflow.pictures import plot_module

_BLUE = "#0072b2"
_MOST_HISTOGRAMS = 24
_MOST_SQUARES = 60  # columns of a heat map
_MOST_NUMBERS = 12  # columns up to which a heat map has numbers


def histograms(data: Any) -> tuple[Any, list[str]]:
    """Return a chart for each column, beside each other."""
    names = list(dict.fromkeys(data["column"]))
    shown = names[:_MOST_HISTOGRAMS]
    charts = [_histogram(data[data["column"] == name], str(name), alone=len(names) == 1) for name in shown]
    notes = [f"{len(shown)} of {len(names):,} columns"] if len(shown) < len(names) else []
    if len(charts) == 1:
        return charts[0], notes
    return plot_module("altair").concat(*charts, columns=4 if len(charts) > 4 else 2), notes


def scatter(data: Any) -> tuple[Any, list[str]]:
    """Return points; a third column is their colour."""
    alt = plot_module("altair")
    x, y, *colour = data.columns
    chart = alt.Chart(_records(data, ["x", "y", "colour"]))
    opacity = 0.7 if len(data) <= 500 else 0.35
    encoding = {
        "x": alt.X(field="x", type="quantitative", title=str(x)).scale(zero=False),
        "y": alt.Y(field="y", type="quantitative", title=str(y)).scale(zero=False),
    }
    if colour:
        encoding["color"] = _colour(data[colour[0]], str(colour[0]))
    chart = chart.mark_circle(size=30, opacity=opacity, color=_BLUE).encode(**encoding)
    return chart.properties(width=420, height=320), []


def heat_map(data: Any) -> tuple[Any, list[str]]:
    """Return a square for each pair of columns, from -1 in blue to 1 in orange; grey where there is no number."""
    alt = plot_module("altair")
    shown = data.iloc[:_MOST_SQUARES, :_MOST_SQUARES]
    names = [str(name) for name in shown.columns]
    axis = {"type": "nominal", "sort": names, "title": None}
    chart = alt.Chart(alt.InlineData(values=_squares(shown, names))).encode(
        x=alt.X(field="column", **axis), y=alt.Y(field="row", **axis)
    )
    there = chart.transform_filter("isValid(datum.value)")
    colour = alt.Color(field="value", type="quantitative", title=None)
    colours = there.mark_rect().encode(color=colour.scale(scheme="blueorange", domain=[-1, 1]))
    layers = chart.mark_rect(color="#cccccc") + colours
    if len(names) <= _MOST_NUMBERS:
        ink = alt.condition("abs(datum.value) > 0.7", alt.value("white"), alt.value("black"))
        number = alt.Text(field="value", type="quantitative", format=".2f")
        layers = layers + there.mark_text().encode(text=number, color=ink)
    notes = [f"{len(names)} of {len(data):,} columns"] if len(names) < len(data) else []
    side = max(160, min(40 * len(names), 640))
    return layers.properties(width=side, height=side), notes


def _squares(data: Any, names: list[str]) -> list[dict[str, Any]]:
    values = data.to_numpy().round(4).tolist()
    return [
        {"row": one, "column": other, "value": value if value == value else None}  # JSON has no NaN
        for one, row in zip(names, values, strict=True)
        for other, value in zip(names, row, strict=True)
    ]


def _histogram(data: Any, name: str, alone: bool) -> Any:
    alt = plot_module("altair")
    size = {"width": 420, "height": 260} if alone else {"width": 200, "height": 130}
    count = alt.Y(field="count", type="quantitative", title="count")
    if "value" in data and data["value"].notna().any():
        texts = list(data["value"])
        chart = alt.Chart(_records(data[["value", "count"]], ["value", "count"])).mark_bar(color=_BLUE)
        value = alt.Y(field="value", type="nominal", sort=texts, title=name)
        return chart.encode(x=alt.X(field="count", type="quantitative", title="count"), y=value).properties(
            width=size["width"], height=max(60, 16 * len(texts))
        )
    chart = alt.Chart(_records(data[["left", "right", "count"]], ["left", "right", "count"]))
    left = alt.X(field="left", type="quantitative", title=name, bin="binned").scale(zero=False)
    return chart.mark_bar(color=_BLUE).encode(x=left, x2=alt.X2(field="right"), y=count).properties(**size)


def _colour(values: Any, title: str) -> Any:
    alt = plot_module("altair")
    if values.dtype.kind in "iufb" and values.nunique() > 12:
        return alt.Color(field="colour", type="quantitative", title=title).scale(scheme="viridis")
    return alt.Color(field="colour", type="nominal", title=title).scale(range=_hues(values.nunique()))


def _hues(count: int) -> list[str]:
    hues = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b8a900", "#444444"]
    return [hues[i % len(hues)] for i in range(max(count, 1))]


def _records(data: Any, names: list[str]) -> Any:
    """Return the rows of a frame under names that Vega reads as they are, however many."""
    columns = [column.tolist() for _, column in data.items()]
    rows = [dict(zip(names, row, strict=False)) for row in zip(*columns, strict=True)]
    return plot_module("altair").InlineData(values=rows)
