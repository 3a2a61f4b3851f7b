"""Who imports whom, read from the import statements of every module, late ones too."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import mlpipeline

PACKAGE = Path(mlpipeline.__file__).parent
GROUND = {
    "errors": set(),
    "files": {"errors"},
    "records": {"errors"},
    "journal": set(),
    "lazy": set(),
    "project": {"files", "errors"},
    "locks": {"project"},
    "selection": {"errors"},
    "queue_file": {"errors", "files", "project", "selection"},
    "queue_edit": {"errors", "files", "project", "queue_file"},
    "board": set(),
    "reporting": {"files", "records"},
    "artifacts": {"errors", "files"},
    "search": {"errors"},
    "version_keys": {"errors"},
    "versions": {"search", "version_keys", "errors"},
    "scripting": {"errors"},
    "metrics": {"scripting", "reporting", "errors"},
    "model": {"versions", "scripting", "metrics", "reporting", "artifacts", "errors"},
    "description": {"model", "records", "search", "versions"},
}
DOORS = {"cli", "helper", "utils", "__main__"}
MAY_USE = {"ensemble": {"pytorch"}, "serving": {"pytorch", "dataflow"}}
CHILDS_SIDE = {"child", "execute", "forkserver", "studies", "surroundings", "trials"}
HEAVY = {"torch", "numpy", "pandas", "sklearn", "torchvision", "scipy", "keras", "ray", "mlflow", "optuna", "plotly"}
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


def imported(module):
    """Return the absolute names of all that a module imports, at any level."""
    parts = ["mlpipeline", *Path(module).with_suffix("").parts]
    names = set()
    for node in ast.walk(ast.parse((PACKAGE / module).read_bytes())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join([*parts[: -node.level], *filter(None, [node.module])]) if node.level else node.module
            names |= {f"{base}.{alias.name}" for alias in node.names}
    return names


def first_inside(name):
    """Return the ground module, door or room that an absolute name leads to; None for other packages."""
    package, _, inside = name.partition(".")
    return inside.partition(".")[0] if package == "mlpipeline" else None


def inside(module):
    return {first_inside(name) for name in imported(module)} - {None, "", "__file__"}


def home(module):
    return Path(module).parts[0].removesuffix(".py")


def of_home(test):
    return [module for module in MODULES if test(home(module))]


def is_room(name):
    return name not in GROUND and name not in DOORS and name != "__init__"


def is_daemons_side(module):
    return home(module) == "runner" and Path(module).stem not in CHILDS_SIDE


def test_the_reader_of_imports_sees_every_kind():
    assert {"mlpipeline.runner.fork_engine.ForkEngine", "subprocess"} <= imported("runner/engine.py")
    assert inside("runner/sources.py") == {"project"}
    assert {home(module) for module in MODULES} >= {*GROUND, *DOORS, "runner", "pytorch"}


@pytest.mark.parametrize("module", of_home(lambda name: name in GROUND))
def test_a_ground_module_imports_only_what_lies_below_it(module):
    assert inside(module) <= GROUND[home(module)]


@pytest.mark.parametrize("module", of_home(is_room))
def test_a_room_imports_ground_and_itself(module):
    room = home(module)
    assert inside(module) <= {*GROUND, room, *MAY_USE.get(room, ())}


@pytest.mark.parametrize("module", ["helper.py", "utils.py"])
def test_a_door_of_scripts_imports_ground(module):
    assert inside(module) <= {*GROUND}


@pytest.mark.parametrize("module", MODULES)
def test_nobody_inside_imports_the_doors_of_scripts(module):
    assert inside(module).isdisjoint({"helper", "utils"})


@pytest.mark.parametrize("module", [module for module in MODULES if home(module) not in ("cli", "__main__")])
def test_nobody_but_the_door_itself_imports_the_command_line(module):
    assert "cli" not in inside(module)


@pytest.mark.parametrize("module", [module for module in MODULES if is_daemons_side(module)])
def test_the_daemons_side_imports_nothing_that_runs_user_code(module):
    of_runner = {name.split(".")[2] for name in imported(module) if name.startswith("mlpipeline.runner.")}
    assert of_runner.isdisjoint(CHILDS_SIDE)


@pytest.mark.parametrize("module", [m for m in MODULES if is_daemons_side(m) or home(m) == "cli" or home(m) in GROUND])
def test_the_daemon_the_command_line_and_the_ground_import_no_heavy_library(module):
    assert {name.partition(".")[0] for name in imported(module)}.isdisjoint(HEAVY)


LOADED = """
import sys
import mlpipeline.cli.main, mlpipeline.cli.status, mlpipeline.cli.run, mlpipeline.runner.daemon
print(*sorted({name.partition(".")[0] for name in sys.modules}))
print(*sorted(name for name in sys.modules if name.startswith("mlpipeline.")))
"""


@pytest.fixture(scope="module")
def loaded_by_the_command():
    environment = {**os.environ, "PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run([sys.executable, "-c", LOADED], env=environment, capture_output=True, text=True, check=True)
    return [set(line.split()) for line in done.stdout.splitlines()]


def test_the_command_and_the_daemon_load_no_heavy_library(loaded_by_the_command):
    packages, _ = loaded_by_the_command
    assert "mlpipeline" in packages
    assert packages.isdisjoint(HEAVY)


def test_the_command_and_the_daemon_load_nothing_that_runs_user_code(loaded_by_the_command):
    _, modules = loaded_by_the_command
    assert modules.isdisjoint({f"mlpipeline.runner.{name}" for name in CHILDS_SIDE})
