import os
import subprocess

import pytest

from mlpipeline.runner.git import GitState


def git(folder, *words):
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *identity, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def answer(folder, outputs=None):
    state = GitState(folder, outputs or folder / "outputs")
    return state.ask().answer()


@pytest.fixture
def committed(tmp_path):
    git(tmp_path, "init")
    (tmp_path / "a.py").write_text("one\n")
    git(tmp_path, "add", "a.py")
    git(tmp_path, "commit", "-m", "first")
    return tmp_path


def test_a_committed_tree_is_clean_at_its_commit(committed):
    assert answer(committed) == {"git_commit": git(committed, "rev-parse", "HEAD"), "git_clean": True}


@pytest.mark.parametrize("name", ["a.py", "new.py"])
def test_a_changed_or_new_file_is_not_clean(committed, name):
    (committed / name).write_text("two\n")
    assert answer(committed)["git_clean"] is False


def test_what_runs_write_into_the_outputs_leaves_the_tree_clean(committed):
    (committed / "out").mkdir()
    (committed / "out" / "log").touch()
    assert answer(committed, committed / "out")["git_clean"] is True
    assert answer(committed, committed / "other")["git_clean"] is False


def test_outputs_outside_the_project_are_no_trouble(committed, tmp_path_factory):
    assert answer(committed, tmp_path_factory.mktemp("far"))["git_clean"] is True


def test_a_project_below_the_repository_answers_for_its_own_folder(committed):
    (committed / "project").mkdir()
    (committed / "elsewhere.py").touch()
    assert answer(committed / "project") == {"git_commit": git(committed, "rev-parse", "HEAD"), "git_clean": True}


def test_before_the_first_commit_there_is_none(tmp_path):
    git(tmp_path, "init")
    assert answer(tmp_path)["git_commit"] is None


def test_outside_a_repository_nothing_is_known(tmp_path):
    assert answer(tmp_path) == {"git_commit": None, "git_clean": None}


def test_without_git_nothing_is_known(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert answer(tmp_path) == {"git_commit": None, "git_clean": None}


def test_runs_that_start_together_share_an_answer(committed):
    state = GitState(committed, committed / "outputs")
    first = state.ask().answer()
    (committed / "a.py").write_text("two\n")
    assert state.ask().answer() == first


def test_asking_changes_nothing_in_the_repository(committed):
    index = (committed / ".git" / "index").read_bytes()
    os.utime(committed / "a.py", (1, 1))
    answer(committed)
    assert (committed / ".git" / "index").read_bytes() == index
