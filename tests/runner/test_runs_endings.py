"""Every way a run can end ends that run only, with the right status and what was last printed."""

from __future__ import annotations

import pytest

from tests.support import Folder

ENDINGS = {
    "exception": ("raise ValueError('a wrong value')", "FAILED", "ValueError: a wrong value"),
    "sys.exit": ("sys.exit(0)", "FAILED", "the script called sys.exit(0)"),
    "os._exit": ("os._exit(3)", "CRASHED", "the process ended with exit status 3 before it had a result"),
    "segmentation fault": ("ctypes.string_at(0)", "CRASHED", "SIGSEGV (segmentation fault)"),
    "killed": ("os.kill(os.getpid(), signal.SIGKILL)", "CRASHED", "SIGKILL (out of memory?)"),
    "timeout": ("wait_for('what never comes')", "TIMED_OUT", "timed out after"),
}


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_ending_is_told_from_every_other(folder: Folder, ending: str) -> None:
    train, status, summary = ENDINGS[ending]
    folder.script("bad.py", f"print('the last words', flush=True)\n{train}")
    folder.script("good.py", versions="good")
    folder.queue("bad.py", "good.py")
    done = folder.run("-r", *(("--timeout", "0.5") if ending == "timeout" else ()), expect=1)
    bad, good = folder.history()
    assert (bad["status"], good["status"]) == (status, "SUCCEEDED")
    assert summary in bad["error_summary"]
    assert summary in done.stderr
    assert "the last words" in (folder.model_dir("bad-v1") / "stdout.log").read_text()
    if status == "CRASHED":
        assert "the last words" in bad["error"]


def test_a_script_that_does_not_compile_is_named_with_its_line(folder: Folder) -> None:
    (folder.models / "bad.py").write_text("x = 1\ndef (:\n")
    folder.script("good.py")
    folder.queue("bad.py", "good.py")
    done = folder.run("-r", expect=1)
    assert folder.ended() == [("bad.py", "FAILED"), ("v1", "SUCCEEDED")]
    assert 'bad.py", line 2' in done.stderr
    assert "SyntaxError" in done.stderr
    assert "frozen importlib" not in done.stderr


def test_a_script_without_a_model_says_what_is_missing(folder: Folder) -> None:
    (folder.models / "bad.py").write_text("print('only printing')\n")
    folder.queue("bad.py")
    done = folder.run("-r", expect=1)
    assert "bad.py has no global MODEL; end the script with `MODEL = YourModel(versions)`" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_suffix_that_leads_outside_is_refused(folder: Folder) -> None:
    folder.script("bad.py", versions="versions.add('v1', model_dir_suffix='/../../../out')")
    folder.queue("bad.py")
    done = folder.run("-r", expect=1)
    assert "leads outside" in done.stderr
    assert not (folder.root / "out").exists()


def test_what_a_run_has_started_ends_with_it(folder: Folder) -> None:
    train = "import subprocess; print(subprocess.Popen(['sleep', '1000']).pid, flush=True); os._exit(1)"
    folder.script("a.py", train)
    folder.queue("a.py")
    folder.run("-r", expect=1)
    pid = (folder.model_dir("a-v1") / "stdout.log").read_text().splitlines()[1]
    from tests.support import is_alive, wait_until

    assert wait_until(lambda: not is_alive(int(pid)))


def test_a_script_may_delete_its_own_model_directory(folder: Folder) -> None:
    more = "def clean_model_dir(self, model_dir): import shutil; print('cleaning'); shutil.rmtree(model_dir)"
    folder.script("a.py", "print('training')", more=more, arguments="allow_delete_model_dir=True")
    folder.queue("a.py")
    folder.run("-r")
    folder.run("-r")
    printed = (folder.model_dir("a-v1") / "stdout.log").read_text()
    assert [line for line in printed.splitlines() if "---" not in line] == ["cleaning", "training"] * 2
    assert (folder.model_dir("a-v1") / ".lock").exists()
