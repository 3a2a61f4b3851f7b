"""What -u skips, what it runs again, and what becomes of runs that were cut off."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from mlpipeline.runner.journal import append_line
from tests.support import Folder, is_alive, wait_until


def test_history_skips_what_succeeded_until_code_or_parameters_change(folder: Folder) -> None:
    beside = folder.models / "beside.py"
    beside.write_text("VALUE = 7\n")
    script = folder.script("a.py", "import beside", versions=["v1", "v2"])
    folder.queue("a.py")
    folder.run("-r", "-u")
    os.utime(script)
    assert "2 skipped" in folder.run("-r", "-u").stdout
    beside.write_text("VALUE = 8\n")
    folder.run("-r", "-u")
    assert len(folder.history()) == 4
    folder.run("-r")
    assert len(folder.history()) == 6


def test_history_runs_failures_again(folder: Folder) -> None:
    folder.script("a.py", "assert Path('mended').exists()")
    folder.queue("a.py")
    folder.run("-r", "-u", expect=1)
    (folder.root / "mended").touch()
    folder.run("-r", "-u")
    assert [status for _, status in folder.ended()] == ["FAILED", "SUCCEEDED"]


def test_one_interrupt_lets_runs_end_cleanly(folder: Folder) -> None:
    folder.script("a.py", "try: Path('begun').touch(); wait_for('never')\nfinally: Path('cleaned').touch()")
    folder.queue("a.py")
    daemon = folder.start("-r")
    wait_until((folder.root / "begun").exists)
    daemon.send_signal(signal.SIGINT)
    assert daemon.wait(timeout=60) == 130
    assert (folder.root / "cleaned").exists()
    assert folder.ended() == [("v1", "INTERRUPTED")]


def test_a_second_interrupt_ends_runs_at_once(folder: Folder) -> None:
    train = """
        Path('begun').touch()
        while True:
            try: wait_for('never')
            except KeyboardInterrupt: Path('told').touch()
    """
    folder.script("a.py", train)
    folder.queue("a.py")
    daemon = folder.start("-r")
    wait_until((folder.root / "begun").exists)
    daemon.send_signal(signal.SIGINT)
    wait_until((folder.root / "told").exists)
    daemon.send_signal(signal.SIGINT)
    assert daemon.wait(timeout=5) == 130
    assert folder.ended() == [("v1", "INTERRUPTED")]


def test_a_run_that_ignores_the_interrupt_is_not_counted_done(folder: Folder) -> None:
    train = """
        Path('begun').touch()
        try: wait_for('never')
        except KeyboardInterrupt: pass
    """
    folder.script("a.py", train)
    folder.queue("a.py")
    daemon = folder.start("-r")
    wait_until((folder.root / "begun").exists)
    daemon.send_signal(signal.SIGINT)
    daemon.wait(timeout=60)
    assert folder.ended() == [("v1", "INTERRUPTED")]


def test_a_killed_daemon_takes_its_children_with_it_and_the_run_resumes(folder: Folder) -> None:
    train = """
        import subprocess
        print('resumed' if Path(self.model_dir, 'kept').exists() else 'fresh')
        Path(self.model_dir, 'kept').touch()
        if not Path('go').exists():
            Path('pids').write_text(f"{os.getpid()} {os.getppid()} {subprocess.Popen(['sleep', '1000']).pid}")
            wait_for('never')
    """
    more = "def clean_model_dir(self, model_dir): Path(model_dir, 'kept').unlink(missing_ok=True)"
    folder.script("a.py", train, versions=["v1"], more=more, arguments="allow_delete_model_dir=True")
    folder.script("done.py", versions="done")
    folder.queue("done.py", "a.py")
    daemon = folder.start("-r")
    pids = [int(pid) for pid in wait_until(lambda: _read(folder.root / "pids")).split()]
    daemon.kill()
    wait_until(lambda: not any(map(is_alive, pids)))
    (folder.root / "go").touch()
    folder.run("-r", "-u")
    assert folder.ended() == [("done", "SUCCEEDED"), ("v1", "INTERRUPTED"), ("v1", "SUCCEEDED")]
    assert "resumed" in (folder.model_dir("a-v1") / "stdout.log").read_text()
    folder.run("-r", "--only", "a")
    assert (folder.model_dir("a-v1") / "stdout.log").read_text().splitlines()[-1] == "fresh"


def test_a_result_whose_daemon_died_before_it_was_recorded_is_not_lost(folder: Folder) -> None:
    folder.script("a.py")
    folder.queue("a.py")
    folder.run("-r")
    (journal,) = folder.outputs.glob("history-*")
    start, _end = journal.read_text().splitlines()
    journal.write_text(start + "\n")
    folder.run("-r", "-u")
    (recovered,) = folder.history()
    assert (recovered["status"], recovered["recovered"]) == ("SUCCEEDED", True)
    assert recovered["metrics"] == {"train.accuracy": 0.5, "test.accuracy": 0.5}


def test_torn_and_damaged_lines_cost_only_themselves(folder: Folder) -> None:
    folder.script("a.py", versions=["v1", "v2"])
    folder.queue("a.py")
    folder.run("-r")
    (journal,) = folder.outputs.glob("history-*")
    lines = journal.read_text().splitlines()
    journal.write_text("\n".join([lines[0], lines[1], "{garbage", lines[2], lines[3][:40]]))
    done = folder.run("-r", "-u")
    assert f"{journal.name} line 3 is damaged and skipped" in done.stderr
    assert "a.py:v2 was left unfinished by an earlier daemon: SUCCEEDED" in done.stdout
    records = [json.loads(line) for line in _good_lines(journal)]
    assert [(record["version"], record["event"]) for record in records] == [
        ("v1", "start"),
        ("v1", "end"),
        ("v2", "start"),
        ("v2", "end"),
    ]


def test_a_full_disk_stops_the_queue_and_keeps_what_was_recorded(folder: Folder) -> None:
    folder.script("a.py", versions=["v1", "v2"])
    folder.queue("a.py")
    folder.run("-r", "--only", "a:v1")
    (journal,) = folder.outputs.glob("history-*")
    os.rename(journal, folder.outputs / "history-earlier")
    journal.symlink_to("/dev/full")
    done = folder.run("-r", "-u", expect=1)
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    journal.unlink()
    assert "1 skipped" in folder.run("-r", "-u").stdout


def test_outputs_that_cannot_be_written_are_named(folder: Folder) -> None:
    folder.script("a.py")
    folder.queue("a.py")
    folder.outputs.write_text("a file is in the way")
    done = folder.run("-r", expect=1)
    assert str(folder.outputs) in done.stderr
    assert "outputs_dir in mlp.config" in done.stderr


def test_two_daemons_run_each_version_once(folder: Folder) -> None:
    train = "os.mkdir(version.name); time.sleep(0.05)"
    folder.script("a.py", train, versions=[f"v{index}" for index in range(8)])
    folder.queue("a.py")
    daemons = [folder.start("-r", "-u") for _ in range(2)]
    assert [daemon.wait(timeout=60) for daemon in daemons] == [0, 0]
    assert sorted(folder.ended()) == [(f"v{index}", "SUCCEEDED") for index in range(8)]
    assert len({record["pid"] for record in folder.history()}) == 2


def test_dry_run_says_what_would_run_and_why_and_records_nothing(folder: Folder) -> None:
    folder.script("a.py", "assert version.name == 'v1'", versions=["v1", "v2"])
    folder.queue("a.py")
    folder.run("-r", expect=1)
    before = folder.history()
    done = folder.run("-r", "-u", "--dry-run")
    assert "skip  a.py:v1  (succeeded before" in done.stdout
    assert "run   a.py:v2  (FAILED before)" in done.stdout
    assert folder.history() == before


def test_a_half_written_line_of_another_daemon_is_not_read_too_early(folder: Folder) -> None:
    folder.script("a.py")
    folder.queue("a.py")
    folder.run("-r")
    (journal,) = folder.outputs.glob("history-*")
    with journal.open("a") as file:
        file.write('{"event":"sta')
    assert "damaged" not in folder.run("-r", "-u").stderr
    append_line(journal, json.dumps({"event": "note"}))
    assert "line 3 is damaged" in folder.run("-r", "-u").stderr


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _good_lines(journal: Path) -> list[str]:
    return [line for line in journal.read_text().splitlines() if line.startswith('{"event"') and line.endswith("}")]
