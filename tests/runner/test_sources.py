import os
import shutil
import sys
from pathlib import Path

import pytest

import mlpipeline
from mlpipeline.project import load_project
from mlpipeline.runner.sources import is_project_file, read_sources, signature


class Tree:
    """A project whose files are written from texts."""

    def __init__(self, root):
        self.root = root
        (root / "models").mkdir(parents=True)

    def write(self, **files):
        for name, text in files.items():
            path = self.root / "models" / f"{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def read(self, script="a", loaded=()):
        project = load_project(self.root)
        return read_sources(project, project.models_dir / f"{script}.py", loaded)

    def names(self, script="a", loaded=()):
        files = self.read(script, loaded).files
        return [path.relative_to(self.root / "models").as_posix() for path in files]


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


def test_a_script_alone_is_itself_and_names_its_libraries(tree):
    tree.write(a="import os, torch.nn as nn\nfrom sklearn.model_selection import KFold\n")
    assert tree.names() == ["a.py"]
    assert tree.read().imports == ("os", "torch.nn", "sklearn.model_selection:KFold")


def test_the_script_comes_first_and_helpers_of_helpers_follow(tree):
    tree.write(a="import c\n", b="", c="import d\n", d="import a, e\n", e="import json\n")
    assert tree.names()[0] == "a.py"
    assert set(tree.names()) == {"a.py", "c.py", "d.py", "e.py"}
    assert tree.read().imports == ("json",)


@pytest.mark.parametrize(
    "text",
    [
        "def train():\n    import helper\n",
        "if True:\n    from helper import f\n",
        "try:\n    import helper as h\nexcept ImportError:\n    pass\n",
        "class A:\n    async def b(self):\n        from helper import *\n",
    ],
)
def test_a_late_import_is_found(tree, text):
    tree.write(a=text, helper="")
    assert set(tree.names()) == {"a.py", "helper.py"}


def test_a_dynamic_import_counts_once_it_was_seen_loaded(tree):
    tree.write(a="__import__('help' + 'er')\n", helper="import deeper\n", deeper="")
    loaded = [tree.root / "models" / "helper.py", tree.root / "models" / "gone.py"]
    assert tree.names() == ["a.py"]
    assert set(tree.names(loaded=loaded)) == {"a.py", "helper.py", "deeper.py"}
    assert tree.read().digest != tree.read(loaded=loaded).digest


def test_a_package_brings_its_init_files_and_the_named_modules(tree):
    package = dict.fromkeys(["pkg/__init__", "pkg/other", "pkg/sub/__init__", "pkg/sub/mod"], "")
    tree.write(a="from pkg.sub import mod, VALUE\n", **package)
    assert set(tree.names()) == {"a.py", "pkg/__init__.py", "pkg/sub/__init__.py", "pkg/sub/mod.py"}


def test_a_folder_without_init_is_a_package_too(tree):
    tree.write(**{"a": "import pkg.mod\nfrom pkg import other\n", "pkg/mod": "", "pkg/other": ""})
    assert set(tree.names()) == {"a.py", "pkg/mod.py", "pkg/other.py"}


def test_relative_imports_are_followed(tree):
    tree.write(**{"a": "import pkg.mod\n", "pkg/__init__": "from . import first\n", "pkg/first": ""})
    tree.write(**{"pkg/mod": "from .second import x\nfrom ..pkg.third import y\n", "pkg/second": "", "pkg/third": ""})
    files = ("__init__", "first", "mod", "second", "third")
    assert set(tree.names()) == {"a.py", *(f"pkg/{name}.py" for name in files)}


def test_a_script_in_a_sub_folder_finds_modules_beside_it_first(tree):
    tree.write(**{"sub/a": "import helper, common\n", "sub/helper": "", "helper": "", "common": ""})
    assert set(tree.names("sub/a")) == {"sub/a.py", "sub/helper.py", "common.py"}


def test_a_module_in_the_project_folder_is_found(tree):
    tree.write(a="import shared\n")
    (tree.root / "shared.py").write_text("")
    assert tree.read().files == (tree.root / "models" / "a.py", tree.root / "shared.py")


