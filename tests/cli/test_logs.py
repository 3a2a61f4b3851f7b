"""`mlpipeline logs` as a user meets it."""

from __future__ import annotations

import signal
from pathlib import Path

from click.testing import CliRunner, Result

from mlpipeline.cli.main import queue
from mlpipeline.cli.tables import safe_text
from tests.cli.terminal import on_a_terminal
from tests.reports.records import end, start, write
from tests.support import Folder, wait_until

SHARED = "versions.add('v1', model_dir_suffix='one')", "versions.add('v2', model_dir_suffix='one')"
PRINTS = "print('i am', version.name, os.environ['MLPIPELINE_RUN_ID'])\nsys.stdout.write('no end')"


def logs(folder: Folder, *arguments: str) -> Result:
    return CliRunner().invoke(queue, ["-C", str(folder.root), "logs", *arguments], catch_exceptions=False)


def written(folder: Folder, text: str, **values: object) -> None:
    """Write a record, and what its run has printed."""
    record = end(1, **values)
    write(folder.outputs, record)
    path = folder.outputs / record["model_dir"] / "stdout.log"
    path.parent.mkdir(parents=True)
    path.write_bytes(text.encode())


def test_only_the_part_of_the_run_is_printed(folder: Folder) -> None:
    folder.script("a.py", PRINTS, versions=list(SHARED))
    folder.queue("a.py")
    folder.run("-r")
    folder.run("-r")
    ids = [record["run_id"] for record in folder.history()]
    for name, place in (("a:v1", 2), (f"a:v1@{ids[0]}", 0), ("a:v2", 3), (f"a:v2@{ids[1]}", 1)):
        printed = logs(folder, name).stdout
        assert printed == f"i am v{place % 2 + 1} {ids[place]}\nno end", name


def test_lines_that_look_like_headers_are_no_end(folder: Folder) -> None:
    text = "--- epoch 1 ---\n--- a b ---\nlast\n"
    written(folder, f"--- a.py:v1 run000001 ---\n{text}--- a.py:v1 20260101T000000-0123456789ab ---\nanother\n")
    assert logs(folder, "a:v1").stdout == text


def test_colours_stay_and_other_control_characters_do_not_reach_a_terminal(folder: Folder) -> None:
    text = "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x1b[2J \x9b31m bell\x07 10%\r20%\rdone\r\nü\ttab\n"
    written(folder, f"--- a.py:v1 run000001 ---\n{text}")
    shown = on_a_terminal(folder, "logs", "a:v1", columns=200)
    assert "\x1b[31mred\x1b[0m" not in shown  # it was drawn over
    assert shown.replace("\r\n", "\n").startswith("done\nü\ttab\n")
    assert safe_text("\x1b[31mred\x1b[2J\x07", keeps_colours=True) == "\x1b[31mred\\x1b[2J\\x07\x1b[0m"


def test_a_pipe_gets_no_colours(folder: Folder) -> None:
    written(folder, "--- a.py:v1 run000001 ---\n\x1b[31mred\x1b[0m \x1b[2J\n")
    assert folder.run("logs", "a:v1").stdout == "red \\x1b[2J\n"


def test_it_follows_until_the_run_ends(folder: Folder, tmp_path: Path) -> None:
    steps = "print('first')\nwait_for('go')\nprint('second')\nwait_for('end')\nprint('third')"
    folder.script("a.py", steps)
    folder.queue("a.py")
    daemon = folder.start("-r")
    wait_until(lambda: folder.history("start"))
    follower = folder.start("logs", "a:v1", "--follow")
    assert follower.stdout is not None
    assert follower.stdout.readline() == "first\n"
    (tmp_path / "go").touch()
    assert follower.stdout.readline() == "second\n"
    assert follower.poll() is None
    (tmp_path / "end").touch()
    assert follower.communicate(timeout=30)[0] == "third\n"
    assert (follower.returncode, daemon.wait(timeout=30)) == (0, 0)


def test_ctrl_c_ends_following_quietly(folder: Folder, tmp_path: Path) -> None:
    folder.script("a.py", "print('first')\nwait_for('end')")
    folder.queue("a.py")
    folder.start("-r")
    wait_until(lambda: folder.history("start"))
    follower = folder.start("logs", "a:v1", "-f")
    assert follower.stdout is not None
    assert follower.stdout.readline() == "first\n"
    follower.send_signal(signal.SIGINT)
    assert follower.communicate(timeout=30)[0] == ""
    assert follower.returncode == 0
    (tmp_path / "end").touch()


def test_what_is_not_there_is_said(folder: Folder) -> None:
    write(folder.outputs, end(1), start(2, model_dir="../../etc"))
    assert "no output of a.py:v1 run000001 is kept" in folder.run("logs", "a:v1").stderr
    assert "has no folder in this project" in folder.run("logs", "a:v2").stderr
    assert "no run of a.py:v9 is recorded" in folder.run("logs", "a:v9", expect=2).stderr
