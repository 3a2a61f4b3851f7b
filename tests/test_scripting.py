import logging
import subprocess
import sys

import pytest

from mlpipeline.scripting import add_script_dir_to_PATH, console_colors, log, log_to


@pytest.fixture
def log_file(tmp_path):
    path = tmp_path / "log"
    log_to(path, "cnn.py:50%")
    yield path
    log_to(None, "")


@pytest.fixture
def own_path(monkeypatch):
    monkeypatch.setattr(sys, "path", list(sys.path))


def test_log_writes_a_line_to_the_output_of_that_moment(capsys):
    log("first")
    log("100 %s", agent="Model", level=logging.ERROR)
    first, second = capsys.readouterr().out.splitlines()
    assert first.endswith("INFO first")
    assert second.endswith("ERROR Model- 100 %s")


def test_log_colours_a_line_and_ends_the_colour(capsys):
    log("hot", modifier_1=console_colors.BOLD, modifier_2=console_colors.RED_FG)
    assert "\033[1m\033[31mhot\033[0m\n" in capsys.readouterr().out


def test_debug_lines_are_left_out(capsys):
    log("detail", level=logging.DEBUG)
    assert capsys.readouterr().out == ""


def test_the_log_file_names_the_run_and_has_no_colours(log_file, capsys):
    log("hot", modifier_1=console_colors.RED_FG)
    assert log_file.read_text().endswith("INFO cnn.py:50%: hot\n")
    assert "\033" not in log_file.read_text()


def test_log_to_file_false_keeps_a_line_out_of_the_file(log_file, capsys):
    log("shown", log_to_file=False)
    log("kept")
    assert [line.rpartition(" ")[2] for line in log_file.read_text().splitlines()] == ["kept"]
    assert "shown" in capsys.readouterr().out


def test_the_log_file_is_not_made_before_the_first_line(log_file):
    assert not log_file.exists()


def test_another_log_file_takes_the_place_of_the_first(log_file, tmp_path, capsys):
    log_to(tmp_path / "second", "b.py")
    log("once")
    assert not log_file.exists()
    assert (tmp_path / "second").read_text().count("once") == 1
    assert capsys.readouterr().out.count("once") == 1


def test_a_folder_is_put_first_on_the_path_and_only_once(own_path, tmp_path):
    add_script_dir_to_PATH(str(tmp_path))
    add_script_dir_to_PATH(str(tmp_path))
    assert sys.path[0] == str(tmp_path)
    assert sys.path.count(str(tmp_path)) == 1


def test_a_script_makes_the_modules_beside_it_importable(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "beside.py").write_text("FOUND = 'found'")
    script = "from mlpipeline.utils import add_script_dir_to_PATH as add; add(); import beside; print(beside.FOUND)"
    (tmp_path / "models" / "script.py").write_text(script)
    load = "import importlib.util as u; s = u.spec_from_file_location('s', 'models/script.py'); "
    load += "s.loader.exec_module(u.module_from_spec(s))"
    done = subprocess.run([sys.executable, "-c", load], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "found\n", done.stderr


def test_the_misspelt_colours_stay():
    assert console_colors.MEGENTA_FG == console_colors.MAGENTA_FG == "\033[35m"
    assert console_colors.MEGENTA_BG == console_colors.MAGENTA_BG == "\033[45m"