def test_a_touched_file_keeps_the_digest_and_changes_the_signature(tree):
    tree.write(a="import helper\n", helper="")
    before = tree.read()
    os.utime(tree.root / "models" / "helper.py", ns=(1, 1))
    after = tree.read()
    assert (after.digest, after.files) == (before.digest, before.files)
    assert after.signature != before.signature
    assert signature(after.files) == after.signature


@pytest.mark.parametrize("changed", ["a", "helper", "pkg/__init__"])
def test_a_changed_script_or_module_changes_the_digest(tree, changed):
    texts = {"a": "import helper\n", "helper": "import pkg.mod\n", "pkg/__init__": "", "pkg/mod": "", "alone": ""}
    tree.write(**texts)
    before = tree.read().digest
    tree.write(**{changed: texts[changed] + "# changed\n"})
    assert tree.read().digest != before
    tree.write(**{changed: texts[changed]})
    assert tree.read().digest == before


def test_a_changed_module_that_is_not_imported_changes_nothing(tree):
    tree.write(a="import helper\n", helper="", alone="")
    before = tree.read()
    tree.write(alone="changed = 1\n")
    assert tree.read() == before


def test_a_renamed_module_changes_the_digest(tree):
    tree.write(a="import helper, other\n", helper="x = 1\n")
    before = tree.read().digest
    (tree.root / "models" / "helper.py").rename(tree.root / "models" / "other.py")
    assert tree.read().digest != before


def test_a_moved_project_keeps_its_digest(tree, tmp_path_factory):
    tree.write(a="import helper, shared\n", helper="")
    (tree.root / "shared.py").write_text("")
    other = tmp_path_factory.mktemp("moved") / "deeper" / "project"
    shutil.copytree(tree.root, other)
    project = load_project(other)
    assert read_sources(project, project.models_dir / "a.py").digest == tree.read().digest


def test_models_may_lie_outside_the_project(tmp_path):
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "mlp.config").write_text("[MLP]\nmodels_dir = ../scripts\n")
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "a.py").write_text("import helper\n")
    (tmp_path / "scripts" / "helper.py").write_text("")
    project = load_project(tmp_path / "project")
    found = read_sources(project, project.models_dir / "a.py").files
    assert [path.name for path in found] == ["a.py", "helper.py"]


@pytest.mark.parametrize(
    "text",
    [
        "import (\n",
        "x = '\0'\n",
        "from " + "." * 50 + " import x\n",
        "import " + "a" * 300 + "\n",
        "x = " + "-" * 10_000 + "1\n",
        "x = " + "1+" * 100_000 + "1\n",
        "x = " + "(" * 500 + ")" * 500 + "\n",
        "\ufeffx = 1\n",
        "# coding: no-such-coding\n",
    ],
    ids=["syntax", "nul", "dots", "long name", "signs", "sums", "brackets", "mark", "coding"],
)
def test_the_daemon_survives_whatever_a_script_says(tree, text):
    tree.write(a=text)
    assert tree.names() == ["a.py"]
    assert len(tree.read().digest) == 64


def test_a_script_that_is_gone_is_an_error(tree):
    with pytest.raises(OSError, match="gone"):
        tree.read("gone")
    assert signature([tree.root / "gone"]) == ((str(tree.root / "gone"), 0, 0, 0),)


def test_a_script_beside_the_package_does_not_consist_of_it(tmp_path):
    project = load_project(Path(mlpipeline.__file__).parents[1])
    (tmp_path / "a.py").write_text("from mlpipeline.helper import Model\n")
    sources = read_sources(project, tmp_path / "a.py")
    assert (sources.files, sources.imports) == ((tmp_path / "a.py",), ("mlpipeline.helper:Model",))


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/p/models/a.py", True),
        ("/p/shared.py", True),
        ("/elsewhere/a.py", False),
        ("/p/.venv/lib/a.py", False),
        ("/p/env/lib/python3/site-packages/a.py", False),
        (f"{sys.prefix}/lib/a.py", False),
    ],
)
def test_a_library_or_an_environment_is_no_part_of_the_project(path, expected):
    assert is_project_file(Path(path), Path("/p"), Path("/p/models")) is expected
