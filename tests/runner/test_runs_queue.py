"""The queue file is in charge while runs go on."""

from __future__ import annotations

from tests.support import Folder, wait_until


def test_scripts_added_moved_and_removed_while_a_run_goes_on_are_heeded(folder: Folder) -> None:
    folder.script("first.py", "wait_for('go')", versions="first")
    for name in ("second", "third", "fourth"):
        folder.script(f"{name}.py", versions=name)
    folder.queue("first.py", "second.py", "third.py")
    daemon = folder.start("-r")
    wait_until(lambda: folder.outputs.exists() and folder.history("start"))
    folder.queue("fourth.py", "first.py", "third.py")
    (folder.root / "go").touch()
    assert daemon.wait(timeout=60) == 0
    assert [name for name, _ in folder.ended()] == ["first", "fourth", "third"]


def test_a_half_saved_queue_file_does_not_end_the_queue(folder: Folder) -> None:
    folder.script("first.py", "wait_for('go')", versions="first")
    folder.script("second.py", versions="second")
    folder.queue("first.py", "second.py")
    daemon = folder.start("-r")
    wait_until(lambda: folder.outputs.exists() and folder.history("start"))
    (folder.root / "models.config").write_text("[WHITELISTED_MOD")
    (folder.root / "go").touch()
    printed, _ = daemon.communicate(timeout=60)
    assert [name for name, _ in folder.ended()] == ["first", "second"]
    assert printed.count("warning: models.config line 1: ") == 1


def test_watch_runs_what_is_added(folder: Folder) -> None:
    folder.script("first.py", versions="first")
    folder.queue()
    daemon = folder.start("-r", "--watch")
    wait_until(lambda: any(folder.outputs.glob("status-*")))
    folder.queue("first.py")
    wait_until(lambda: folder.history(), seconds=5.0)  # 0.3 s on an idle machine
    assert daemon.poll() is None
    daemon.terminate()
    assert daemon.wait(timeout=60) == 130


def test_a_failed_version_runs_again_in_the_same_session_once_its_script_is_mended(folder: Folder) -> None:
    folder.script("a.py", "raise ValueError")
    folder.queue("a.py")
    daemon = folder.start("-r", "--watch")
    wait_until(lambda: folder.outputs.exists() and folder.history())
    folder.script("a.py", versions=["v1", "v2"])
    wait_until(lambda: len(folder.history()) == 3)
    assert folder.ended() == [("v1", "FAILED"), ("v1", "SUCCEEDED"), ("v2", "SUCCEEDED")]
    daemon.terminate()


def test_missing_scripts_and_doubled_entries_are_warned_of_once(folder: Folder) -> None:
    folder.script("real.py", versions=["v1", "v2", "v3"])
    folder.queue("real.py", "reel.py", "real.py")
    done = folder.run("-r")
    assert done.stderr.count("reel.py is not in") == 1
    assert "did you mean real.py?" in done.stderr
    assert done.stderr.count("models.config line 4: real.py stands already in line 2") == 1
    assert len(folder.history()) == 3


def test_jobs_run_side_by_side_with_a_device_each(folder: Folder) -> None:
    train = """
        print('device', os.environ['CUDA_VISIBLE_DEVICES'], flush=True)
        Path(version.name).touch()
        wait_for('v2' if version.name == 'v1' else 'v1')
    """
    folder.script("a.py", train, versions=["v1", "v2"])
    folder.queue("a.py")
    folder.environment["CUDA_VISIBLE_DEVICES"] = "4,7"
    folder.run("-r", "-j", "2")
    printed = [(folder.model_dir(f"a-{name}") / "stdout.log").read_text() for name in ("v1", "v2")]
    assert {text.split("device ")[1].strip() for text in printed} == {"4", "7"}


def test_versions_that_share_a_directory_take_turns(folder: Folder) -> None:
    train = "os.mkdir('inside'); time.sleep(0.1); os.rmdir('inside')"
    versions = [f"versions.add('v{index}', model_dir_suffix='shared')" for index in range(4)]
    folder.script("a.py", train, versions=versions)
    folder.queue("a.py")
    folder.run("-r", "-j", "4")
    assert len(folder.history()) == 4


def test_only_runs_one_version_listed_or_not(folder: Folder) -> None:
    folder.script("a.py", versions=["v1", "v2"])
    folder.run("-r", "--only", "a.py:v2")
    assert folder.ended() == [("v2", "SUCCEEDED")]
    done = folder.run("-r", "--only", "a:v9", expect=2)
    assert "a.py has no version v9; it has v1, v2" in done.stderr
    done = folder.run("--only", "b", expect=2)
    assert "no script with a MODEL is named b.py" in done.stderr
