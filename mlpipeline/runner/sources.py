"""What a script is made of, read from its text: project-local files, and the libraries it names.

Nothing of it is executed here: the daemon must survive whatever a script does.
"""

from __future__ import annotations

import ast
import hashlib
import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import mlpipeline
from mlpipeline.project import Project

_PACKAGE_DIR = Path(mlpipeline.__file__).resolve().parent
Signature = tuple[tuple[str, int, int, int], ...]


@dataclass(frozen=True)
class Sources:
    """A script and the project-local modules that it imports, at one moment.

    Args:
        files: absolute paths, the script first.
        imports: libraries named in import statements: `torch`, or `torch.utils:data` for a name from a module.
        digest: hash of names and contents.
        signature: size and time of each file; equal signatures mean that nothing was touched.
    """

    files: tuple[Path, ...]
    imports: tuple[str, ...]
    digest: str
    signature: Signature


def read_sources(project: Project, script: Path, loaded: Iterable[Path] = ()) -> Sources:
    """Follow a script's import statements through the project.

    Args:
        project: whose folders are searched.
        script: the file.
        loaded: further project-local files, as seen when the script was run.
    Raises: OSError: the script cannot be read.
    """
    os.stat(script)
    folders = import_folders(project, script)
    files = dict.fromkeys([script, *(path for path in loaded if path.is_file())])
    imports: dict[str, None] = {}
    waiting = list(files)
    while waiting:
        path = waiting.pop()
        for name in _imported_names(str(path), *_stamp(path)):
            local = list(_local_files(name, folders, path))
            waiting += [found for found in local if found not in files]
            files.update(dict.fromkeys(local))
            if not local:
                imports[name.lstrip(".")] = None
    ordered = tuple(files)
    seen = signature(ordered)  # before the contents are read: a change while they are is a change
    return Sources(ordered, tuple(imports), _digest(project, ordered), seen)


def signature(files: Iterable[Path]) -> Signature:
    """Return size and time of each file; a file that is gone has none."""
    return tuple((str(path), *_stamp(path)) for path in files)


def import_folders(project: Project, script: Path) -> list[Path]:
    """Return where a script's own modules are looked for, in order."""
    return list(dict.fromkeys([script.parent, project.models_dir, project.root]))


def is_project_file(path: Path, root: Path, models_dir: Path) -> bool:
    """Tell whether a loaded module belongs to the project: not to a library, an environment or mlpipeline."""
    if not (path.is_relative_to(models_dir) or path.is_relative_to(root)) or path.is_relative_to(_PACKAGE_DIR):
        return False
    base = models_dir if path.is_relative_to(models_dir) else root
    hidden = any(part.startswith(".") or part == "site-packages" for part in path.relative_to(base).parts)
    return not hidden and not path.is_relative_to(Path(sys.prefix).resolve())


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        stat = os.stat(path)
    except OSError:
        return (0, 0, 0)
    return (stat.st_mtime_ns, stat.st_size, stat.st_ino)


@lru_cache(maxsize=4096)
def _imported_names(path: str, *_stamp: int) -> tuple[str, ...]:
    """Return the modules that a file names, `package:name` for `from package import name`."""
    try:
        tree = ast.parse(Path(path).read_bytes())
    except (SyntaxError, ValueError, OSError, RecursionError, MemoryError):
        return ()  # the run itself will say what is wrong
    names: dict[str, None] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(dict.fromkeys(alias.name for alias in node.names))
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            names.update(dict.fromkeys(f"{module}:{alias.name}" for alias in node.names))
        elif _is_search(node):
            names["optuna"] = None
    return tuple(names)


def _is_search(node: ast.AST) -> bool:
    """Tell whether this calls `versions.search(...)`, whose runs import Optuna: by the names that it alone takes."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr != "search":
        return False
    return len(node.args) > 3 or any(keyword.arg in ("metric", "direction", "trials") for keyword in node.keywords)


def _local_files(name: str, folders: list[Path], importer: Path) -> Iterator[Path]:
    """Yield the project-local files that importing a name would load."""
    module, _, member = name.partition(":")
    level = len(module) - len(module.lstrip("."))
    parts = [part for part in module.lstrip(".").split(".") if part]
    bases = list(importer.parents[level - 1 : level]) if level else folders
    for base in bases:
        found = list(_module_files(base, parts, member))
        if found:
            yield from found
            return


def _module_files(base: Path, parts: list[str], member: str) -> Iterator[Path]:
    if parts and base / parts[0] == _PACKAGE_DIR:
        return
    for depth in range(1, len(parts) + 1):
        yield from _package_or_module(base.joinpath(*parts[:depth]))
    if member:
        yield from _package_or_module(base.joinpath(*parts, member))


def _package_or_module(path: Path) -> Iterator[Path]:
    for candidate in (path / "__init__.py", path.with_name(f"{path.name}.py")):
        if os.path.isfile(candidate):  # unlike Path.is_file, False for a name that no file system takes
            yield candidate
            return


def _digest(project: Project, files: Iterable[Path]) -> str:
    """Hash names and contents, so that a moved project and a touched file keep their digest."""
    whole = hashlib.sha256()
    for path in sorted(files):
        base = project.models_dir if path.is_relative_to(project.models_dir) else project.root
        name = os.path.relpath(path, base)
        content = path.read_bytes() if path.is_file() else b""
        whole.update(f"{name}\0{hashlib.sha256(content).hexdigest()}\0".encode(errors="surrogateescape"))
    return whole.hexdigest()
