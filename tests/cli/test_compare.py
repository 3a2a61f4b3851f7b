"""`mlpipeline compare` and `diff` as a user meets them."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from typing import Any

import pytest
from click.testing import CliRunner, Result

from mlpipeline.cli.main import queue
from tests.cli.terminal import HOSTILE, on_a_terminal
from tests.reports.records import end, start, write
from tests.support import Folder

HEAVY = ("numpy", "pandas", "plotly", "torch", "scipy", "rich")


@pytest.fixture
def three(folder: Folder) -> Folder:
    records = [
        end(k, parameters={"learning_rate": k / 10}, metrics={"test.accuracy": accuracy, "test.loss": 1 - accuracy})
        for k, accuracy in enumerate([0.7, 0.9, 0.8], start=1)
    ]
    write(folder.outputs, *records)
    return folder


def call(folder: Folder, *arguments: str) -> Result:
    return CliRunner().invoke(queue, ["-C", str(folder.root), *arguments])


def test_a_pipe_gets_aligned_columns_without_colours(three: Folder) -> None:
    printed = three.run("compare").stdout
    assert "\x1b" not in printed
    heads, *lines = printed.splitlines()
    names = ["name", "learning_rate", "test.accuracy", "delta", "test.loss", "status", "seconds", "memory_mb"]
    assert heads.split() == names
    assert [line.split()[0] for line in lines] == ["a.py:v2", "a.py:v3", "a.py:v1"]
    assert {line.index("SUCCEEDED") for line in lines} == {heads.index("status")}


def test_no_heavy_library_is_loaded_for_a_pipe(three: Folder) -> None:
    code = (
        "import sys\nfrom mlpipeline.cli.main import queue\n"
        f"queue(['-C', {str(three.root)!r}, 'compare'], standalone_mode=False)\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_terminal_gets_colours_and_what_fits_its_width(three: Folder) -> None:
    shown = on_a_terminal(three, "compare", columns=60)
    assert "\x1b[1;32m" in shown  # the best
    assert "learning_rate" in shown  # what differs, before what is the same for all
    assert "\x1b[32mSUCCEEDED" in on_a_terminal(three, "compare", columns=200)
    assert "too wide for" in shown
    assert "memory_mb" not in on_a_terminal(three, "compare", "--columns", "name,seconds", columns=60)


def test_a_terminal_gets_fifty_rows_and_a_pipe_all(folder: Folder) -> None:
    write(folder.outputs, *(end(k, parameters={"x": k}) for k in range(60)))
    assert "10 more rows are not shown" in on_a_terminal(folder, "compare", columns=200)
    assert len(call(folder, "compare").stdout.splitlines()) == 61
    assert len(call(folder, "compare", "--limit", "5").stdout.splitlines()) == 6


def test_options_choose_metric_order_rows_and_columns(three: Folder) -> None:
    arguments = ["--metric", "loss", "--sort", "-learning_rate", "--columns", 'version, "delta"', "--csv"]
    printed = call(three, "compare", *arguments, "--where", "learning_rate > 0.1").stdout
    assert list(csv.reader(io.StringIO(printed))) == [
        ["version", "delta"],
        ["v3", "0.09999999999999998"],
        ["v2", "0.0"],
    ]
    assert call(three, "compare", "--where", "learning_rate > 9").stdout == "no run matches\n"


def test_a_metric_that_does_not_exist_is_said_with_those_there_are(three: Folder) -> None:
    done = three.run("compare", "--metric", "f1", expect=2)
    assert done.stderr == "mlpipeline: there is no metric 'f1'; there are test.accuracy, test.loss\n"


def test_a_script_without_runs_is_said(three: Folder) -> None:
    assert "no run of b.py is recorded; did you mean a.py?" in three.run("compare", "b.py", expect=2).stderr


def test_a_single_run_can_be_chosen(three: Folder) -> None:
    write(three.outputs, end(9, version="v1", parameters={"learning_rate": 1}))
    names = ["a.py:v1@run000001", "a.py:v1@run000009", "a:v2"]
    rows = json.loads(call(three, "compare", *names, "--json", "--columns", "run_id").stdout)
    assert {row["run_id"] for row in rows} == {"run000001", "run000009", "run000002"}


@pytest.fixture
def hostile(folder: Folder) -> Folder:
    parameters = {HOSTILE: [1, {"a": HOSTILE}], "plain": HOSTILE}
    first = end(1, version=HOSTILE, parameters=parameters, metrics={HOSTILE: "nan", "b": "inf", "test.a": 0.5})
    second = end(2, script="ü/-|.py", parameters={}, metrics={}, status="FAILED", error_summary=HOSTILE)
    third = start(3, version="running", parameters={"plain": None})
    half = end(5, version="\ud800", parameters={"\udfff": "\ud800", "big": 10**400}, metrics={"test.a": -(10**400)})
    newer = json.dumps({**end(4), "format": 99})
    write(folder.outputs, first, second, third, half, newer, '{"event":"end"', "\x00\xff nonsense")
    return folder


def test_csv_is_read_back_as_it_was_recorded(hostile: Folder) -> None:
    printed = hostile.run("compare", "--csv", "--columns", "name,plain,b,test.a").stdout
    rows = list(csv.DictReader(io.StringIO(printed)))
    assert rows[0] == {"name": f"a.py:{HOSTILE}", "plain": HOSTILE, "b": "inf", "test.a": "0.5"}
    every = list(csv.DictReader(io.StringIO(hostile.run("compare", "--csv").stdout)))
    assert every[0][f"metrics.{HOSTILE}"] == ""  # NaN; the name is one of a parameter too


def test_json_is_strict_and_has_null_for_what_is_no_number(hostile: Folder) -> None:
    def refuse(word: str) -> Any:
        raise AssertionError(word)

    rows = json.loads(hostile.run("compare", "--json").stdout, parse_constant=refuse)
    assert (rows[0]["b"], rows[0]["test.a"], rows[0]["plain"]) == (None, 0.5, HOSTILE)
    assert {row["status"] for row in rows} == {"SUCCEEDED", "FAILED", "INTERRUPTED"}


def test_markdown_has_one_line_a_run_and_nothing_of_html(hostile: Folder) -> None:
    lines = hostile.run("compare", "--markdown").stdout.splitlines()
    assert len(lines) == 2 + 4
    assert len({line.replace(r"\|", "").count("|") for line in lines}) == 1
    assert "<script" not in "".join(lines)


def test_control_characters_never_reach_a_terminal_or_a_plain_table(hostile: Folder) -> None:
    printed = hostile.run("compare").stdout
    assert not {"\x1b", "\u202e", "\x9b"} & set(printed)
    assert len(printed.splitlines()) == 1 + 4
    shown = on_a_terminal(hostile, "compare", columns=300) + on_a_terminal(hostile, "compare", "--csv")
    assert "\x1b[31mred" not in shown
    assert "\u202e" not in shown
    assert "\x1b" not in hostile.run("compare", "--sort", "nothing", expect=2).stderr


def test_damaged_and_newer_lines_are_warned_of(hostile: Folder) -> None:
    warnings = hostile.run("compare").stderr
    assert warnings.count("warning:") == 3
    assert "a newer mlpipeline may read it" in warnings


def test_an_empty_project_says_what_to_do(folder: Folder) -> None:
    assert "`mlpipeline -r` records runs" in folder.run("compare").stderr


def test_two_runs_are_shown_side_by_side_with_their_code(folder: Folder) -> None:
    folder.script("a.py", "x = 1", versions=["versions.add('v1', rate=0.1)"], evaluate="{'accuracy': 0.5}")
    folder.queue("a.py")
    folder.run("-r")
    folder.script("a.py", "x = 22", versions=["versions.add('v1', rate=0.2)"], evaluate="{'accuracy': 0.75}")
    folder.run("-r")
    first, second = (record["run_id"] for record in folder.history())
    whole = call(folder, "compare", f"a:v1@{first}", f"a:v1@{second}").stdout
    lines = [line.split() for line in whole.splitlines()]
    assert ["rate", "0.1", "0.2", "+0.1"] in lines
    assert ["test.accuracy", "0.5", "0.75", "+0.25"] in lines
    assert ["batch_size", "4", "4"] in lines
    assert "-        x = 1" in whole
    assert "+        x = 22" in whole
    only = call(folder, "diff", f"a:v1@{first}", f"a:v1@{second}").stdout
    assert not [line for line in only.splitlines() if line.startswith("batch_size")]
    assert "+        x = 22" in only


def test_a_difference_says_where_no_code_was_kept(three: Folder) -> None:
    write(three.outputs, end(7, source_digest="1" * 32))
    assert "no copy of the code of a.py:v1 and a.py:v7 was kept" in call(three, "diff", "a:v1", "a:v7").stdout
    assert "code: the same" in call(three, "compare", "a:v1", "a:v2").stdout
    assert "test.loss" in call(three, "compare", "a:v1", "a:v2", "--csv").stdout.splitlines()[0]


def test_long_values_are_cut_in_a_table_and_whole_in_csv_and_in_a_difference(folder: Folder) -> None:
    long = "x" * 100
    write(folder.outputs, end(1, parameters={"p": long}), end(2, parameters={"p": f"{long}y"}))
    assert f" {'x' * 59}… " in call(folder, "compare").stdout
    assert long in call(folder, "compare", "--csv").stdout
    assert f"{long}y" in call(folder, "diff", "a:v1", "a:v2").stdout
