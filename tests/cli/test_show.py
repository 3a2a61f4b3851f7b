"""`mlpipeline show` as a user meets it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from mlpipeline.cli.main import queue
from mlpipeline.cli.plots import draw, families
from mlpipeline.reports.curves import Curve
from tests.cli.terminal import HOSTILE, on_a_terminal
from tests.reports.records import end, start, write, write_curve
from tests.support import Folder

TRAIN = "for step in range(1, 41):\n    self.report(step, 40, loss=1 / step, accuracy=step / 40)"


def show(folder: Folder, *arguments: str) -> Result:
    return CliRunner().invoke(queue, ["-C", str(folder.root), "show", *arguments], catch_exceptions=False)


@pytest.fixture
def trained(folder: Folder) -> Folder:
    folder.script("a.py", TRAIN + "\nself.save_table('errors', {'x': [1, 2]})", versions=["versions.add('v1', seed=7)"])
    folder.queue("a.py")
    folder.run("-r")
    return folder


def test_a_run_is_shown_whole(trained: Folder) -> None:
    first = trained.history()[0]
    trained.run("-r")
    printed = trained.run("show", "a:v1").stdout
    lines = [line.split() for line in printed.splitlines()]
    assert lines[0] == ["a.py:v1", "SUCCEEDED"]
    for pair in (["seed", "7"], ["batch_size", "4"], ["test.accuracy", "0.5"], ["host", trained.project.host]):
        assert pair in lines
    assert any(line[:1] == [first["run_id"]] for line in lines)  # among the other runs
    assert f"artifacts/{trained.history()[1]['run_id']}/errors.csv" in printed
    for heading in ("parameters", "metrics", "libraries", "files", "loss over steps", "accuracy over steps"):
        assert heading in printed.splitlines()
    assert "\x1b" not in printed
    assert max(map(len, printed.splitlines())) <= 80


def test_an_earlier_run_is_shown_by_its_id(trained: Folder) -> None:
    run_id = trained.history()[0]["run_id"]
    trained.run("-r")
    assert run_id in show(trained, f"a:v1@{run_id}").output.splitlines()[1]
    assert "has no run zzz" in trained.run("show", "a:v1@zzz", expect=2).stderr


def test_a_terminal_gets_coloured_curves_that_fit(trained: Folder) -> None:
    shown = on_a_terminal(trained, "show", "a:v1", columns=80)
    assert "\x1b[32m\x1b[1mSUCCEEDED" in shown
    assert "━ loss 0.025" in shown


def test_a_failed_run_shows_its_error(folder: Folder) -> None:
    folder.script("a.py", "raise ValueError('too hot')")
    folder.queue("a.py")
    folder.run("-r", expect=1)
    printed = show(folder, "a:v1").output
    assert "ValueError: too hot" in printed
    assert "no curves" in printed


def test_one_curve_can_be_chosen_and_an_unknown_one_is_said(folder: Folder) -> None:
    record = end(1)
    write(folder.outputs, record)
    write_curve(folder.outputs, record, {name: [1.0, 2.0] for name in ("a", "b", "c", "d", "e", "train.a")})
    printed = show(folder, "a:v1").output
    assert 'not drawn: "e"' in printed
    assert "train.a 2" in printed
    assert "e over steps" in show(folder, "a:v1", "--curve", "e").output
    assert "there are a, b" in folder.run("show", "a:v1", "--curve", "z", expect=2).stderr


def test_hostile_records_are_shown_as_text(folder: Folder) -> None:
    values = {HOSTILE: [HOSTILE, {"nested": [None, True]}]}
    record = end(
        1, parameters=values, metrics={HOSTILE: "nan"}, status="FAILED", error=HOSTILE, libraries=[1], host=HOSTILE
    )
    record["model_dir"] = "../../etc"
    running = start(2, version="r", run_id="../../..", model_dir="model_ckpts/a-r")
    write(folder.outputs, record, running)
    (folder.outputs / "model_ckpts" / "a-r").mkdir(parents=True)
    printed = show(folder, "a:v1").output + show(folder, "a:r").output
    assert not {"\x1b", "\u202e"} & set(printed)
    assert "<script>" in printed


def test_curves_of_numbers_that_are_none_are_left_out() -> None:
    nan = float("nan")
    curves = {"loss": Curve([1, 2, 3], [0, 1, 2], [nan, 2.0, float("inf")]), "bad": Curve([1], [0], [nan])}
    assert families(curves) == {"loss": {"loss": Curve([2], [1], [2.0])}}


@pytest.mark.parametrize("values", [[1.0], [5.0, 5.0], [1e-300, 1e300], [0.0, -1.0, 1.0]])
def test_any_numbers_can_be_drawn(values: list[float], tmp_path: Path) -> None:
    steps = list(range(1, len(values) + 1))
    picture = draw({"x": Curve(steps, [0.0] * len(steps), values)}, 60, in_colours=False)
    assert "\x1b" not in picture
    assert max(map(len, picture.splitlines())) <= 60
