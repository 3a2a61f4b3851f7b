"""Tables of a finished run: its history as CSV, and a readable account of scores and times."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from mlpipeline.ensemble.member import Member
from mlpipeline.ensemble.result import EnsembleResult


def history_csv(result: EnsembleResult) -> str:
    """Return a line for each epoch of each member: its name, the epoch from 1, and what was measured."""
    names = list(dict.fromkeys(name for member in result.members for name in member.fitted.history))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["member", "epoch", *names])
    for member in result.members:
        for epoch in range(epoch_count(member)):
            cells = [values[epoch] if epoch < len(values) else "" for values in _columns(member, names)]
            writer.writerow([member.name, epoch + 1, *cells])
    return text.getvalue()


def statistics_text(result: EnsembleResult, run: str) -> str:
    """Return the plan, the scores of each member with those of the epoch whose weights have predicted, and times."""
    splits = result.splits
    blocks = [
        f"run: {run}\nplan: {splits.description}, drawn with seed {splits.seed}, of {splits.row_count:,} rows\n"
        f"trainer: {type(result.work.trainer).__name__}",
        "Scores of each member's own validation rows\n" + _score_table(result),
    ]
    if any(member.fitted.history for member in result.members):
        blocks.append("The epoch whose weights have predicted, and what was measured in it\n" + _epoch_table(result))
    if result.oof_scores:
        blocks.append(_out_of_fold(result))
    blocks.append("Seconds\n" + _seconds_table(result))
    return "\n\n".join(blocks) + "\n"


def epoch_count(member: Member) -> int:
    """Return how many epochs a member was trained for."""
    return max((len(values) for values in member.fitted.history.values()), default=0)


def _columns(member: Member, names: Sequence[str]) -> list[list[float]]:
    return [member.fitted.history.get(name, []) for name in names]


def _score_table(result: EnsembleResult) -> str:
    names = list(result.scores)
    rows = [["member", "trained on", "judged by", *names]]
    for member, split in zip(result.members, result.splits, strict=True):
        scores = [_number(member.scores[name]) for name in names]
        rows.append([member.name, f"{len(split.train):,}", f"{len(split.valid):,}", *scores])
    lines = [f"{name}: {summary}" for name, summary in result.scores.items()]
    return "\n".join([_aligned(rows), *lines])


def _epoch_table(result: EnsembleResult) -> str:
    names = list(dict.fromkeys(name for member in result.members for name in member.fitted.history))
    rows = [["member", "epoch", *names]]
    for member in result.members:
        last = epoch_count(member)
        best = member.fitted.best_epoch or last
        values = [_number(column[best - 1]) if best <= len(column) else "" for column in _columns(member, names)]
        rows.append([member.name, f"{best} of {last}", *values])
    return _aligned(rows)


def _out_of_fold(result: EnsembleResult) -> str:
    count, total = len(result.predicted_rows), result.splits.row_count
    scores = [f"{name}: {_number(score)}" for name, score in result.oof_scores.items()]
    return "\n".join([f"Out-of-fold predictions together, {count:,} of {total:,} rows", *scores])


def _seconds_table(result: EnsembleResult) -> str:
    seconds = result.seconds
    rows = [[name, f"{value:.2f}"] for name, value in seconds.items()]
    return _aligned([*rows, ["all members", f"{sum(seconds.values()):.2f}"]])


def _number(value: float) -> str:
    return f"{value:.4f}" if 1e-3 <= abs(value) < 1e5 or value == 0 else f"{value:.4g}"


def _aligned(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[index]) for row in rows) for index in range(len(rows[0]))]
    lines = []
    for row in rows:
        first, *rest = (
            cell.ljust(width) if index == 0 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        lines.append("  ".join([first, *rest]).rstrip())
    return "\n".join(lines)
