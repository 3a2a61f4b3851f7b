"""The two modes, and what each keeps."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support import Folder


def test_test_mode_runs_every_version_for_one_step_and_keeps_nothing(folder: Folder) -> None:
    folder.script("a.py", "print('steps', steps, self.exec_mode)", versions=["v1", "v2"])
    folder.queue("a.py")
    done = folder.run()
    assert done.stdout.count("steps 1 Test") == 2
    assert "2 succeeded, 0 failed" in done.stdout
    assert not folder.outputs.exists()


def test_test_mode_gives_each_run_an_empty_model_directory(folder: Folder) -> None:
    train = "import os; print('found', os.listdir(self.model_dir)); open(self.model_dir + '/left', 'w').close()"
    folder.script("a.py", train, versions=["v1", "v2"])
    folder.queue("a.py")
    assert folder.run().stdout.count("found []") == 2


def test_test_mode_stops_at_the_first_error_with_the_scripts_own_traceback(folder: Folder) -> None:
    folder.script("a.py", "raise KeyError('lost')")
    folder.script("b.py", "print('never')")
    folder.queue("a.py", "b.py")
    done = folder.run(expect=1)
    assert "KeyError: 'lost'" in done.stderr
    assert 'models/a.py", line' in done.stderr
    assert "mlpipeline/runner" not in done.stderr
    assert "never" not in done.stdout


def test_execution_mode_goes_on_after_an_error_and_ends_with_status_1(folder: Folder) -> None:
    folder.script("a.py", "raise KeyError('lost')")
    folder.script("b.py")
    folder.queue("a.py", "b.py")
    folder.run("-r", expect=1)
    assert [record["status"] for record in folder.history()] == ["FAILED", "SUCCEEDED"]


def test_execution_mode_trains_all_epochs_and_records_everything(folder: Folder) -> None:
    train = "print('steps', steps, self.exec_mode); self.add_to_summary('a summary')"
    folder.script("a.py", train, versions="versions.add('v1', learning_rate=0.5, loader_class=Data)")
    folder.queue("a.py")
    folder.run("-r")
    (end,) = folder.history()
    assert "steps 4 Train" in (folder.model_dir("a-v1") / "stdout.log").read_text()
    assert end["metrics"] == {"train.accuracy": 0.5, "test.accuracy": 0.5}
    assert end["parameters"]["learning_rate"] == 0.5
    assert end["parameters"]["loader_class"] == "a.Data"
    wanted = {"started", "ended", "seconds", "peak_memory_mb", "host", "git_commit", "git_clean", "python", "seed"}
    assert wanted | {"libraries", "fingerprint"} <= set(end)
    (block,) = [path.read_text() for path in folder.outputs.glob("output-*")]
    for text in ("Model: a.py", "Version: v1", "accuracy: 0.5", "Number of epochs: 2", "a summary"):
        assert text in block


def test_a_run_keeps_copies_of_the_script_and_the_modules_beside_it(folder: Folder) -> None:
    (folder.models / "beside.py").write_text("VALUE = 7\n")
    script = folder.script("sub/a.py", "import beside; print(beside.VALUE)")
    folder.queue("sub/a.py")
    folder.run("-r")
    (code,) = (folder.model_dir("sub/a-v1") / "code").iterdir()
    assert (code / "sub/a.py").read_text() == script.read_text()
    assert (code / "beside.py").read_text() == "VALUE = 7\n"


def test_the_seed_makes_a_version_repeatable_and_versions_different(folder: Folder) -> None:
    evaluate = "{'drawn': __import__('random').random()}"
    versions = ["v1", "v2", "versions.add('fixed', seed=3)", "versions.add('same', seed=3)"]
    folder.script("a.py", versions=versions, evaluate=evaluate)
    folder.queue("a.py")
    folder.run("-r")
    folder.run("-r")
    drawn = [record["metrics"]["train.drawn"] for record in folder.history()]
    assert drawn[:4] == drawn[4:]
    assert drawn[0] != drawn[1]
    assert drawn[2] == drawn[3]


def test_runs_have_the_project_as_working_directory(folder: Folder) -> None:
    folder.script("a.py", "print('in', os.getcwd())")
    folder.queue("a.py")
    assert f"in {folder.root}" in folder.run().stdout


def test_training_is_skipped_when_nothing_is_left(folder: Folder) -> None:
    folder.script("a.py", "raise RuntimeError", more="def get_trained_step_count(self): return 4")
    folder.script("b.py", "print('steps', steps)", more="def get_trained_step_count(self): return 3")
    folder.script(
        "c.py", "print('steps', steps)", more="def get_trained_step_count(self): return 4", arguments="reset_steps=True"
    )
    folder.queue("a.py", "b.py", "c.py")
    done = folder.run("-r", "-v")
    assert "nothing left to train: 4 steps are done" in done.stdout
    assert "steps 1" in done.stdout
    assert "steps 4" in done.stdout


def test_no_log_writes_neither_log_nor_outputs_but_the_journal(folder: Folder) -> None:
    folder.script("a.py", "self.log('hello', log_to_file=True)")
    folder.queue("a.py")
    folder.run("-r", "-n")
    assert {path.name.split("-")[0] for path in folder.outputs.iterdir()} == {"history", "model_ckpts"}
    folder.run("-r")
    (log,) = folder.outputs.glob("log-*")
    assert "a.py:v1: Model- hello" in log.read_text()


def test_a_script_in_the_style_of_version_1_runs_unchanged(folder: Folder) -> None:
    source = Path(__file__).parents[1] / "data" / "script_1x.py"
    (folder.models / "script_1x.py").write_text(source.read_text())
    folder.queue("script_1x.py")
    folder.run()
    folder.run("-r")
    assert folder.ended() == [("version1", "SUCCEEDED"), ("version2", "SUCCEEDED"), ("version3", "SUCCEEDED")]
    (block,) = [path.read_text() for path in folder.outputs.glob("output-*")]
    assert "loss: 0.2500" in block


def test_records_are_strict_json_even_for_numbers_that_json_has_no_word_for(folder: Folder) -> None:
    folder.script("a.py", evaluate="{'loss': float('nan'), 'other': float('inf')}")
    folder.queue("a.py")
    folder.run("-r")

    def refuse(word: str) -> None:
        raise AssertionError(word)

    (path,) = folder.outputs.glob("history-*")
    (metrics,) = [json.loads(line, parse_constant=refuse).get("metrics") for line in path.read_text().splitlines()][1:]
    assert metrics["train.loss"] == "nan"
    assert float(metrics["test.other"]) == float("inf")
    folder.run("status")
