import json
import subprocess
import sys

import pytest

from mlpipeline.errors import RecordError
from mlpipeline.project import load_project
from mlpipeline.records import Record
from mlpipeline.runner.journal import Journal, append_line
from mlpipeline.runner.plan import Outcome


def start(run_id, version="v", **details):
    return Record("start", run_id, "a.py", version, "RUNNING", "f", details)


def end(run_id, version="v", status="SUCCEEDED"):
    return Record("end", run_id, "a.py", version, status, "f")


class Following:
    """A journal, and what it warned of."""

    def __init__(self, project):
        self.warned = []
        self.journal = Journal(project, self.warned.append)
        self.journal.refresh()

    def statuses(self):
        self.journal.refresh()
        return {version: outcome.status for (_, version), outcome in self.journal.last.items()}


@pytest.fixture
def project(tmp_path):
    return load_project(tmp_path)


@pytest.fixture
def history(project):
    project.outputs_dir.mkdir()
    return project.history_file


def lines(*records):
    return "".join(record.to_line() + "\n" for record in records)


def test_a_run_is_open_between_its_start_and_its_end(project):
    following = Following(project)
    following.journal.append(start("r1"))
    assert list(following.journal.open) == ["r1"]
    following.journal.append(end("r1"))
    assert following.journal.open == {}
    assert following.journal.last == {("a.py", "v"): Outcome("SUCCEEDED", "f")}


def test_what_was_appended_is_on_disk_for_the_next_reader(project):
    Following(project).journal.append(start("r1", host="h"))
    (line,) = project.history_file.read_text().splitlines()
    assert json.loads(line)["status"] == "RUNNING"
    assert Following(project).journal.open == {"r1": start("r1", host="h")}


def test_the_last_end_of_a_version_counts(project, history):
    history.write_text(lines(end("r1"), end("r2", status="FAILED"), end("r3", "w")))
    assert Following(project).statuses() == {"v": "FAILED", "w": "SUCCEEDED"}


def test_a_torn_last_line_is_left_for_later(project, history):
    whole = lines(end("r1"), end("r2", "w"))
    history.write_text(whole[:-7])
    following = Following(project)
    assert (following.statuses(), following.warned) == ({"v": "SUCCEEDED"}, [])
    history.write_text(whole)
    assert following.statuses() == {"v": "SUCCEEDED", "w": "SUCCEEDED"}


def test_every_torn_end_of_a_journal_loses_only_the_last_line(project, history):
    first, second = lines(end("r1")), lines(end("r2", "w"))
    for length in range(len(second) - 1):
        history.write_text(first + second[:length])
        following = Following(project)
        following.journal.append(end("r3", "x"))
        assert {"v", "x"} == set(following.statuses()), second[:length]
        assert len(following.warned) == (1 if length else 0)


def test_a_whole_line_that_lacks_only_its_end_is_recovered(project, history):
    history.write_text(lines(end("r1"))[:-1])
    following = Following(project)
    following.journal.append(end("r2", "w"))
    assert (set(following.statuses()), following.warned) == ({"v", "w"}, [])


def test_a_damaged_line_in_the_middle_is_named_once_and_skipped(project, history):
    damaged = [b"\0\0\0\0\n", b"{half\n", b"\xff\xfe\n", b'{"event": "end"}\n', b"[]\n"]
    history.write_bytes(lines(end("r1")).encode() + b"\n" + b"".join(damaged) + lines(end("r2", "w")).encode())
    following = Following(project)
    assert set(following.statuses()) == {"v", "w"}
    named = [warning.partition(" is damaged and skipped: ")[0] for warning in following.warned]
    assert named == [f"{history.name} line {number}" for number in (3, 4, 5, 6, 7)]


@pytest.mark.parametrize("version", [["v"], {"a": 1}])
def test_a_line_whose_version_is_no_text_is_skipped(project, history, version):
    history.write_text(lines(end("r1", version), end("r2", "w")))
    following = Following(project)
    assert set(following.statuses()) == {"w"}
    assert len(following.warned) == 1


def test_the_journals_of_all_hosts_count(project, history):
    history.write_text(lines(start("r1")))
    history.with_name("history-other").write_text(lines(start("r2", "w"), end("r2", "w")))
    following = Following(project)
    assert (set(following.journal.open), set(following.statuses())) == ({"r1"}, {"w"})
    following.journal.append(end("r1"))
    assert history.with_name("history-other").read_text().count("\n") == 2


def test_the_journal_of_a_host_that_comes_later_is_followed(project, history):
    following = Following(project)
    history.with_name("history-new").write_text(lines(end("r1")))
    assert set(following.statuses()) == {"v"}


APPEND = """
import sys
from pathlib import Path
from mlpipeline.runner.journal import append_line
for line in sys.stdin:
    append_line(Path(sys.argv[1]), line.rstrip("\\n"), synced=True)
    print("written", flush=True)
"""


def test_lines_that_another_process_appends_are_followed(project, history):
    following = Following(project)
    command = [sys.executable, "-c", APPEND, history]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as other:
        for number in range(5):
            other.stdin.write(end(f"r{number}", f"v{number}").to_line() + "\n")
            assert other.stdout.readline() == "written\n"
            assert len(following.statuses()) == number + 1
        other.stdin.close()
    assert following.warned == []


def test_two_processes_append_whole_lines(project, history):
    command = [sys.executable, "-c", APPEND, history]
    writers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True) for _ in "ab"]
    for name, writer in zip("ab", writers, strict=True):
        writer.stdin.write(lines(*(end(f"{name}{number}", f"{name}{number}") for number in range(200))))
        writer.stdin.close()
    assert [writer.wait(20) for writer in writers] == [0, 0]
    following = Following(project)
    assert (len(following.statuses()), following.warned) == (400, [])


def test_an_empty_line_is_no_damage(project, history):
    history.write_text("\n\n" + lines(end("r1")))
    following = Following(project)
    assert (set(following.statuses()), following.warned) == ({"v"}, [])


def test_a_torn_line_is_ended_before_the_next(tmp_path):
    path = tmp_path / "new" / "file"
    append_line(path, "one")
    path.write_text("one\nha")
    append_line(path, "two", synced=True)
    assert path.read_text() == "one\nha\ntwo\n"


def test_a_journal_that_cannot_be_read_is_an_error(project, history):
    history.symlink_to(history)
    with pytest.raises(RecordError, match=r"cannot be read: .*; mend it or move it away"):
        Following(project)


def test_a_journal_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RecordError, match=r"cannot be written: .*Nothing recorded before is lost"):
        append_line(tmp_path / "file" / "history", "line")


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from mlpipeline.errors import RecordError
from mlpipeline.runner.journal import append_line
path = Path(sys.argv[1])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, resource.RLIM_INFINITY))
try:
    append_line(path, "a line that is longer than the room", synced=True)
except RecordError as error:
    print(error)
"""


def test_a_line_for_which_there_is_no_room_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "history"
    path.write_text("one\n")
    done = subprocess.run([sys.executable, "-c", FULL_DISK, path], capture_output=True, text=True)
    assert f"{path} cannot be written: File too large. Nothing recorded before is lost" in done.stdout, done.stderr
    assert path.read_text() == "one\n"
