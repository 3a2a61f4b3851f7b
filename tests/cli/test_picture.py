"""What the terminal shows while a queue runs; with MLPIPELINE_PICTURES a picture of it is left in that folder."""

from __future__ import annotations

import io
import os
import re
from pathlib import Path

from rich.console import Console

from mlpipeline.cli.live_screen import render_board, render_results
from mlpipeline.reports.history import History
from mlpipeline.reports.overview import read_overview
from tests.support import Folder, wait_until

TRAIN = """
rate = version["learning_rate"]
sum(range(4_000_000))
loss = 0.69 * (1 - rate) ** 0.5
done = {"wide-0.1": 240, "wide-0.3": 96}.get(version.name, 400)
self.report(done, 400, loss=loss / (1 + done / 100), accuracy=0.95 - loss / (2 + done / 40))
if done < 400:
    Path(f"begun-{version.name}").touch(); wait_for("go")
"""
VERSIONS = [
    *(f"versions.add('deep-{rate}', learning_rate={rate})" for rate in (0.01, 0.1)),
    *(f"versions.add('wide-{rate}', learning_rate={rate})" for rate in (0.1, 0.3, 0.6, 0.9)),
]


def test_the_terminal_shows_what_has_ended_what_runs_and_what_is_left(folder: Folder) -> None:
    evaluate = (
        "{'loss': 0.11 + self.version['learning_rate'] / 9, 'accuracy': 0.97 - self.version['learning_rate'] / 9}"
    )
    folder.script("cnn_digits.py", TRAIN, versions=VERSIONS, evaluate=evaluate)
    folder.queue("cnn_digits.py")
    folder.start("-r", "-j", "2")
    wait_until(lambda: all((folder.root / f"begun-wide-{rate}").exists() for rate in (0.1, 0.3)))
    with History(folder.project) as history:
        wait_until(lambda: history.refresh() or read_overview(history).board.queued == 2)
        overview = read_overview(history)
        wait_until(lambda: all(row.progress() for row in overview.board.running))
    console = Console(file=io.StringIO(), record=True, width=104, force_terminal=True, highlight=False, markup=False)
    console.print("$ mlpipeline status --follow", style="bold")
    console.print(render_results(overview.ended), render_board(overview.board))
    picture = console.export_svg(title="mlpipeline", clear=False)
    shown = console.export_text()
    (folder.root / "go").touch()
    assert re.search(r"cnn_digits\.py +deep-0\.1 +SUCCEEDED", shown)
    assert re.search(r"cnn_digits\.py:wide-0\.1 .* 240/400 .* loss=0\.19", shown)
    assert "2 running  2 queued  2 done  0 failed" in shown
    if place := os.environ.get("MLPIPELINE_PICTURES"):
        # without the fonts that rich would fetch from elsewhere
        own = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)
        Path(place, "terminal.svg").write_text(own.replace("Fira Code", "DejaVu Sans Mono"), encoding="utf-8")
