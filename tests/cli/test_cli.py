"""The command line as a user meets it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.reports.records import end, write
from tests.support import Folder, wait_until

REPOSITORY = Path(__file__).parents[2]


def command(*arguments: str, cwd: Path, expect: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "mlpipeline", *arguments], cwd=cwd, capture_output=True, text=True
    )
    assert done.returncode == expect, f"{done.stdout}\n{done.stderr}"
    return done


def test_a_new_project_runs_at_once(tmp_path: Path) -> None:
    command("init", cwd=tmp_path)
    command(cwd=tmp_path)
    command("-r", cwd=tmp_path)
    printed = command("status", cwd=tmp_path).stdout
    assert "example.py:rate0.5  SUCCEEDED" in printed
    assert "0 running, 0 queued, 2 done, 0 failed" in printed


def test_init_keeps_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "mlp.config").write_text("[MLP]\n")
    assert f"kept   {Path('mlp.config')}" in command("init", cwd=tmp_path).stdout
    assert (tmp_path / "mlp.config").read_text() == "[MLP]\n"


def test_a_new_script_runs_as_it_is_written(tmp_path: Path) -> None:
    command("init", cwd=tmp_path)
    command("new", "mine", cwd=tmp_path)
    assert "2 succeeded" in command("--only", "mine", cwd=tmp_path).stdout
    assert "exists; choose another name" in command("new", "mine", cwd=tmp_path, expect=2).stderr
    assert "is no name for a script" in command("new", "../mine", cwd=tmp_path, expect=2).stderr
    assert "is the name of a library" in command("new", "numpy", cwd=tmp_path, expect=2).stderr


def test_a_folder_without_configuration_names_init(tmp_path: Path) -> None:
    done = command(cwd=tmp_path, expect=2)
    assert "is no project: it has none of mlp.config" in done.stderr
    assert "mlpipeline init" in done.stderr
    assert "is no project" in command("status", cwd=tmp_path, expect=2).stderr
    (tmp_path / "mlp.config").touch()
    assert "expected models_test.config in" in command(cwd=tmp_path, expect=2).stderr


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("[MLP]\nmodel_dir = x\n", "mlp.config line 2: model_dir is not a key of [MLP]; did you mean models_dir?"),
        ("models_dir = x\n", "mlp.config line 1"),
        ("[MPL]\n", "mlp.config line 1: expected the section [MLP] or [TRACKING] or [NOTIFY], but got [MPL]"),
    ],
)
def test_a_wrong_project_file_is_named_with_its_line(folder: Folder, config: str, message: str) -> None:
    (folder.root / "mlp.config").write_text(config)
    folder.queue()
    assert message in folder.run(expect=2).stderr


def test_a_script_given_as_an_argument_is_pointed_to_only(folder: Folder) -> None:
    assert "mlpipeline --only a.py" in folder.run("a.py", expect=2).stderr


def test_outputs_may_lie_where_the_project_file_says(folder: Folder) -> None:
    (folder.root / "mlp.config").write_text("[MLP]\noutputs_dir = models/outputs\n")
    folder.script("a.py")
    folder.queue("a.py")
    folder.run("-r")
    assert list((folder.models / "outputs").glob("history-*"))


def test_pipeline_py_is_the_command(folder: Folder) -> None:
    folder.script("a.py")
    folder.queue("a.py")
    done = subprocess.run(
        [sys.executable, str(REPOSITORY / "pipeline.py"), "-C", str(folder.root)], capture_output=True, text=True
    )
    assert "1 succeeded, 0 failed" in done.stdout


def test_status_shows_a_run_that_goes_on_from_a_second_terminal(folder: Folder) -> None:
    folder.script("a.py", "self.report(3, 10, loss=0.25); Path('begun').touch(); wait_for('go')", versions=["v1", "v2"])
    folder.queue("a.py")
    daemon = folder.start("-r")
    wait_until((folder.root / "begun").exists)
    printed = folder.run("status").stdout
    assert "a.py:v1  RUNNING  step 3/10  loss=0.25" in printed
    assert "1 running, 1 queued, 0 done, 0 failed" in printed
    daemon.kill()
    daemon.wait()
    wait_until(lambda: "a.py:v1  INTERRUPTED" in folder.run("status").stdout)
    assert "0 running" in folder.run("status").stdout


def test_a_terminal_shows_progress_and_then_a_table(folder: Folder) -> None:
    train = "self.report(3, 10, loss=0.25); Path('begun').touch(); wait_for('go')"
    folder.script("a.py", train, versions=["v1"])
    folder.queue("a.py")
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "110", "TERM": "xterm-256color"}
    arguments = [sys.executable, "-m", "mlpipeline", "-C", str(folder.root), "-r"]
    process = subprocess.Popen(arguments, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    shown = ""
    while "3/10" not in shown or "loss=0.25" not in shown:
        shown += os.read(ours, 65536).decode()
    (folder.root / "go").touch()
    while text := read_terminal(ours):
        shown += text
    os.close(ours)
    assert process.wait() == 0
    assert "1 running" in shown
    assert "SUCCEEDED" in shown.rpartition("script")[2]


def read_terminal(descriptor: int) -> str:
    """Return what is shown next; an empty text once the process has closed its end."""
    try:
        return os.read(descriptor, 65536).decode()
    except OSError:
        return ""


def test_help_and_status_import_nothing_heavy(folder: Folder) -> None:
    folder.script("a.py")
    folder.queue("a.py")
    folder.run("-r")
    code = (
        "import sys; sys.argv[1:] = {!r}\nfrom mlpipeline.cli.main import main\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print(sorted({{'torch', 'numpy', 'pandas', 'sklearn', 'rich'}} & set(sys.modules)))"
    )
    for arguments in (["--help"], ["-C", str(folder.root), "status"]):
        done = subprocess.run([sys.executable, "-c", code.format(arguments)], capture_output=True, text=True)
        assert done.stdout.splitlines()[-1] == "[]"


def test_status_shows_no_control_characters_of_a_record(folder: Folder) -> None:
    write(folder.outputs, end(1, version="a\nb\x1b]0;title\x07", metrics={}, error_summary="\x1b[2J", status="FAILED"))
    printed = folder.run("status").stdout
    assert "\x1b" not in printed
    assert "\x07" not in printed
    assert len(printed.splitlines()) == 3
