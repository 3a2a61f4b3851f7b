import signal
from pathlib import Path

import pytest

from mlpipeline.records import Job, Result, Status
from mlpipeline.runner.engine import Exit
from mlpipeline.runner.outcome import describe_exit, judge, last_printed, read_result

DONE = Result("r1", Status.SUCCEEDED, ended="2024-01-01T00:00:05", seconds=1.5, peak_memory_mb=10, metrics={"a": 1.0})
EARLIER, LATER = "2024-01-01T00:00:04", "2024-01-01T00:00:06"


@pytest.fixture
def job(tmp_path):
    return Job("r1", "a.py", "v", "/p", "/p/models", "/o", "/o/result.json", str(tmp_path / "stdout.log"))


def exited(code, memory=0.0):
    return Exit("r1", code, memory)


def test_a_run_that_left_a_result_is_what_the_result_says(job):
    assert judge(job, DONE, exited(0), None, 9.0) == DONE


def test_the_larger_of_both_memory_readings_counts(job):
    assert judge(job, DONE, exited(0, 20.0), None, 9.0).peak_memory_mb == 20.0
    assert judge(job, DONE, exited(0, 5.0), None, 9.0).peak_memory_mb == 10.0


def test_a_result_stands_whatever_ended_the_process_afterwards(job):
    assert judge(job, DONE, exited(-signal.SIGSEGV), None, 9.0).status == Status.SUCCEEDED


def test_a_run_without_a_result_has_crashed(job, tmp_path):
    (tmp_path / "stdout.log").write_text("before\n--- a.py:v r1 ---\nloading\nlast words\n")
    result = judge(job, None, exited(-signal.SIGSEGV, 30.0), None, 2.5)
    assert (result.run_id, result.status, result.seconds, result.peak_memory_mb) == ("r1", Status.CRASHED, 2.5, 30.0)
    assert result.error == "loading\nlast words\n"
    assert result.error_summary == "the process was killed by SIGSEGV (segmentation fault)"


def test_a_run_that_was_done_before_it_was_told_to_stop_stays_done(job):
    assert judge(job, DONE, exited(0), (Status.INTERRUPTED, LATER), 9.0).status == Status.SUCCEEDED


@pytest.mark.parametrize(
    ("told", "summary"), [(Status.INTERRUPTED, "interrupted"), (Status.TIMED_OUT, "timed out after 9.0 s")]
)
def test_a_run_that_was_told_to_stop_is_what_it_was_told(job, told, summary):
    for found in (DONE, None):
        result = judge(job, found, exited(-signal.SIGKILL), (told, EARLIER), 9.0)
        assert (result.status, result.error_summary, result.versions) == (told, summary, ())


def test_what_a_stopped_run_found_is_kept(job):
    assert judge(job, DONE, exited(0), (Status.INTERRUPTED, EARLIER), 9.0).metrics == {"a": 1.0}


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (0, "the process ended with exit status 0 before it had a result"),
        (3, "the process ended with exit status 3 before it had a result"),
        (-9, "the process was killed by SIGKILL (out of memory?)"),
        (-11, "the process was killed by SIGSEGV (segmentation fault)"),
        (-15, "the process was killed by SIGTERM"),
        (-120, "the process was killed by signal 120"),
    ],
)
def test_the_end_of_a_process_in_words(code, words):
    assert describe_exit(exited(code)) == words


def test_a_result_is_read_back(tmp_path):
    (tmp_path / "result.json").write_text(DONE.to_json())
    found = read_result(tmp_path / "result.json", "r1")
    assert (found.status, found.metrics, found.ended) == (Status.SUCCEEDED, {"a": 1.0}, DONE.ended)


@pytest.mark.parametrize("content", [None, "", "{", "[]", Result("other", Status.SUCCEEDED).to_json(), b"\xff\xfe"])
def test_no_result_of_this_run_is_none(tmp_path, content):
    path = tmp_path / "result.json"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert read_result(path, "r1") is None


def test_only_the_last_lines_of_this_run_are_shown(job):
    path = Path(job.output_file)
    path.write_text("--- a.py:v r0 ---\nold\n--- a.py:v r1 ---\n" + "".join(f"line {n}\n" for n in range(50)))
    assert last_printed(job) == "".join(f"line {n}\n" for n in range(30, 50))


def test_a_long_output_that_is_no_text_does_no_harm(job):
    path = Path(job.output_file)
    path.write_bytes(b"\xff" * 100_000 + b"\nend\n")
    assert last_printed(job).endswith("\nend\n")
    assert len(last_printed(job)) <= 8192


def test_a_run_that_printed_nothing_has_no_last_words(job):
    assert last_printed(job) == ""
