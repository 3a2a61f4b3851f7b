import os
import subprocess
import sys

import pytest

from mlpipeline.errors import ConfigError
from mlpipeline.files import config_lines, parse_config, replace_file


def test_a_replaced_file_has_the_new_content_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "new" / "file"
    replace_file(path, "one\n")
    replace_file(path, "zwei ü".encode(), synced=True)
    assert path.read_text(encoding="utf-8") == "zwei ü"
    assert os.listdir(path.parent) == ["file"]


def test_a_failed_replacement_leaves_the_old_content_and_nothing_beside_it(tmp_path):
    (tmp_path / "taken" / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match="taken"):
        replace_file(tmp_path / "taken", "text")
    assert os.listdir(tmp_path) == ["taken"]
    assert (tmp_path / "taken" / "inside").is_dir()


WRITE_MANY = """
import sys
from pathlib import Path
from mlpipeline.files import replace_file
for digit in "0123456789" * 20:
    replace_file(Path(sys.argv[1]), digit * 100_000)
"""


def test_a_reader_never_sees_half_a_file(tmp_path):
    path = tmp_path / "file"
    replace_file(path, "a" * 100_000)
    seen = []
    with subprocess.Popen([sys.executable, "-c", WRITE_MANY, path]) as writer:
        while writer.poll() is None:
            seen.append(path.read_text())
    assert writer.returncode == 0
    assert all(text == text[0] * 100_000 for text in seen)
    assert path.read_text() == "9" * 100_000


def test_keys_keep_their_case_and_need_no_value():
    parser = parse_config("[A]\nCNN.py\nKey = Value = 2\n", "f.config")
    assert dict(parser["A"]) == {"CNN.py": None, "Key": "Value = 2"}


def test_indented_lines_are_lines_of_their_own():
    parser = parse_config("[A]\nfirst = 1\n    second\n\tthird = 3\n", "f.config")
    assert dict(parser["A"]) == {"first": "1", "second": None, "third": "3"}


def test_a_byte_order_mark_is_no_part_of_the_text():
    assert parse_config("\ufeff[A]\nb\n", "f.config").sections() == ["A"]
    assert config_lines("\ufeff[A]\nb\n") == [(1, "A", ""), (2, "A", "b")]


def test_percent_and_colon_have_no_meaning():
    assert dict(parse_config("[A]\n50%(x)s = c:/d\n", "f.config")["A"]) == {"50%(x)s": "c:/d"}


@pytest.mark.parametrize(
    ("text", "line", "got"),
    [("nonsense\n[A]\n", 1, "nonsense"), ("[A]\nb\n = c\n= d\n", 3, "= c"), ("# c\n\nstray", 3, "stray")],
)
def test_a_line_without_meaning_is_named(text, line, got):
    with pytest.raises(ConfigError, match=rf"f\.config line {line}: expected .*\[SECTION\] .*, but got '{got}'"):
        parse_config(text, "f.config")


def test_config_lines_name_line_section_and_key():
    text = "# top\n[A]\n\nb = 1 # why\n  ; c\n[B] ; end\n   d\n"
    assert config_lines(text) == [(2, "A", ""), (4, "A", "b"), (6, "B", ""), (7, "B", "d")]


@pytest.mark.parametrize("comment", ["", " # c", " ; c", "  #", "\t# c", "\t\t; c", " \t # c ; d"])
@pytest.mark.parametrize("entry", ["key", "key = 1", "a#b.py", "a;b.py"])
def test_the_lines_and_the_parser_agree_on_what_is_a_comment(entry, comment):
    text = f"[SECTION]{comment}\n{entry}{comment}\n"
    assert list(parse_config(text, "f")["SECTION"]) == [entry.partition(" ")[0]]
    assert config_lines(text) == [(1, "SECTION", ""), (2, "SECTION", entry.partition(" ")[0])]
