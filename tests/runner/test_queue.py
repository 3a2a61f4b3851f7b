import itertools

import pytest

from mlpipeline.errors import ConfigError
from mlpipeline.project import load_project
from mlpipeline.queue_file import Queue, available_scripts, parse_queue
from mlpipeline.runner.queue import QueueReader
from mlpipeline.selection import matches

NAME = "models.config"
WHITE = "[WHITELISTED_MODELS]\n"


class Reading:
    """A project with scripts a.py to c.py and sub/d.py, its queue file and what was warned of."""

    def __init__(self, folder):
        self.models = folder / "models"
        self.file = folder / NAME
        self.warned = []
        for script in ("a.py", "b.py", "c.py", "sub/d.py"):
            self.add(script)
        self.project = load_project(folder)
        self.reader = QueueReader(self.file, self.project, self.warned.append)

    def add(self, script, text="MODEL = 1\n"):
        (self.models / script).parent.mkdir(parents=True, exist_ok=True)
        (self.models / script).write_text(text)

    def read(self, content=None):
        if content is not None:
            self.file.write_bytes(content if isinstance(content, bytes) else content.encode())
        return self.reader.read()


@pytest.fixture
def reading(tmp_path):
    return Reading(tmp_path)


def parsed(text):
    queue, warnings = parse_queue(text, NAME)
    assert warnings == []
    return queue


def test_scripts_stand_in_the_order_of_the_file():
    assert parsed(WHITE + "c.py\na.py\nb.py\n") == Queue(False, ("c.py", "a.py", "b.py"), ())


def test_comments_indents_and_blank_lines_mean_nothing():
    text = "# top\n\n[WHITELISTED_MODELS] ; mine\n   a.py\n\tb.py  # second\n; c.py\n   # d.py\n\n e.py ; end"
    assert parsed(text).whitelist == ("a.py", "b.py", "e.py")


@pytest.mark.parametrize("text", [f"\ufeff{WHITE}a.py\n", f"{WHITE}a.py\n".replace("\n", "\r\n"), f"{WHITE}a.py"])
def test_the_byte_order_mark_and_the_line_ends_of_an_editor_mean_nothing(text):
    assert parsed(text).whitelist == ("a.py",)


@pytest.mark.parametrize("entry", ["a", "a.py", "./a.py", ".\\a", "a.py\t# why", "a.py # why"])
def test_an_entry_means_its_script_in_every_spelling(entry):
    assert parsed(f"{WHITE}{entry}\n").whitelist == ("a.py",)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(word, True) for word in ("true", "True", "yes", "on", "1")]
    + [(word, False) for word in ("false", "NO", "off", "0")],
)
def test_use_blacklist_is_a_boolean(value, expected):
    assert parsed(f"[MLP]\nuse_blacklist = {value}\n").use_blacklist is expected


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, r"expected \[WHITELISTED_MODELS\] and the names of scripts, but the file has no section"),
        ("# only a comment\n", 1, "the file has no section"),
        ("a.py\n", 1, "expected .* but got 'a.py'"),
        ("[WHITELIS", 1, "expected .* but got '.WHITELIS'"),
        ("[MLP]\n\nuse_blacklist = maybe\n", 3, "use_blacklist must be true or false, but got 'maybe'"),
        ("[MLP]\nuse_blacklist\n", 2, "use_blacklist must be true or false, but it has no value"),
        ("[MLP]\nuse_blacklist\t# c\n", 2, "use_blacklist must be true or false"),
        (WHITE + "a.py = 1\n", 2, "expected the name of a script, but got a.py = 1"),
        (WHITE + "a.py\n= b\n", 3, "expected .* but got '= b'"),
        (WHITE + "a.py\n../b.py\n", 3, r"\.\./b\.py leads outside the models directory"),
        (WHITE + "/etc/b.py\n", 2, "leads outside"),
        (WHITE + "sub\\..\\..\\b.py\n", 2, "leads outside"),
        ("[BLACKLISTED_MODELS]\n../b.py\n", 2, "leads outside"),
        ("[WHITELISTED_MODELS]\t# ours\n../b.py\n", 2, "leads outside"),
    ],
)
def test_a_line_without_meaning_is_named_with_its_file(text, line, message):
    with pytest.raises(ConfigError, match=rf"^models\.config line {line}: .*{message}"):
        parse_queue(text, NAME)


