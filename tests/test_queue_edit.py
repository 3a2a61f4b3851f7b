"""A queue file that is changed by a program looks as if a careful person had changed it."""

from __future__ import annotations

import os
import resource
import signal
import string
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlpipeline.errors import ConfigError, QueueChangedError
from mlpipeline.queue_edit import listed_scripts, revision, rewritten, write_queue
from mlpipeline.queue_file import parse_queue
from tests.support import Folder

FILE = """\
# the queue of the night
[MLP]
use_blacklist = false

[WHITELISTED_MODELS]
  # first of all
  a.py      # the baseline
  b.py

  c.py

# never these
[BLACKLISTED_MODELS]
z.py
"""


def whitelist(text: str) -> list[str]:
    return list(dict.fromkeys(parse_queue(text, "q")[0].whitelist))


def test_an_entry_moves_with_its_comments_and_nothing_else_does() -> None:
    moved = FILE.replace("  # first of all\n  a.py      # the baseline\n", "")
    moved = moved.replace("  c.py\n", "  c.py\n  # first of all\n  a.py      # the baseline\n")
    assert rewritten(FILE, ["b.py", "c.py", "a.py"]) == moved


def test_the_last_one_goes_to_the_top_and_the_others_stay() -> None:
    moved = FILE.replace("  c.py\n", "").replace("  # first of all\n", "  c.py\n  # first of all\n")
    assert rewritten(FILE, ["c.py", "a.py", "b.py"]) == moved


def test_a_new_one_stands_in_the_style_of_the_others() -> None:
    assert rewritten(FILE, ["a.py", "b.py", "n.py", "c.py"]) == FILE.replace("  b.py\n", "  b.py\n  n.py\n")
    assert rewritten("[WHITELISTED_MODELS]\n\ta\n\tb\n", ["a.py", "n", "b.py"]).endswith("]\n\ta\n\tn\n\tb\n")


def test_a_removed_one_leaves_the_comments_above_it() -> None:
    assert rewritten(FILE, ["b.py", "c.py"]) == FILE.replace("  a.py      # the baseline\n", "")
    assert whitelist(rewritten(FILE, [])) == []


def test_the_ends_of_lines_a_bom_and_a_missing_last_one_stay() -> None:
    text = "\ufeff[WHITELISTED_MODELS]\r\na.py\r\nb.py"
    assert rewritten(text, ["b.py", "n.py", "a.py"]) == "\ufeff[WHITELISTED_MODELS]\r\nb.py\r\nn.py\r\na.py"
    assert rewritten(text, ["a.py"]) == "\ufeff[WHITELISTED_MODELS]\r\na.py"


def test_a_file_without_a_list_gets_one() -> None:
    assert rewritten("", ["a.py"]) == "[WHITELISTED_MODELS]\na.py\n"
    assert rewritten("[MLP]\nuse_blacklist = no", ["a.py"]) == (
        "[MLP]\nuse_blacklist = no\n\n[WHITELISTED_MODELS]\na.py"
    )
    text = "[WHITELISTED_MODELS]\n# one a line\n\n# never\n[BLACKLISTED_MODELS]\n"
    assert rewritten(text, ["b.py"]) == text.replace("line\n", "line\nb.py\n")


def test_doubled_entries_and_other_spellings_count_once() -> None:
    text = "[WHITELISTED_MODELS]\n./a.py\nb\na\nsub\\c.py\nx*\n"
    assert listed_scripts(text, "q")[0] == ["a.py", "b.py", "sub/c.py", "x*"]
    assert rewritten(text, ["a.py", "b.py", "sub/c.py", "x*"]) == text
    assert rewritten(text, ["x*", "a.py", "sub/c.py", "b.py"]) == "[WHITELISTED_MODELS]\nx*\n./a.py\nsub\\c.py\nb\n"


@pytest.mark.parametrize(
    "name",
    ["", " ", "a = b", "/etc/x.py", "../x.py", "[MLP]", "a\nb", "a #b.py", "#a.py", "=", "a\u2028b.py", "x" * 2000],
)
def test_a_name_that_cannot_stand_in_the_file_is_refused(name: str) -> None:
    with pytest.raises(ConfigError):
        rewritten(FILE, ["a.py", name])


def test_the_same_twice_and_a_file_that_is_none_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"a\.py more than once"):
        rewritten(FILE, ["a.py", "b.py", "a"])
    with pytest.raises(ConfigError, match="line 2"):
        rewritten("[WHITELISTED_MODELS]\na = b\n", ["a.py"])


ENTRIES = st.text(string.ascii_lowercase + " /-é", min_size=1, max_size=4).filter(
    lambda name: name == name.strip() and not name.startswith("/")
)
DECORATION = st.sampled_from(["", "\n", "# c\n", "  ; d\n", "[MLP]\nuse_blacklist = no\n", "[BLACKLISTED_MODELS]\nz\n"])


