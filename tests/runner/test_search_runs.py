"""Searches that a real daemon runs: killed, resumed, side by side, pruned, failed."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from tests.runner.test_trials import states, trials_in
from tests.support import Folder, wait_until

SEARCH = "versions.search({space}, metric='test.accuracy', direction='maximize', trials={trials}{more})"
NOTE = "open('chosen', 'a').write(f'{version.name} {version.x}\\n')\n"
X = "{'x': (0.0, 1.0)}"


def search(trials: int, space: str = X, more: str = "") -> list[str]:
    return [SEARCH.format(space=space, trials=trials, more=f", {more}" if more else "")]


def study(folder: Folder) -> Path:
    [path] = (folder.outputs / "studies").glob("*.journal")
    return path


def chosen(folder: Folder) -> list[tuple[str, float]]:
    """Return (trial, x) of each run, as the script has noted it."""
    lines = (folder.root / "chosen").read_text().split()
    return list(zip(lines[::2], map(float, lines[1::2]), strict=True))


def test_each_record_has_the_parameters_that_its_trial_was_given(folder: Folder) -> None:
    folder.script("a.py", NOTE, versions=search(3), evaluate="{'accuracy': self.version.x}")
    folder.queue("a.py")
    assert "3 succeeded" in folder.run().stdout
    assert not (folder.outputs / "studies").exists()
    (folder.root / "chosen").unlink()
    folder.run("-r", "-u")
    recorded = [(record["version"], record["parameters"]["x"]) for record in folder.history()]
    assert recorded == chosen(folder)
    assert len({x for _, x in recorded}) == 3
    assert "maximize test.accuracy over x: 0.0 to 1.0" in folder.history()[0]["parameters"]["search"]
    assert f"x: {recorded[0][1]}" in next(folder.outputs.glob("output-*")).read_text()
    assert [trial.value for trial in trials_in(study(folder))] == [x for _, x in recorded]
    assert "3 skipped" in folder.run("-r", "-u").stdout


def test_the_fork_server_has_loaded_optuna_before_the_script_begins(folder: Folder) -> None:
    more = "Path('loaded').write_text(str('mlpipeline.runner.studies' in sys.modules))"
    folder.script("a.py", versions=search(1), more=more)
    folder.queue("a.py")
    folder.run("-r")
    assert (folder.root / "loaded").read_text() == "True"


def test_a_killed_search_goes_on_with_the_parameters_of_the_trial_it_was_in(folder: Folder) -> None:
    train = NOTE + "if version.name == 'trial-01' and not Path('go').exists(): Path('begun').touch(); wait_for('never')"
    folder.script("a.py", train, versions=search(3))
    folder.queue("a.py")
    daemon = folder.start("-r", "-u")
    wait_until((folder.root / "begun").exists)
    daemon.kill()
    daemon.wait()
    (folder.root / "go").touch()
    folder.run("-r", "-u")
    runs = chosen(folder)
    assert [name for name, _ in runs] == ["trial-00", "trial-01", "trial-01", "trial-02"]
    assert runs[1] == runs[2]
    assert states(study(folder)) == ["COMPLETE"] * 3


def test_a_value_whose_result_is_lost_is_not_told_twice(folder: Folder) -> None:
    # hooks run after the value was told and before the result is kept
    train = NOTE + "import atexit\nif not Path('go').exists(): atexit.register(os.kill, os.getpid(), signal.SIGKILL)"
    folder.script("a.py", train, versions=search(1))
    folder.queue("a.py")
    folder.run("-r", "-u", expect=1)
    (folder.root / "go").touch()
    folder.run("-r", "-u")
    assert [status for _, status in folder.ended()] == ["CRASHED", "SUCCEEDED"]
    assert len(set(chosen(folder))) == 1
    assert states(study(folder)) == ["COMPLETE"]


def test_trials_run_side_by_side(folder: Folder) -> None:
    train = NOTE + "Path(version.name).touch(); wait_for(f'trial-{1 - int(version.name[-2:]) % 2:02d}')"
    folder.script("a.py", train, versions=search(6))
    folder.queue("a.py")
    folder.run("-r", "-u", "-j", "2")
    assert len({x for _, x in chosen(folder)}) == 6
    assert states(study(folder)) == ["COMPLETE"] * 6


PRUNED = """
try:
    for step in range(1, 9):
        self.report(step, 8, accuracy=version.good)
