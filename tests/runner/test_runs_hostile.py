"""Scripts that do what nobody would expect, until somebody does."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from mlpipeline.records import Job, Result
from mlpipeline.runner.child import run_job
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


@pytest.mark.parametrize("history", [[], ["-u"]], ids=["", "-u"])
@pytest.mark.parametrize("where", ["at its top level", "in training"])
def test_a_script_that_changes_its_own_module_does_not_run_for_ever(
    folder: Folder, where: str, history: list[str]
) -> None:
    stamp = folder.models / "stamp.py"
    stamp.write_text("TIME = 0")
    change = f"import stamp, time; open({str(stamp)!r}, 'w').write(f'TIME = {{time.time()}}')"
    path = folder.script("a.py", "import stamp" if where == "at its top level" else f"{change}\nraise ValueError")
    if where == "at its top level":
        path.write_text(f"{change}\n{path.read_text()}")
    folder.queue("a.py")
    folder.run("-r", *history, expect=None)
    assert 1 <= len(folder.history()) <= 4


def test_what_a_run_leaves_in_a_session_of_its_own_ends_too(folder: Folder) -> None:
    train = "import subprocess; p = subprocess.Popen(['sleep', '1000'], start_new_session=True); print(p.pid)"
    folder.script("a.py", f"{train}; p.returncode = 0")
    folder.queue("a.py")
    folder.run("-r")
    pid = (folder.model_dir("a-v1") / "stdout.log").read_text().split()[-1]
    assert wait_until(lambda: not is_alive(int(pid)))


def test_two_scripts_that_would_share_a_directory_by_chance_are_told_apart(folder: Folder) -> None:
    folder.script("a.py", versions="b-c")
    folder.script("a-b.py", versions="c")
    folder.queue("a.py", "a-b.py")
    done = folder.run("-r", expect=1)
    assert "would share" in done.stderr
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


def test_text_that_is_no_unicode_is_recorded_and_shown(folder: Folder) -> None:
    folder.script("a.py", "self.add_to_summary('caf\\udce9')", versions=["v1", "v2"])
    folder.script("b.py", "raise ValueError('caf\\udce9')", versions="b")
    folder.queue("a.py", "b.py")
    done = folder.run("-r", expect=1)
    assert "ValueError: caf\\udce9" in done.stderr
    assert [status for _, status in folder.ended()] == ["SUCCEEDED", "SUCCEEDED", "FAILED"]


def test_a_folder_within_another_versions_directory_is_refused(folder: Folder) -> None:
    folder.script("a.py", versions="b")
    folder.script("a-b/c.py", versions="v")
    folder.queue("a.py", "a-b/c.py")
    assert "would share" in folder.run("-r", expect=1).stderr
    folder.queue("a-b/c.py", "a.py")
    assert "would share" in folder.run("-r", expect=1).stderr


def test_a_script_that_is_half_saved_does_not_end_only(folder: Folder) -> None:
    script = folder.script("a.py")
    whole = script.read_text()
    daemon = folder.start("-r", "--watch", "--only", "a")
    wait_until(lambda: folder.outputs.exists() and folder.history())
    script.write_text("")
    wait_until(lambda: len(folder.history()) == 2)
    script.write_text(whole.replace("'v1'", "'v2'"))
    assert wait_until(lambda: ("v2", "SUCCEEDED") in folder.ended())
    daemon.terminate()


def test_only_runs_a_script_whose_model_is_not_plainly_set(folder: Folder) -> None:
    script = folder.script("a.py")
    script.write_text(script.read_text().replace("MODEL = M(", "if True: MODEL = M("))
    assert "1 succeeded" in folder.run("--only", "a").stdout


def test_a_number_of_numpy_may_be_reported(folder: Folder) -> None:
    folder.script("a.py", "import numpy; self.report(numpy.int64(1), numpy.int64(2), loss=numpy.float32(0.5))")
    folder.queue("a.py")
    assert "1 succeeded" in folder.run().stdout


def test_files_of_a_script_keep_their_names(folder: Folder) -> None:
    folder.script("a.py", "[Path(self.model_dir, n).write_text('mine') for n in ('result.json', 'progress.json')]")
    folder.queue("a.py")
    folder.run("-r")
    assert (folder.model_dir("a-v1") / "result.json").read_text() == "mine"


def test_a_mended_script_is_no_failure_in_the_status(folder: Folder) -> None:
    (folder.models / "a.py").write_text("def (")
    folder.queue("a.py")
    folder.run("-r", expect=1)
    folder.script("a.py")
    folder.run("-r", "-u")
    assert "1 done, 0 failed" in folder.run("status").stdout


def test_a_folder_without_configuration_gets_no_log(folder: Folder) -> None:
    folder.run("-r", expect=2)
    assert not folder.outputs.exists()


def test_with_history_an_edited_script_runs_again_while_the_daemon_watches(folder: Folder) -> None:
    folder.script("a.py")
    folder.queue("a.py")
    daemon = folder.start("-r", "-u", "--watch")
    wait_until(lambda: folder.outputs.exists() and folder.history())
    folder.script("a.py", "print('edited')")
    assert wait_until(lambda: folder.ended() == [("v1", "SUCCEEDED")] * 2)
    daemon.terminate()


def test_an_end_that_stands_before_its_start_in_another_hosts_journal_counts(folder: Folder) -> None:
    folder.script("a.py")
    folder.queue("a.py")
    folder.run("-r")
    (journal,) = folder.outputs.glob("history-*")
    start, end = journal.read_text().splitlines(keepends=True)
    journal.unlink()
    (folder.outputs / "history-aaa").write_text(end)
    (folder.outputs / "history-bbb").write_text(start)
    done = folder.run("-r", "-u")
    assert "1 skipped" in done.stdout
    assert "left unfinished" not in done.stdout


def test_a_directory_that_is_still_in_use_is_not_touched(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.script("a.py", "Path('trained').touch()")
    folder.queue("a.py")
    folder.model_dir("a-v1").mkdir(parents=True)
    monkeypatch.setattr("mlpipeline.runner.child.LOCK_SECONDS", 0.2)
    with FileLock(folder.model_dir("a-v1") / ".lock"):
        job = _job(folder)
        pid = os.fork()
        if pid == 0:
            run_job(job)
        os.waitpid(pid, 0)
    result = Result.from_json(Path(job.result_file).read_text())
    assert (result.status, "is still in use" in result.error_summary) == ("CRASHED", True)
    assert not (folder.root / "trained").exists()


def _job(folder: Folder) -> Job:
    root = str(folder.root)
    model_dir = str(folder.model_dir("a-v1"))
    places = (model_dir, f"{root}/result.json", f"{root}/stdout.log")
    return Job("r1", "a.py", "v1", root, str(folder.models), *places, is_test=False, keeps_files=True)