@pytest.mark.parametrize("line", ["[BLACKLI", "[BLACKLISTED_MODELS] b.py", "[ab]*.py"])
def test_a_bracket_that_makes_no_section_has_no_meaning(line):
    with pytest.raises(ConfigError, match=r"models\.config line 3: expected"):
        parse_queue(f"{WHITE}a.py\n{line}\n", NAME)


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("[MLP]\nuse_backlist = 1\n", "line 2: use_backlist is not a key of [MLP]; did you mean use_blacklist?"),
        (WHITE + "[BLACKLIST]\na.py\n", "line 2: [BLACKLIST] is not a section; did you mean BLACKLISTED_MODELS?"),
        (WHITE + "a.py\nb.py\n ./a\n", "line 4: ./a stands already in line 2; it counts once"),
    ],
)  # fmt: skip
def test_what_is_unknown_or_doubled_is_warned_of_with_its_line(text, warning):
    assert parse_queue(text, NAME)[1] == [f"{NAME} {warning}"]


LINES = [
    "", "[MLP]", "[MLP]\t; c", "[WHITELISTED_MODELS]", "[BLACKLISTED_MODELS] x", "[]", "[", "]", "use_blacklist",
    "a.py", "use_blacklist=1\t#c", "a.py\t# c", "a.py = 1", "= 1", "*", "[ab]*.py", "\0\0", "# c", "..", "\u2028x",
]  # fmt: skip
WHOLE = """# mine
[MLP]
use_blacklist = false

[WHITELISTED_MODELS] ; now
a.py\t# first
sub/*.py
[BLACKLISTED_MODELS]
b.py
"""


def trouble_with(text):
    """Return what parsing raises other than a ConfigError that names file and line."""
    try:
        parse_queue(text, NAME)
    except ConfigError as error:
        return None if str(error).startswith(f"{NAME} line ") else error
    except Exception as error:
        return error
    return None


def test_any_three_lines_are_a_queue_or_a_configuration_error():
    texts = map("\n".join, itertools.product(LINES, repeat=3))
    assert next((text for text in texts if trouble_with(text)), None) is None


def test_every_beginning_of_a_file_is_a_queue_or_a_configuration_error():
    assert [WHOLE[:end] for end in range(len(WHOLE)) if trouble_with(WHOLE[:end])] == []


@pytest.mark.parametrize(
    ("entry", "scripts"),
    [
        ("*", "a.py b.py"),
        ("?.py", "a.py b.py"),
        ("sub/*", "sub/c.py"),
        ("**", "a.py b.py sub/c.py sub/deep/d.py"),
        ("**/?.py", "a.py b.py sub/c.py sub/deep/d.py"),
        ("sub/**", "sub/c.py sub/deep/d.py"),
        ("*/*/d.py", "sub/deep/d.py"),
        ("[ab].py", ""),
        ("a.p", ""),
        ("aXpy", ""),
    ],
)
def test_a_pattern_means_the_scripts_of_its_folder(entry, scripts):
    available = ["a.py", "b.py", "sub/c.py", "sub/deep/d.py"]
    assert [script for script in available if matches(entry, script)] == scripts.split()


def test_a_pattern_is_taken_up_where_it_stands_and_nothing_runs_twice():
    queue = Queue(whitelist=("c.py", "*", "a.py", "gone.py"))
    assert queue.select(["a.py", "b.py", "c.py"]) == ["c.py", "a.py", "b.py", "gone.py"]


def test_the_blacklist_leaves_all_others_in_their_order():
    queue = Queue(use_blacklist=True, whitelist=("b.py",), blacklist=("b.py", "sub/*"))
    assert queue.select(["a.py", "b.py", "c.py", "sub/d.py"]) == ["a.py", "c.py"]


def test_the_blacklist_counts_only_where_it_is_used():
    assert Queue(whitelist=("b.py",), blacklist=("b.py",)).select(["a.py", "b.py"]) == ["b.py"]


def test_scripts_in_sub_folders_are_found(reading):
    assert reading.read(WHITE + "sub/d.py\n**\n") == ["sub/d.py", "a.py", "b.py", "c.py"]
    assert reading.warned == []


def test_what_sets_no_MODEL_is_no_script(reading):
    reading.add("helpers.py", "def MODEL_of(x):\n    MODEL = x\n")
    reading.add("broken.py", "MODEL = (\n")
    reading.add("typed.py", "MODEL: Model = make()\n")
    reading.add("borrowed.py", "from a import MODEL\n")
    for hidden in (".hidden.py", "__pycache__/x.py", ".git/x.py"):
        reading.add(hidden)
    found = ["a.py", "b.py", "borrowed.py", "broken.py", "c.py", "sub/d.py", "typed.py"]
    assert available_scripts(reading.project) == found


def test_copies_kept_in_outputs_below_the_models_are_no_scripts(tmp_path):
    (tmp_path / "mlp.config").write_text("[MLP]\noutputs_dir = models/outputs\n")
    project = load_project(tmp_path)
    reading = Reading(tmp_path)
    kept = project.model_dir("a.py", "v").relative_to(project.models_dir)
    reading.add(f"{kept}/code/0123456789ab/a.py")
    expected = ["a.py", "b.py", "c.py", "sub/d.py"]
    assert reading.read("[MLP]\nuse_blacklist = true\n") == expected


