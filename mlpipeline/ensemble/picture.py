"""Picture: what each member learnt, epoch by epoch, with the mean of all; or their scores, if there are no epochs."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any

from mlpipeline.ensemble.member import Member
from mlpipeline.ensemble.result import EnsembleResult
from mlpipeline.ensemble.scores import Summary

_log = logging.getLogger(__name__)

TRAINING, VALIDATION, HELD_BACK = "training", "validation", "held back"
_PARTS = {"val_": VALIDATION, "stop_": HELD_BACK}
_COLOURS = {TRAINING: "#0072b2", VALIDATION: "#d55e00", HELD_BACK: "#009e73"}  # Okabe and Ito's, for every kind of eye
_MOST_EPOCHS = 200  # points of a curve; more cannot be told apart
_SIZE = {"width": 400, "height": 260}

Row = dict[str, Any]


def folds_picture(result: EnsembleResult, run: str) -> bytes | None:
    """Return a PNG of the curves of all members, thin, with their mean, thick; None without the extra `plot`.

    Args:
        result: of a finished run. run: its name, which becomes the title.
    """
    try:
        import altair as alt
        import vl_convert
    except ImportError:
        _log.info('there is no picture of the folds without altair and vl-convert: pip install "mlpipeline[plot]"')
        return None
    metrics = _metrics(result.members)
    charts = [_curve_chart(alt, metric, rows) for metric, rows in metrics.items()]
    charts = charts or [_score_chart(alt, result, name, summary) for name, summary in result.scores.items()]
    if not charts:
        return None
    notes = _curve_notes(result.members) if metrics else _score_notes(result.members)
    title = alt.Title(run, subtitle=[result.splits.description, *notes], anchor="start", offset=14)
    chart = alt.concat(*charts, columns=min(len(charts), 2 if len(charts) <= 4 else 3), title=title, spacing=36)
    specification = _styled(alt, chart).to_dict()
    specification.setdefault("datasets", {}).update(metrics)  # only now: Altair would look at each number
    picture: bytes = vl_convert.vegalite_to_png(specification, scale=1.5)
    return picture


def mean_curve(curves: Sequence[Sequence[float]]) -> list[float]:
    """Return the mean of curves, as far as the shortest goes: a mean over fewer members would jump."""
    return [sum(values) / len(values) for values in zip(*curves, strict=False)]


def _metrics(members: Sequence[Member]) -> dict[str, list[Row]]:
    """Return what is drawn for each metric: a row for each point of each member's curve, and of the mean."""
    metrics: dict[str, list[Row]] = {}
    for name in dict.fromkeys(name for member in members for name in member.fitted.history):
        metric, part = _read_name(name)
        rows = metrics.setdefault(metric, [])
        having = [member for member in members if name in member.fitted.history]
        for member in having:
            rows += _rows(part, member.name, member.fitted.history[name], member.fitted.best_epoch)
        rows += _rows(part, None, mean_curve([member.fitted.history[name] for member in having]), None)
    return metrics


def _read_name(name: str) -> tuple[str, str]:
    """Return the metric and the rows that a name of a history stands for: `val_loss` is the validation rows' loss."""
    for beginning, part in _PARTS.items():
        if name.startswith(beginning):
            return name.removeprefix(beginning), part
    return name, TRAINING


def _rows(part: str, member: str | None, values: Sequence[float], best_epoch: int | None) -> list[Row]:
    """Return the points of a curve; without a member, of a mean."""
    last = len(values)
    chosen = best_epoch if best_epoch and best_epoch < last else None  # the last needs no mark
    step = math.ceil(last / _MOST_EPOCHS) or 1
    epochs = sorted({*range(1, last + 1, step), last, chosen or last}) if last else []
    return [
        {
            "rows": part,
            "member": member,
            "epoch": epoch,
            "value": values[epoch - 1],
            "is_chosen": epoch == chosen,
        }
        for epoch in epochs
    ]


