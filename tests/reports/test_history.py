"""What the journals say, through the index beside them."""

import os
import sqlite3

import pytest

from mlpipeline.errors import ReportError
from mlpipeline.project import load_project
from mlpipeline.reports.history import History
from mlpipeline.selection import Selection
from tests.reports.records import end, start, write


class Looking:
    """A history, and what it warned of."""

    def __init__(self, root):
        self.warned = []
        self.history = History(load_project(root), self.warned.append)
        self.history.refresh()

    def latest(self, *selections):
        self.history.refresh()
        return [(run.name, run.status, run.run_id) for run in self.history.latest(selections)]


@pytest.fixture
def outputs(tmp_path):
    return tmp_path / "outputs"


@pytest.fixture
def look(tmp_path):
    return lambda: Looking(tmp_path)


def index_of(outputs):
    (path,) = outputs.glob(".index-*.sqlite")
    return path


def test_the_last_run_of_each_version_counts_in_the_order_of_the_ends(outputs, look):
    write(outputs, end(1, version="v"), end(2, version="w"), end(3, version="v", status="FAILED"))
    assert look().latest() == [("a.py:w", "SUCCEEDED", "run000002"), ("a.py:v", "FAILED", "run000003")]


def test_what_is_appended_is_followed_and_what_was_read_is_not_read_again(outputs, look):
    path = write(outputs, end(1))
    first = look()
    assert not first.history.refresh()
    write(outputs, end(2))
    assert first.history.refresh()
    assert not first.history.refresh()
    # the index alone answers: had the line been read again, its damage would be seen
    written = path.stat().st_mtime_ns
    path.write_bytes(path.read_bytes().replace(b'"seconds":1.5', b'"seconds":2.5', 1))
    os.utime(path, ns=(written, written))
    assert [run.seconds for run in look().history.runs()] == [1.5, 1.5]


def test_a_history_that_was_edited_in_its_middle_is_read_anew(outputs, look):
    path = write(outputs, *map(end, range(9)))
    assert len(look().latest()) == 9
    path.write_bytes(path.read_bytes().replace(b'"version":"v5"', b'"version":"w5"'))
    assert "a.py:w5" in [name for name, *_ in look().latest()]


@pytest.mark.parametrize("place", range(1, 10))
def test_an_index_that_is_damaged_anywhere_is_made_anew(outputs, look, place):
    write(outputs, *map(end, range(300)))
    expected = look().latest()
    index = index_of(outputs)
    content = bytearray(index.read_bytes())
    middle = len(content) * place // 10
    content[middle : middle + 64] = b"\xff" * 64
    index.write_bytes(content)
    assert look().latest() == expected


def test_a_history_that_is_replaced_is_read_anew(outputs, look):
    path = write(outputs, end(1), end(2))
    looking = look()
    path.write_text("")
    write(outputs, end(3), end(4), end(5))
    assert [name for name, *_ in looking.latest()] == ["a.py:v3", "a.py:v4", "a.py:v5"]
    path.unlink()
    assert looking.latest() == []


def test_an_index_that_is_deleted_or_damaged_or_of_another_layout_is_made_anew(outputs, look):
    write(outputs, end(1))
    expected = look().latest()
    index = index_of(outputs)
    index.write_bytes(b"no database" * 1000)
    assert look().latest() == expected
    with sqlite3.connect(index_of(outputs)) as database:
        database.execute("PRAGMA user_version = 99")
    assert look().latest() == expected
    index_of(outputs).unlink()
    assert look().latest() == expected


def test_an_index_damaged_in_its_middle_is_made_anew(outputs, look):
    write(outputs, *map(end, range(300)))
    assert len(look().latest()) == 300
    index = index_of(outputs)
    content = bytearray(index.read_bytes())
    content[4096:-4096] = b"\xff" * (len(content) - 8192)
    index.write_bytes(content)
    write(outputs, end(300))
    assert len(look().latest()) == 301


def test_without_a_place_for_the_index_the_history_is_read_all_the_same(outputs, look):
    write(outputs, end(1))
    index = outputs / f".index-{load_project(outputs.parent).host}.sqlite"
    index.mkdir()
    assert [name for name, *_ in look().latest()] == ["a.py:v1"]


def test_a_project_that_has_run_nothing_has_no_runs_and_gets_no_files(outputs, look):
    assert look().latest() == []
    assert not outputs.exists()


