"""Filter expressions: what they accept, what they mean, and what they refuse."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest

from mlpipeline.errors import ReportError, did_you_mean
from mlpipeline.reports.where import compile_where

ROW: dict[str, Any] = {
    "learning_rate": 0.05,
    "status": "SUCCEEDED",
    "test.accuracy": 0.9,
    "my param": 3,
    "it's `odd": 1,
    "diverged": math.nan,
    "absent": None,
    "layers": [64, 32],
    "flag": True,
}


def column(name: str) -> Any:
    if name not in ROW:
        raise ReportError(f"there is no column {name!r}{did_you_mean(name, ROW)}")
    return lambda row: row[name]


def holds(text: str) -> bool:
    return compile_where(text, column)(ROW)


@pytest.mark.parametrize(
    "text",
    [
        "learning_rate < 0.1 and status == 'SUCCEEDED'",
        'status == "SUCCEEDED"',
        "0.01 < learning_rate <= 0.05 < test.accuracy",
        "not (learning_rate > 1 or status == 'FAILED')",
        "status in ('FAILED', 'SUCCEEDED') and status not in ['CRASHED']",
        "'SUCC' in status",
        "`my param` == 3 and `my param` + 1 == 2 * 2 and -`my param` < -2.5 and +1 == 1",
        "learning_rate / 5 - 0.01 < 0.001",
        "layers == [64, 32] and layers == (64, 32) and 64 in layers and (`my param`, 1) == [3, 1]",
        "flag and flag == True",
        "absent is None and learning_rate is not None and diverged == None",
        "  learning_rate\n<\n1  ",
        "'a`b' == 'a`b' and `my param` == 3",
    ],
)
def test_a_row_matches(text: str) -> None:
    assert holds(text)


@pytest.mark.parametrize(
    "text",
    [
        "learning_rate > 0.1",
        "learning_rate < 0.1 and status == 'FAILED'",
        "0.01 < learning_rate < 0.02",
        "not flag",
        "learning_rate is None",
        "flag == 'True'",
    ],
)
def test_a_row_does_not_match(text: str) -> None:
    assert not holds(text)


@pytest.mark.parametrize("name", ["absent", "diverged"])
def test_a_missing_value_is_neither_true_nor_false(name: str) -> None:
    for part in (f"{name} < 1", f"{name} >= 1", f"{name} != 1", f"{name} + 1 > 0", f"{name} in (1, 2)", name):
        assert not holds(part)
        assert not holds(f"not ({part})")
        assert not holds(f"{part} and flag")
        assert holds(f"{part} or flag")
        assert holds(f"flag or {part}")


def test_values_without_an_order_do_not_match() -> None:
    assert not holds("status < 3")
    assert not holds("not status < 3")
    assert not holds("3 in learning_rate")
    assert not holds("learning_rate / 0 > 1")
    assert not holds("status * 1000000000 == 'x'")  # and makes no long text


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('touch hacked')",
        "status.upper() == 'X'",
        "(lambda: 1)()",
        "[x for x in layers]",
        "layers[0] == 64",
        "2 ** 99999999 > 1",
        "1 if flag else 2",
        "f'{status}'",
        "(y := 3)",
        "{'a': 1}",
        "b'x' == status",
        "layers is layers",
        "'%99999999d' % 1 == ''",
        "(status).x",
    ],
)
def test_nothing_but_comparisons_is_accepted(text: str) -> None:
    with pytest.raises(ReportError, match="--where"):
        holds(text)


@pytest.mark.parametrize(
    "text", ["", "  ", "learning_rate <", "a = 3", "flag flag", "(" * 900, "-" * 1900 + "1", "1\0", "x" * 3000]
)
def test_what_cannot_be_read_is_said_with_an_example(text: str) -> None:
    with pytest.raises(ReportError, match="--where"):
        holds(text)


def test_an_unknown_name_is_said_with_its_place_and_the_nearest() -> None:
    with pytest.raises(ReportError, match=r"character 11: .*'learningrate'; did you mean learning_rate"):
        holds("flag and  learningrate < 1")
    with pytest.raises(ReportError, match=r"character 11: there is no column 'größe'"):
        holds("'äö' and  größe < 1")
    with pytest.raises(ReportError, match="character 14: there is no column 'a b'"):
        holds("`my param` > `a b`")


def test_a_hundred_thousand_rows_take_a_moment() -> None:
    matches = compile_where("learning_rate < 0.1 and status == 'SUCCEEDED' or test.accuracy > 0.95", column)
    rows = [ROW] * 100_000
    begin = time.process_time()
    assert sum(map(matches, rows)) == len(rows)
    assert time.process_time() - begin < 1.0


@pytest.mark.parametrize("text", ["-" * 300 + "seed > 0", "seed" + " + 1" * 300 + " > 0", "not " * 150 + "seed > 0"])
def test_what_nests_too_deep_is_refused(text: str) -> None:
    with pytest.raises(ReportError, match="nests too deep"):
        compile_where(text, lambda name: lambda row: 1)
