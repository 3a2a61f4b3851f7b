"""Whether somebody works in a model directory, told by the locks that processes hold."""

from __future__ import annotations

from pathlib import Path

from mlpipeline.project import Project


def is_held_elsewhere(path: Path) -> bool:
    """Tell whether some process holds a lock file, without making one."""
    if not path.exists():
        return False
    from filelock import FileLock, Timeout  # only where a lock file lies: it takes long to import

    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # a read-only file system: nobody can run there
        return False


def goes_on(project: Project, model_dir: object) -> bool:
    """Tell whether a run without an end still has its daemon or its process.

    Args:
        project: owns the outputs.
        model_dir: as the record of the run's start names it.
    """
    folder = project.recorded_dir(model_dir)
    if folder is None:
        return False
    return is_held_elsewhere(project.lock_file(folder)) or is_held_elsewhere(folder / ".lock")
