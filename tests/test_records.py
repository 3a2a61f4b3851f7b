import json
import math
from datetime import UTC, datetime, timedelta

import pytest

from mlpipeline.errors import RecordError
from mlpipeline.records import Job, Record, Result, Status, dumps, now


def strict(text):
    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


def job(**more):
    return Job("r1", "a.py", "v", "/p", "/p/models", "/p/o", "/p/r", "/p/s", **more)


def record(**more):
    return Record(**{"event": "end", "run_id": "r1", "script": "a.py", "version": "v", "status": "SUCCEEDED",
                     "fingerprint": "f", **more})  # fmt: skip


def test_numbers_that_json_has_no_word_for_become_texts():
    value = {"a": [math.nan, (math.inf, -math.inf)], "b": {"c": math.nan}, "d": 1.5, "e": True, "f": None}
    text = dumps(value)
    assert strict(text) == {"a": ["nan", ["inf", "-inf"]], "b": {"c": "nan"}, "d": 1.5, "e": True, "f": None}
    assert math.isnan(float(strict(text)["b"]["c"]))


def test_json_stands_in_one_line():
    assert "\n" not in dumps({"text": "a\nb\u2028c", "more": ["x"] * 100})


def test_dumps_leaves_its_argument_as_it_was():
    value = {"a": [math.inf]}
    dumps(value)
    assert value == {"a": [math.inf]}


def test_a_result_crosses_processes_unchanged():
    result = Result("r1", Status.FAILED, metrics={"test.loss": 0.1 + 0.2}, outputs={"train": "ü\n"}, steps=3)
    again = Result.from_json(result.to_json())
    assert (again.status, again.metrics, again.outputs, again.steps) == (
        Status.FAILED,
        result.metrics,
        {"train": "ü\n"},
        3,
    )


@pytest.mark.parametrize(
    "value",
    [job(), job(imports=("torch",), sources=("a.py",)), Result("r", "FAILED")],
    ids=["job", "job with imports", "result"],
)
def test_a_value_that_crosses_processes_comes_back_equal(value):
    assert type(value).from_json(value.to_json()) == value


def test_a_result_with_nan_is_strict_json():
    text = Result("r1", Status.SUCCEEDED, metrics={"loss": math.nan, "gain": math.inf}).to_json()
    assert strict(text)["metrics"] == {"loss": "nan", "gain": "inf"}


def test_keys_of_a_later_version_are_passed_over():
    text = json.dumps({"run_id": "r1", "status": "FAILED", "invented_later": 1})
    assert Result.from_json(text).status == "FAILED"


@pytest.mark.parametrize("text", ["", "{", "[]", "5", "null", '"text"', "{}", '{"run_id": "r"}'])
def test_what_is_no_result_is_refused(text):
    with pytest.raises(RecordError, match="expected a Result in JSON, but got"):
        Result.from_json(text)


def test_a_record_comes_back_from_its_line():
    given = record(details={"metrics": {"loss": 0.5}, "host": "h"})
    assert Record.from_line(given.to_line()) == Record.from_line(given.to_line().encode()) == given


def test_a_line_says_event_script_version_and_status_first():
    assert list(json.loads(record(details={"seed": 1}).to_line())) == [
        "event", "run_id", "script", "version", "status", "fingerprint", "seed"
    ]  # fmt: skip


def test_a_record_of_a_script_that_could_not_be_loaded_has_no_version():
    assert Record.from_line(record(version=None).to_line()).version is None


@pytest.mark.parametrize(
    "line",
    [
        b"", b"\0\0\0", b"\xff\xfe", b"{", b"[1]", b"5", b"null", b"{}", record().to_line()[:-5].encode(),
        record(event="middle").to_line().encode(), record(run_id=5).to_line().encode(),
        record(script=None).to_line().encode(), record(version=["v"]).to_line().encode(),
        record(version={"a": 1}).to_line().encode(), record(status=None).to_line().encode(),
        pytest.param(b"[" * 100_000, id="nested too deep"),
    ],
)  # fmt: skip
def test_a_damaged_line_is_refused(line):
    with pytest.raises(RecordError, match="expected "):
        Record.from_line(line)


def test_only_a_run_that_was_cut_short_can_be_resumed():
    assert {status for status in Status if status.can_resume} == {
        Status.CRASHED,
        Status.TIMED_OUT,
        Status.INTERRUPTED,
    }


def test_now_is_utc_and_sorts_as_text():
    first, second = now(), now()
    assert first <= second
    assert abs(datetime.fromisoformat(first) - datetime.now(UTC)) < timedelta(seconds=10)
    assert len(first) == len(second)