def test_an_edited_file_is_taken_up_at_the_next_reading(reading):
    assert reading.read(WHITE + "a.py\nb.py\n") == ["a.py", "b.py"]
    assert reading.read(WHITE + "c.py\na.py\n") == ["c.py", "a.py"]
    assert reading.read(WHITE) == []
    assert reading.warned == []


def test_a_new_script_is_found_by_a_pattern_at_the_next_reading(reading):
    assert reading.read(WHITE + "*\n") == ["a.py", "b.py", "c.py"]
    reading.add("aa.py")
    assert reading.read() == ["a.py", "aa.py", "b.py", "c.py"]


@pytest.mark.parametrize(
    "nonsense",
    [b"", b"garbage\n", b"[WHITELIS", b"\0\0\0\0\0", b"\xff\xfe[\0W\0", b"[MLP]\nuse_blacklist = perhaps\n",
     b"[WHITELISTED_MODELS]\nb.py\n../x.py\n"],
)  # fmt: skip
def test_nonsense_keeps_the_last_good_queue_with_one_warning(reading, nonsense):
    assert reading.read(WHITE + "b.py\na.py\n") == ["b.py", "a.py"]
    assert [reading.read(nonsense), *(reading.read() for _ in range(5))] == [["b.py", "a.py"]] * 6
    (warning,) = reading.warned
    assert warning.startswith(NAME)
    assert warning.endswith("; the queue stays as it was")


def test_the_warning_about_nonsense_names_the_line(reading):
    reading.read(WHITE + "a.py\n")
    reading.read(WHITE + "b.py\n= c.py\n")
    assert reading.warned == [
        "models.config line 3: expected [SECTION] or an entry, but got '= c.py'; the queue stays as it was"
    ]


def test_a_mended_file_is_taken_up(reading):
    reading.read(WHITE + "a.py\n")
    reading.read("[WHITEL")
    assert reading.read(WHITE + "b.py\n") == ["b.py"]
    assert reading.read(WHITE + "a.py\n") == ["a.py"]
    assert len(reading.warned) == 1


def test_a_comment_after_a_tab_is_no_reason_to_stop(reading):
    assert reading.read(WHITE + "a.py\t# first\nb.py\n") == ["a.py", "b.py"]
    assert reading.warned == []


def test_a_file_that_vanishes_keeps_the_last_good_queue(reading):
    reading.read(WHITE + "a.py\n")
    reading.file.unlink()
    assert [reading.read(), reading.read()] == [["a.py"], ["a.py"]]
    (warning,) = reading.warned
    assert warning.startswith("models.config cannot be read")


def test_nonsense_at_the_first_reading_is_an_error(reading):
    with pytest.raises(ConfigError, match=r"models\.config line 1: "):
        reading.read("nonsense")


def test_a_file_that_was_never_there_is_an_error(reading):
    with pytest.raises(ConfigError, match=r"models\.config cannot be read"):
        reading.read()


def test_a_missing_script_is_warned_of_once_and_the_others_run(reading):
    assert reading.read(WHITE + "a.py\nsub/dd.py\nb.py\n") == ["a.py", "b.py"]
    assert reading.read() == ["a.py", "b.py"]
    assert reading.read(WHITE + "sub/dd.py\na.py\n") == ["a.py"]
    assert reading.warned == [f"models.config line 3: sub/dd.py is not in {reading.models}; did you mean sub/d.py?"]


def test_a_missing_script_runs_once_it_is_there_and_is_warned_of_anew_when_it_goes(reading):
    assert reading.read(WHITE + "late.py\n") == []
    reading.add("late.py")
    assert reading.read() == ["late.py"]
    (reading.models / "late.py").unlink()
    assert reading.read() == []
    assert len(reading.warned) == 2


@pytest.mark.parametrize(
    "entry",
    ["x" * 300, "sub/" + "y" * 5000, "a\0b", "a.py/b.py", "sub"],
    ids=["long name", "long path", "nul", "below a file", "folder"],
)
def test_an_entry_that_can_be_no_file_is_a_missing_script(reading, entry):
    assert reading.read(f"{WHITE}{entry}\na.py\n") == ["a.py"]
    (warning,) = reading.warned
    assert "is not in" in warning


def test_unknown_and_doubled_lines_are_warned_of_once_and_not_once_a_turn(reading):
    text = "[MLP]\nuse_backlist = 1\n[WHITELIST]\nx.py\n[WHITELISTED_MODELS]\na.py\na.py\n"
    assert reading.read(text) == ["a.py"]
    assert [reading.read() for _ in range(3)] == [["a.py"]] * 3
    reading.read(text + "b.py\n")
    assert [warning.partition(":")[0] for warning in reading.warned] == [f"{NAME} line {line}" for line in (2, 3, 7)]
