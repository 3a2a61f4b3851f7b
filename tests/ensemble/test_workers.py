import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from mlpipeline.ensemble import Ensemble, Folds, Observations
from mlpipeline.ensemble.workers import train_in_processes
from mlpipeline.errors import EnsembleError
from tests.ensemble.light_runs import LABELS, QUARTERS, ROWS, Centroids


def members_of(rows=ROWS, behaviour=""):
    metrics = {"right": lambda y, predictions: np.mean(predictions.argmax(axis=1) == y)}  # which no import leads to
    work = Ensemble(Centroids(behaviour), QUARTERS, metrics=metrics).read_work(Observations(rows, LABELS))
    return sorted(train_in_processes(work, range(4), 2), key=lambda member: member.number)


def noted(members, name):
    return [member.fitted.statistics[name] for member in members]


def test_the_second_run_finds_the_same_processes_with_a_thread_each():
    first, second = members_of(), members_of()
    assert set(map(int, noted(second, "process"))) <= set(map(int, noted(first, "process"))) - {os.getpid()}
    assert {int(count) for counts in noted(second, "threads") for count in counts} == {1}


@pytest.mark.parametrize("kind", [np.asarray, lambda rows: {"rows": rows}, pd.DataFrame])
def test_rows_are_mapped_and_not_copied_to_each_process(kind):
    assert all(noted(members_of(kind(ROWS)), "is_mapped"))


def test_members_are_those_of_one_process_bit_for_bit():
    alone, both = (
        Ensemble(LogisticRegression(C=0.3), Folds(4), workers=workers).fit(ROWS, LABELS, ROWS[:9]) for workers in (1, 2)
    )
    np.testing.assert_array_equal(both.oof, alone.oof)
    np.testing.assert_array_equal(both.test_by_member, alone.test_by_member)
    np.testing.assert_array_equal(both.predict(ROWS), alone.predict(ROWS))


def test_what_a_member_raises_arrives_as_it_is():
    with pytest.raises(ZeroDivisionError, match="a fault of the model's own"):
        members_of(behaviour="raise")


def test_a_worker_that_dies_is_said_and_the_next_run_has_new_ones():
    with pytest.raises(EnsembleError, match=r"died while it trained .*bag1.* exit codes .*fewer workers"):
        members_of(behaviour="exit")
    assert len(members_of()) == 4


def children_of(process):
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process)], capture_output=True, text=True).stdout
    return [int(word) for word in listed.split()]


def wait_until(is_so):
    deadline = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGKILL])
def test_workers_end_with_the_process_that_started_them_and_members_that_are_done_are_kept(tmp_path, kind):
    code = "import sys; from tests.ensemble.light_runs import run; run(sys.argv[1], 'run', 'wait', 2)"
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stderr=subprocess.DEVNULL)
    kept = [tmp_path / "checkpoints" / "run" / f"run_bag{number}.npz" for number in (0, 1)]
    wait_until(lambda: all(path.exists() for path in kept))
    workers = children_of(process.pid)
    process.send_signal(kind)
    assert process.wait(timeout=30) == -kind
    wait_until(lambda: not any(os.path.exists(f"/proc/{worker}") for worker in workers))
    assert sorted(kept[0].parent.glob("*.npz")) == kept