except Exception:
    pass
"""


def test_a_pruned_trial_counts_as_done_and_says_why(folder: Folder) -> None:
    more = "sampler='grid', pruner=lambda: __import__('optuna').pruners.ThresholdPruner(lower=0.5)"
    folder.script("a.py", PRUNED, versions=search(2, "{'good': [0.25, 0.75]}", more))
    folder.queue("a.py")
    assert "1 succeeded, 0 failed, 1 pruned" in folder.run("-r", "-u").stdout
    assert "Ended by: pruned at step 1" in next(folder.outputs.glob("output-*")).read_text()
    [record] = [record for record in folder.history() if record["status"] == "PRUNED"]
    assert record["metrics"] == {"pruned.accuracy": 0.25}
    assert record["error_summary"] == "pruned at step 1: accuracy was 0.25"
    assert record["parameters"]["good"] == 0.25
    assert sorted(states(study(folder))) == ["COMPLETE", "PRUNED"]
    assert "2 skipped" in folder.run("-r", "-u").stdout


def test_a_failed_trial_is_told_and_runs_again_with_other_parameters(folder: Folder) -> None:
    folder.script("a.py", NOTE + "assert Path('mended').exists()", versions=search(1))
    folder.queue("a.py")
    folder.run("-r", "-u", expect=1)
    assert folder.history()[0]["parameters"]["x"] == chosen(folder)[0][1]
    (folder.root / "mended").touch()
    folder.run("-r", "-u")
    assert states(study(folder)) == ["FAIL", "COMPLETE"]
    assert len(set(chosen(folder))) == 2


def test_a_changed_script_begins_a_new_study(folder: Folder) -> None:
    script = folder.script("a.py", versions=search(1))
    folder.queue("a.py")
    folder.run("-r", "-u")
    script.write_text(script.read_text() + "# changed\n")
    folder.run("-r", "-u")
    studies = list((folder.outputs / "studies").glob("*.journal"))
    assert [states(path) for path in studies] == [["COMPLETE"], ["COMPLETE"]]


@pytest.fixture
def without_optuna(folder: Folder, tmp_path_factory: pytest.TempPathFactory) -> Folder:
    """A folder whose processes cannot import Optuna, and note where one tries to."""
    place = tmp_path_factory.mktemp("site")
    text = """
        import os
        with open('tried', 'a') as file: file.write(f'{os.getpid()} {os.getppid()}\\n')
        raise ModuleNotFoundError("No module named 'optuna'")
    """
    (place / "optuna.py").write_text(textwrap.dedent(text))
    folder.environment["PYTHONPATH"] = str(place)
    return folder


def test_without_optuna_a_search_says_how_to_install_it_and_only_its_runs_have_tried(without_optuna: Folder) -> None:
    folder = without_optuna
    folder.script("a.py", versions=[*search(1), "versions.add('plain')"])
    folder.queue("a.py")
    folder.run("-r", "--dry-run")
    assert not (folder.root / "tried").exists()
    folder.run("-r", expect=1)
    first, second = folder.history()
    assert "pip install 'mlpipeline[search]'" in first["error_summary"]
    assert second["status"] == "SUCCEEDED"
    [tried] = (folder.root / "tried").read_text().splitlines()
    pid, parent = map(int, tried.split())
    assert first["pid"] not in (pid, parent)  # the daemon's: a child of the fork server has tried
