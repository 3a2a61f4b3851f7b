"""Scripts that do what nobody would expect, until somebody does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import Folder, is_alive, wait_until


def test_an_import_that_a_script_can_do_without_may_fail(folder: Folder) -> None:
    folder.script("a.py", "try: import no_such_library\nexcept ImportError: print('without')")
    folder.queue("a.py")
    assert "without" in folder.run().stdout


def test_a_process_that_a_script_has_forked_leaves_no_result(folder: Folder) -> None:
    folder.script("a.py", "if os.fork() == 0: return\nos.wait(); os._exit(5)")
    folder.queue("a.py")
    folder.run("-r", expect=1)
    assert folder.ended() == [("v1", "CRASHED")]


def test_modules_come_from_the_project_and_not_from_where_the_command_is_given(folder: Folder, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "random.py").write_text("raise RuntimeError('the wrong one')")
    (elsewhere / "beside.py").write_text("VALUE = 'wrong'")
    (folder.root / "beside.py").write_text("VALUE = 'right'")
    folder.script("a.py", "import beside, random; print(beside.VALUE, random.random() < 1)")
    folder.queue("a.py")
    command = Path(sys.executable).with_name("mlpipeline")
    done = subprocess.run([command, "-C", folder.root], cwd=elsewhere, capture_output=True, text=True, check=True)
    assert "right True" in done.stdout


def test_an_interrupt_that_the_script_raises_itself_is_a_failure(folder: Folder) -> None:
    folder.script("a.py", "raise KeyboardInterrupt")
    folder.queue("a.py")
    folder.run("-r", expect=1)
    assert folder.ended() == [("v1", "FAILED")]


def test_a_script_that_closes_its_output_still_says_why_it_failed(folder: Folder) -> None:
    folder.script("a.py", "sys.stderr.close(); os.close(1); os.close(2); raise ValueError('quietly')")
    folder.queue("a.py")
    folder.run("-r", expect=1)
    assert folder.history()[0]["error_summary"] == "ValueError: quietly"


@pytest.mark.parametrize("where", ["at its top level", "in training"])
def test_a_script_that_changes_its_own_module_does_not_run_for_ever(folder: Folder, where: str) -> None:
    stamp = folder.models / "stamp.py"
    stamp.write_text("TIME = 0")
    change = f"import stamp, time; open({str(stamp)!r}, 'w').write(f'TIME = {{time.time()}}')"
    path = folder.script("a.py", "import stamp" if where == "at its top level" else f"{change}\nraise ValueError")
    if where == "at its top level":
        path.write_text(f"{change}\n{path.read_text()}")
    folder.queue("a.py")
    folder.run("-r", expect=None)
    assert 1 <= len(folder.history()) <= 3


def test_what_a_run_leaves_in_a_session_of_its_own_ends_too(folder: Folder) -> None:
    train = "import subprocess; p = subprocess.Popen(['sleep', '1000'], start_new_session=True); print(p.pid)"
    folder.script("a.py", f"{train}; p.returncode = 0")
    folder.queue("a.py")
    folder.run("-r")
    pid = (folder.model_dir("a-v1") / "stdout.log").read_text().split()[-1]
    assert wait_until(lambda: not is_alive(int(pid)))


def test_a_library_that_hangs_while_it_is_imported_can_be_stopped(folder: Folder) -> None:
    # `this` counts as a library because the standard library has a module of that name
    (folder.root / "libraries").mkdir()
    hanging = folder.root / "hanging"
    library = f"open({str(hanging)!r}, 'w').close(); import time; time.sleep(1000)"
    (folder.root / "libraries" / "this.py").write_text(library)
    folder.environment["PYTHONPATH"] = str(folder.root / "libraries")
    folder.script("a.py", "import this")
    folder.script("b.py", versions="b")
    folder.queue("a.py", "b.py")
    done = folder.run("-r", "--timeout", "1", expect=1)
    assert hanging.exists()
    assert "timed out" in done.stderr
    assert folder.ended()[-1] == ("b", "SUCCEEDED")


def test_two_scripts_that_would_share_a_directory_by_chance_are_told_apart(folder: Folder) -> None:
    folder.script("a.py", versions="b-c")
    folder.script("a-b.py", versions="c")
    folder.queue("a.py", "a-b.py")
    done = folder.run("-r", expect=1)
    assert "is one of a.py already" in done.stderr
    assert [name for name, status in folder.ended() if status == "SUCCEEDED"] == ["b-c"]


def test_a_missing_module_that_is_added_lets_the_script_run(folder: Folder) -> None:
    script = folder.script("a.py")
    script.write_text("import added_later\n" + script.read_text())
    folder.queue("a.py")
    daemon = folder.start("-r", "--watch")
    wait_until(lambda: folder.outputs.exists() and folder.history())
    (folder.models / "added_later.py").write_text("")
    assert wait_until(lambda: ("v1", "SUCCEEDED") in folder.ended())
    daemon.terminate()


@pytest.mark.parametrize(
    "line",
    ['{"event":"end"', '"version":["v1"]', '"status":"WEIRD"', '"seconds":null', '"metrics":5', '"model_dir":5'],
)
def test_a_damaged_record_is_named_and_skipped_by_every_command(folder: Folder, line: str) -> None:
    folder.script("a.py")
    folder.queue("a.py")
    folder.run("-r")
    (journal,) = folder.outputs.glob("history-*")
    end = journal.read_text().splitlines()[1]
    name = line.partition(":")[0]
    damaged = line if line.startswith("{") else end.replace(name, f"{line},{name}_was", 1)
    with journal.open("a") as file:
        file.write(damaged + "\n")
    for arguments in (["status"], ["-r", "-u", "--dry-run"], ["-r", "-u"]):
        assert "line 3 is damaged and skipped" in folder.run(*arguments).stderr