@st.composite
def files(draw: st.DrawFn) -> str:
    parts = [draw(st.sampled_from(["", "\ufeff"])), draw(DECORATION)]
    for entry in draw(st.lists(ENTRIES, max_size=6)):
        parts.append("[WHITELISTED_MODELS]\n" if draw(st.booleans()) else draw(DECORATION))
        head = parts[-1].splitlines()[-1:] in (["use_blacklist = no"], ["z"], [])
        parts.append("[WHITELISTED_MODELS]\n" if head else "")
        parts.append(f"{draw(st.sampled_from(['', '  ']))}{entry}{draw(st.sampled_from(['', ' # t']))}\n")
    text = "".join(parts) if any("[" in part for part in parts) else "[WHITELISTED_MODELS]\n" + "".join(parts[1:])
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    return text if draw(st.booleans()) else text.removesuffix("\n")


@settings(max_examples=150, deadline=None)
@given(files(), st.data())
def test_any_file_says_what_was_asked_and_keeps_every_other_line(text: str, data: st.DataObject) -> None:
    try:
        before = listed_scripts(text, "q")[0]
    except ConfigError:
        return
    names = st.lists(st.sampled_from([*before, "new.py", "other*"]), unique=True, max_size=8)
    asked = data.draw(names)
    after = rewritten(text, asked)
    assert whitelist(after) == asked
    assert parse_queue(after, "q")[0].blacklist == (parse_queue(text, "q")[0].blacklist)
    assert after.startswith("\ufeff") == text.startswith("\ufeff")
    comments = sorted(line.strip() for line in text.splitlines() if line.lstrip("\ufeff ").startswith(("#", ";")))
    assert sorted(line.strip() for line in after.splitlines() if line.lstrip("\ufeff ").startswith(("#", ";"))) == (
        comments
    )
    assert rewritten(after, asked) == after


def test_a_list_is_written_only_over_the_content_it_was_made_from(folder: Folder) -> None:
    path = folder.root / "models.config"
    path.write_text(FILE)
    seen = revision(path.read_bytes())
    write_queue(folder.project, path, seen, ["c.py", "a.py", "b.py"])
    assert whitelist(path.read_text()) == ["c.py", "a.py", "b.py"]
    with pytest.raises(QueueChangedError, match="changed meanwhile"):
        write_queue(folder.project, path, seen, ["a.py"])
    assert whitelist(path.read_text()) == ["c.py", "a.py", "b.py"]


def test_a_new_name_must_be_that_of_a_script(folder: Folder) -> None:
    path = folder.root / "models.config"
    path.write_text(FILE)
    folder.script("sub/network.py")
    seen = revision(path.read_bytes())
    with pytest.raises(ConfigError, match=r"did you mean sub/network\.py"):
        write_queue(folder.project, path, seen, ["a.py", "sub/netwrk.py"])
    write_queue(folder.project, path, seen, ["c.py", "sub/network", "n*.py"])
    assert whitelist(path.read_text()) == ["c.py", "sub/network.py", "n*.py"]


def test_a_link_and_the_mode_of_the_file_stay(folder: Folder) -> None:
    kept = folder.root / "kept"
    kept.mkdir()
    (kept / "real.config").write_text(FILE)
    (kept / "real.config").chmod(0o640)
    path = folder.root / "models.config"
    path.symlink_to("kept/real.config")
    write_queue(folder.project, path, revision(path.read_bytes()), ["b.py"])
    assert path.is_symlink()
    assert whitelist((kept / "real.config").read_text()) == ["b.py"]
    assert (kept / "real.config").stat().st_mode & 0o777 == 0o640


def test_a_file_that_is_not_there_is_begun(folder: Folder) -> None:
    folder.script("a.py")
    path = folder.root / "models.config"
    write_queue(folder.project, path, revision(b""), ["a.py"])
    assert path.read_text() == "[WHITELISTED_MODELS]\na.py\n"


def test_a_full_disk_leaves_the_old_file(folder: Folder) -> None:
    path = folder.root / "models.config"
    path.write_text(FILE)
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, most))  # as a full disk: no file may grow
    try:
        with pytest.raises(ConfigError, match="File too large; it stays as it was"):
            write_queue(folder.project, path, revision(path.read_bytes()), ["b.py"])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        signal.signal(signal.SIGXFSZ, ignored)
    assert path.read_text() == FILE
    assert not list(folder.root.glob(".models.config.tmp"))


def test_a_link_in_the_way_leads_nowhere(folder: Folder) -> None:
    path, elsewhere = folder.root / "models.config", folder.root / "elsewhere"
    path.write_text(FILE)
    elsewhere.write_text("mine")
    (folder.root / ".models.config.tmp").symlink_to(elsewhere)
    write_queue(folder.project, path, revision(path.read_bytes()), ["a.py"])
    assert elsewhere.read_text() == "mine"
    assert not path.is_symlink()


def test_of_many_writers_at_once_one_wins(folder: Folder) -> None:
    path = folder.root / "models.config"
    path.write_text(FILE)
    seen, outcomes = revision(path.read_bytes()), []

    def write(name: str) -> None:
        try:
            write_queue(folder.project, path, seen, [name, "b.py"])
            outcomes.append(name)
        except QueueChangedError:
            outcomes.append("")

    threads = [threading.Thread(target=write, args=[name]) for name in ("c.py", "x*", "y*", "a.py")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes)[:3] == ["", "", ""]
    assert whitelist(path.read_text())[0] == sorted(outcomes)[3]
    assert not [name for name in os.listdir(Path(folder.root)) if name.endswith(".tmp")]