def _curve_chart(alt: Any, metric: str, rows: list[Row]) -> Any:
    parts = [part for part in _COLOURS if any(row["rows"] == part for row in rows)]
    colours = alt.Scale(domain=parts, range=[_COLOURS[part] for part in parts])
    last = max(row["epoch"] for row in rows)
    ticks = alt.Axis(format="d", values=list(range(1, last + 1))) if last <= 10 else alt.Axis(format="d")
    chart = alt.Chart(alt.NamedData(metric)).encode(
        x=alt.X("epoch:Q", title="epoch", axis=ticks).scale(nice=False),
        y=alt.Y("value:Q", title=metric.replace("_", " ")).scale(zero=False),
        color=alt.Color("rows:N", scale=colours),
    )
    members = chart.transform_filter("datum.member !== null")
    mean = chart.transform_filter("datum.member === null")
    dots = members.transform_filter(f"datum.is_chosen && datum.rows === '{parts[-1]}'")
    count = len({row["member"] for row in rows})
    point = last == 1  # a line needs two
    return alt.layer(
        members.mark_line(point=point, strokeWidth=1, opacity=max(0.1, min(0.5, 3 / count))).encode(detail="member:N"),
        mean.mark_line(strokeWidth=4.5, opacity=0.8).encode(color=alt.value("white"), detail="rows:N"),  # sets it off
        mean.mark_line(point=point, strokeWidth=2.5),
        dots.mark_point(size=55, filled=True, opacity=1, stroke="white", strokeWidth=1),
    ).properties(**_SIZE)


def _score_chart(alt: Any, result: EnsembleResult, name: str, summary: Summary) -> Any:
    scores = {member.name: member.scores[name] for member in result.members}
    rows = [{"member": member, "value": score} for member, score in scores.items() if math.isfinite(score)]
    title = name.replace("_", " ")
    score = alt.X("value:Q", title=title).scale(zero=False)
    points = alt.Chart(alt.InlineData(values=rows)).encode(x=score, y=alt.Y("member:N", sort=list(scores), title=None))
    layers = [points.mark_point(size=80, filled=True, opacity=1, color=_COLOURS[VALIDATION])]
    if math.isfinite(summary.mean):
        mean = alt.Chart(alt.InlineData(values=[{"value": summary.mean}])).encode(x=score)
        layers.insert(0, mean.mark_rule(strokeWidth=3.5, color=_COLOURS[TRAINING]))
    if all(map(math.isfinite, summary.interval)):
        low, high = summary.interval
        band = alt.Chart(alt.InlineData(values=[{"value": low, "high": high}])).encode(x=score, x2="high:Q")
        layers.insert(0, band.mark_rect(opacity=0.15, color=_COLOURS[TRAINING]))
    return alt.layer(*layers).properties(width=_SIZE["width"], height=max(120, 24 * len(scores)))


def _curve_notes(members: Sequence[Member]) -> list[str]:
    lengths = {len(values) for member in members for values in member.fitted.history.values()}
    notes = [f"thin: each of {len(members)} members; thick: their mean"]
    if len(lengths) > 1:
        notes[0] += f", up to epoch {min(lengths)}, where the first has stopped"
    if any(member.fitted.best_epoch not in (None, *lengths) for member in members):
        notes.append("dot: the epoch whose weights predict")
    return notes


def _score_notes(members: Sequence[Member]) -> list[str]:
    return [
        f"dots: each of {len(members)} members, judged by its validation rows; line and band: mean and 95 % interval"
    ]


def _styled(alt: Any, chart: Any) -> Any:
    return chart.configure(
        font="sans-serif", padding=16, background="white",
        axis=alt.AxisConfig(labelFontSize=13, titleFontSize=14, titlePadding=8, gridColor="#e8e8e8", labelSeparation=8),
        title=alt.TitleConfig(fontSize=18, subtitleFontSize=13, subtitlePadding=6),
        legend=alt.LegendConfig(labelFontSize=13, title=None, orient="top", symbolStrokeWidth=3, symbolOpacity=1),
    )  # fmt: skip
