import socket

import pytest

from mlpipeline.errors import ConfigError, ModelDirError, ScriptError
from mlpipeline.project import load_project


@pytest.fixture
def project(tmp_path):
    (tmp_path / "models").mkdir()
    return load_project(tmp_path)


def configured(folder, text):
    (folder / "mlp.config").write_text(text)
    return load_project(folder)


def test_a_folder_without_configuration_has_the_defaults(tmp_path):
    project = load_project(tmp_path)
    assert (project.root, project.models_dir, project.outputs_dir) == (
        tmp_path,
        tmp_path / "models",
        tmp_path / "outputs",
    )


def test_folders_may_be_anywhere(tmp_path):
    project = configured(tmp_path, f"[MLP]\nmodels_dir = ../elsewhere\noutputs_dir={tmp_path}/far # away\n")
    assert project.models_dir == tmp_path.parent / "elsewhere"
    assert project.outputs_dir == tmp_path / "far"


def test_a_folder_may_begin_with_the_home_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert configured(tmp_path, "[MLP]\nmodels_dir = ~/scripts\n").models_dir == tmp_path / "home" / "scripts"


def test_outputs_are_named_after_the_host(project):
    host = socket.gethostname()
    files = (project.log_file, project.output_file, project.history_file)
    assert [file.name for file in files] == [f"log-{host}", f"output-{host}", f"history-{host}"]
    assert {file.parent for file in files} == {project.outputs_dir}


def test_history_files_are_those_of_all_hosts(project):
    project.outputs_dir.mkdir()
    for name in ("history-b", "history-a", "log-a", "output-a"):
        (project.outputs_dir / name).touch()
    assert [file.name for file in project.history_files()] == ["history-a", "history-b"]


def test_a_folder_that_is_none_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere is not a folder; give the project folder with -C DIR"):
        load_project(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[MLP]\nmodel_dir = a\n", r"line 2: model_dir is not a key of \[MLP\]; did you mean models_dir\?"),
        (
            "# c\n[MPL]\nmodels_dir = a\n",
            r"line 2: expected the section \[MLP\] or \[TRACKING\] or \[NOTIFY\], but got",
        ),
        ("[MLP]\n\nmodels_dir =\n", "line 3: models_dir needs a value, as in `models_dir = models`"),
        ("[MLP]\noutputs_dir\n", "line 2: outputs_dir needs a value"),
        ("models_dir = a\n", "line 1: expected"),
    ],
)
def test_a_configuration_without_meaning_names_file_and_line(tmp_path, text, message):
    with pytest.raises(ConfigError, match=rf"mlp\.config {message}"):
        configured(tmp_path, text)


def test_a_configuration_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "mlp.config").write_bytes(b"\xff\xfe[\x00M\x00")
    with pytest.raises(ConfigError, match=r"mlp\.config cannot be read"):
        load_project(tmp_path)


def test_a_comment_may_follow_a_section_after_a_tab(tmp_path):
    assert configured(tmp_path, "[MLP]\t# ours\nmodels_dir = a\n").models_dir == tmp_path / "a"


def test_the_home_directory_of_nobody_is_refused_as_wrong_use(tmp_path):
    with pytest.raises(ConfigError, match="models_dir"):
        configured(tmp_path, "[MLP]\nmodels_dir = ~nobody-of-that-name/models\n")


@pytest.mark.parametrize("script", ["../a.py", "sub/../../a.py", "/etc/a.py"])
def test_a_script_that_leads_outside_is_refused(project, script):
    with pytest.raises(ScriptError, match="leads outside"):
        project.script_path(script)


def test_a_script_may_lie_in_a_sub_folder(project):
    assert project.script_path("sub/a.py") == project.models_dir / "sub" / "a.py"


def test_a_model_directory_is_named_after_script_and_suffix(project):
    assert project.model_dir("sub/cnn.py", "big") == project.outputs_dir / "model_ckpts" / "sub" / "cnn-big"
    assert project.model_dir("cnn.py", "lr=0.1,act=relu é") == project.model_ckpts_dir / "cnn-lr=0.1,act=relu é"
    assert project.model_dir("cnn.py", "a/b") == project.model_ckpts_dir / "cnn-a%2Fb"
    assert project.model_dir("cnn.py", "a%2Fb") != project.model_dir("cnn.py", "a/b")


@pytest.mark.parametrize("suffix", ["/..", "/../..", "a/../b", "a/../../b", "x/../../../../etc", "\0", "a\0b"])
def test_a_suffix_that_leads_outside_is_refused(project, suffix):
    with pytest.raises(ModelDirError, match=r"a\.py: the suffix .* leads outside"):
        project.model_dir("a.py", suffix)


@pytest.mark.parametrize("suffix", ["x" * 300, "é" * 150, "a/" + "x" * 201, pytest.param("a/" * 3000, id="path")])
def test_a_suffix_that_no_file_system_takes_is_refused(project, suffix):
    with pytest.raises(ModelDirError, match=r"a\.py: the folder name a-.* is longer than"):
        project.model_dir("a.py", suffix)


def test_a_suffix_that_is_no_text_of_a_file_system_is_refused(project):
    with pytest.raises(ModelDirError):
        project.model_dir("a.py", "\ud800")


@pytest.mark.parametrize("script", ["../a.py", "sub/../../a.py"])
def test_a_script_name_that_makes_no_good_folder_is_refused(project, script):
    with pytest.raises(ModelDirError):
        project.model_dir(script, "suffix")


def test_two_dots_within_a_name_are_no_way_out(project):
    assert project.model_dir("a.py", "1..2").name == "a-1..2"
    assert project.model_dir("a.py", "..").name == "a-.."


def test_a_link_that_leads_outside_the_outputs_is_refused(project, tmp_path):
    project.model_ckpts_dir.mkdir(parents=True)
    (tmp_path / "precious").mkdir()
    (project.model_ckpts_dir / "a-x").symlink_to(tmp_path / "precious")
    with pytest.raises(ModelDirError, match="would lie outside"):
        project.model_dir("a.py", "x")


def test_the_outputs_themselves_may_be_a_link(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "outputs").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "model_ckpts").mkdir()
    project = load_project(tmp_path)
    assert project.model_dir("a.py", "x").resolve() == tmp_path / "disk" / "model_ckpts" / "a-x"


def test_model_ckpts_may_be_a_link_to_another_disk(project, tmp_path):
    project.outputs_dir.mkdir()
    (tmp_path / "disk").mkdir()
    project.model_ckpts_dir.symlink_to(tmp_path / "disk")
    assert project.model_dir("a.py", "x").resolve() == tmp_path / "disk" / "a-x"


def test_locks_lie_outside_the_directories_that_they_lock(project):
    folder = project.model_dir("sub/a.py", "x")
    lock = project.lock_file(folder)
    assert lock.is_relative_to(project.model_ckpts_dir)
    assert not lock.is_relative_to(folder)
    assert lock != project.lock_file(project.model_dir("a.py", "x"))
