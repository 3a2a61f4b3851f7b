import pytest

from mlpipeline.errors import ScriptError
from mlpipeline.runner.options import Options, check_versions, select_scripts
from mlpipeline.selection import Selection, parse_selection


@pytest.mark.parametrize(
    ("text", "script", "version"),
    [
        ("cnn.py", "cnn.py", None),
        ("cnn", "cnn.py", None),
        ("./cnn.py", "cnn.py", None),
        ("sub/cnn:big", "sub/cnn.py", "big"),
        ("cnn.py:lr=0.1:b", "cnn.py", "lr=0.1:b"),
        ("cnn.py:", "cnn.py", None),
        ("*", "*", None),
        ("c?:b*", "c?.py", "b*"),
    ],
)
def test_a_selection_is_read_in_every_spelling(text, script, version):
    assert parse_selection(text) == Selection(script, version)


def test_without_a_selection_everything_is_included():
    assert Options().includes("any.py", "v")
    assert Options().includes("any.py", None)


@pytest.mark.parametrize(
    ("only", "script", "version", "expected"),
    [
        ("a", "a.py", "v", True),
        ("a", "b.py", "v", False),
        ("a:v", "a.py", "v", True),
        ("a:v", "a.py", "w", False),
        ("a:v", "a.py", None, True),
        ("a:v*", "a.py", "v2", True),
        ("*:v", "b.py", "v", True),
        ("*:v", "sub/b.py", "v", False),
        ("a:*", "a.py", "lr/0.1", True),
    ],
)
def test_a_selection_includes_what_it_names(only, script, version, expected):
    assert Options(only=(parse_selection(only),)).includes(script, version) is expected


def test_several_selections_include_what_any_of_them_names():
    options = Options(only=(parse_selection("a:v"), parse_selection("b")))
    included = [(s, v) for s in ("a.py", "b.py", "c.py") for v in ("v", "w") if options.includes(s, v)]
    assert included == [("a.py", "v"), ("b.py", "v"), ("b.py", "w")]


def test_scripts_are_selected_in_the_order_of_the_selections_and_once():
    only = [parse_selection(text) for text in ("b", "*", "b:v")]
    assert select_scripts(only, ["a.py", "b.py", "c.py"]) == ["b.py", "a.py", "c.py"]


def test_a_selection_that_means_no_script_names_the_nearest():
    with pytest.raises(ScriptError, match=r"--only: no script with a MODEL is named cmn\.py; did you mean cnn\.py\?"):
        select_scripts([parse_selection("cmn")], ["cnn.py", "other.py"])


def test_a_selection_that_means_no_version_names_the_nearest():
    with pytest.raises(ScriptError, match=r"--only: a\.py has no version wied; did you mean wide\?"):
        check_versions([Selection("a.py", "wied")], "a.py", ["wide", "deep"])
    with pytest.raises(ScriptError, match="has no version zzz; it has wide, deep"):
        check_versions([Selection("a.py", "zzz")], "a.py", ["wide", "deep"])


def test_versions_that_are_there_pass():
    only = [Selection("a.py", "w*"), Selection("a.py"), Selection("b.py", "zzz")]
    assert check_versions(only, "a.py", ["wide"]) is None