def test_damaged_and_foreign_and_newer_lines_are_named_and_skipped(outputs, look):
    foreign = ['{"event":"en', "[1, 2]", '{"a": 1}', '{"event":"start","run_id":"x"}']
    write(outputs, end(1), *foreign, {**end(2), "format": 7}, end(3))
    looking = look()
    assert [name for name, *_ in looking.latest()] == ["a.py:v1", "a.py:v3"]
    assert [text.partition(":")[0] for text in looking.warned[:5]] == [
        f"history-h1 line {number} is damaged and skipped" for number in range(2, 7)
    ]
    assert "format 7" in looking.warned[4]
    assert look().warned == looking.warned  # from the index, too


def test_many_damaged_lines_are_counted(outputs, look):
    write(outputs, *["{" for _ in range(20)])
    warned = look().warned
    assert (len(warned), warned[-1]) == (6, "... and 15 more lines of the history are skipped")


def test_numbers_that_are_none_are_floats(outputs, look):
    write(outputs, end(1, metrics={"loss": "nan", "best": "inf", "n": 3}))
    (run,) = look().history.runs()
    assert str(run.metrics["loss"]) == "nan"
    assert (run.metrics["best"], run.metrics["n"]) == (float("inf"), 3)


def test_a_start_alone_is_an_interrupted_run_unless_somebody_holds_its_directory(outputs, look):
    write(outputs, start(1, version="v"))
    assert look().latest() == [("a.py:v", "INTERRUPTED", "run000001")]
    write(outputs, end(1, version="v"))
    assert look().latest() == [("a.py:v", "SUCCEEDED", "run000001")]


def test_an_end_in_the_journal_of_another_host_ends_the_start(outputs, look):
    write(outputs, end(1, version="v"), host="a")
    write(outputs, start(1, version="v"), host="b")
    assert look().latest() == [("a.py:v", "SUCCEEDED", "run000001")]


def test_a_clock_that_was_set_back_does_not_make_an_older_run_the_last(outputs, look):
    write(outputs, end(500, version="v", status="FAILED"), end(1, version="v"))
    assert look().latest() == [("a.py:v", "SUCCEEDED", "run000001")]


def test_runs_of_two_hosts_are_ordered_by_their_ends(outputs, look):
    write(outputs, end(1, version="v"), end(9, version="w"), host="a")
    write(outputs, end(5, version="v", status="FAILED"), host="b")
    assert look().latest() == [("a.py:v", "FAILED", "run000005"), ("a.py:w", "SUCCEEDED", "run000009")]


def test_a_script_that_could_not_be_loaded_is_shown_until_a_version_of_it_runs(outputs, look):
    write(outputs, end(1, version=None, status="FAILED"))
    assert look().latest() == [("a.py", "FAILED", "run000001")]
    write(outputs, end(2, version="v"))
    assert look().latest() == [("a.py:v", "SUCCEEDED", "run000002")]


def test_selections_choose_scripts_and_versions(outputs, look):
    write(outputs, end(1), end(2, script="sub/b.py"), end(3))
    assert [name for name, *_ in look().latest(Selection("a.py", "v[3]"), Selection("sub/*"))] == [
        "sub/b.py:v2",
        "a.py:v3",
    ]


def test_a_run_is_found_by_version_and_by_id(outputs, look):
    write(outputs, end(1, version="v"), end(2, version="v"), end(3, version="x@y"))
    history = look().history
    assert history.find("a:v").run_id == "run000002"
    assert history.find("a.py:v@run000001").run_id == "run000001"
    assert history.find("a:x@y").run_id == "run000003"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a", r"expected SCRIPT:VERSION, but got 'a'; there are a\.py:v1, a\.py:v2"),
        ("a:v3", r"no run of a\.py:v3 is recorded; did you mean a\.py:v"),
        ("a:v1@zzz", r"a\.py:v1 has no run zzz; its last ones are run000001"),
    ],
)
def test_a_run_that_is_not_there_is_said_with_what_there_is(outputs, look, text, message):
    write(outputs, end(1), end(2))
    with pytest.raises(ReportError, match=message):
        look().history.find(text)


def test_details_come_from_the_journal_itself(outputs, look):
    path = write(outputs, end(1, libraries={"torch": "2.9"}), end(2))
    history = look().history
    run = history.find("a:v1")
    assert history.details(run)["libraries"] == {"torch": "2.9"}
    path.unlink()
    assert history.details(run) == {}


def test_a_record_that_names_a_directory_elsewhere_leads_nowhere(outputs, look):
    write(outputs, end(1, model_dir="../../etc"))
    history = look().history
    assert history.folder(history.find("a:v1")) is None


def test_what_another_process_has_taken_in_is_news_all_the_same(tmp_path, outputs):
    write(outputs, end(1))
    one, other = Looking(tmp_path).history, Looking(tmp_path).history
    write(outputs, start(2))
    assert other.refresh()
    assert one.refresh()
    assert not one.refresh()
