"""RunFolder: the files of a run: its plan, each member as soon as it is ready, and what they give together.

RunFolder.open
    run_path              the folder, within `src_dir`
    FileLock              one process at a time
    differences           an earlier run of this name is the same work
RunFolder.read_members    the members that are done
RunFolder.keep            a member: its model, then the file that says it is done
RunFolder.finish          predictions, history, statistics, picture
"""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout

from mlpipeline.ensemble.identity import Identity, differences
from mlpipeline.ensemble.member import Member, Work
from mlpipeline.ensemble.member_files import MemberFiles, cannot_write, packed_npy
from mlpipeline.ensemble.picture import folds_picture
from mlpipeline.ensemble.result import EnsembleResult
from mlpipeline.ensemble.splits import Splits
from mlpipeline.ensemble.tables import history_csv, statistics_text
from mlpipeline.ensemble.trainer import Fitted
from mlpipeline.errors import EnsembleError
from mlpipeline.files import replace_file

CHECKPOINTS = "checkpoints"
LOCK = ".lock"
_LONGEST_NAME = 150  # bytes; what is written behind it must fit into the 255 of a file's name


@dataclass(frozen=True)
class Keeping:
    """What a run keeps besides its plan, its predictions and what it needs to be resumed.

    Args:
        model: the weights of each member.
        history: `<run>_history.csv`, and its picture `<run>_folds.png`.
        statistics: `<run>_stats.txt`.
    """

    model: bool = True
    history: bool = True
    statistics: bool = True


@dataclass(frozen=True, eq=False)
class RunFolder:
    """Where a run keeps its files; use it in a `with`, since it is locked as long as it is open.

    Args:
        files: of the members; None keeps nothing.
        keeping: what is kept.
        lock: held by this process.
    """

    files: MemberFiles | None
    keeping: Keeping = Keeping()
    lock: AbstractContextManager[Any] = field(default_factory=nullcontext, repr=False)

    @classmethod
    def open(
        cls, name: str | None, src_dir: str | Path, work: Work, *, resume: bool = False, keeping: Keeping | None = None
    ) -> Self:
        """Make the folder of a run and write its plan, or go on with a run that is there.

        Args:
            name: of the run; None keeps nothing. src_dir: the folder of the project.
            work: what all members have in common.
            resume: go on with a run of this name if there is one. keeping: what is kept; everything if None.
        Raises: EnsembleError: the name or the folder cannot be used, a run of this name exists, or, where it is
            resumed, it is other work, damaged, or in use by another process. Nothing has been written over then.
        """
        keeping = keeping or Keeping()
        if name is None:
            return cls(None, keeping)
        files = MemberFiles(run_path(name, src_dir), name, work)
        lock = _locked(files.folder)
        try:
            if resume:
                _check_same_work(files)
            elif others := sorted(path.name for path in files.folder.iterdir() if not path.name.startswith(".")):
                raise EnsembleError(
                    f"the run {name!r} exists: {files.folder} has {others[0]}{' and more' if others[1:] else ''}; "
                    "go on with it by resume=True, or use another run_save_name"
                )
            if not _plan_path(files).exists():
                _write_plan(files)
        except BaseException:
            lock.release()
            raise
        return cls(files, keeping, lock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.lock.__exit__(None, None, None)

    def read_members(self) -> dict[int, Member]:
        """Return the members that are done, by number.

        Raises: EnsembleError: a member's file is damaged, or is of other work.
        """
        return {} if self.files is None else {number: self.files.read(number) for number in self.files.done()}

    def keep(self, member: Member) -> None:
        """Write a member. Raises: EnsembleError: it cannot be written; the members before it are safe."""
        if self.files is not None:
            self.files.write(member, with_model=self.keeping.model)

    def finish(self, result: EnsembleResult) -> None:
        """Write what the members give together. Raises: EnsembleError: there is no room, or no permission."""
        if self.files is None:
            return
        self._write("oof_train.npy", packed_npy(result.oof))
        if result.test is not None:
            self._write("oof_test.npy", packed_npy(result.test))
        if self.keeping.history:
            self._write("history.csv", history_csv(result))
            self._write("folds.png", folds_picture(result, self.files.run))
        if self.keeping.statistics:
            self._write("stats.txt", statistics_text(result, self.files.run))

    def _write(self, ending: str, content: bytes | str | None) -> None:
        assert self.files is not None
        if content is not None:
            _write(self.files.folder / f"{self.files.run}_{ending}", content)


def run_path(name: str, src_dir: str | Path) -> Path:
    """Return the folder of a run, `<src_dir>/checkpoints/<name>`.

    Raises: EnsembleError: `src_dir` is no folder, the name is not that of one folder, or leads out of `src_dir`.
    """
    root = Path(src_dir)
    if not root.is_dir():
        raise EnsembleError(f"src_dir must be a folder that exists, but got {str(src_dir)!r}")
    if not isinstance(name, str) or not _is_plain(name):
        raise EnsembleError(
            "run_save_name must be the name of one folder, without slashes, '..', control characters or spaces around "
            f"it, of at most {_LONGEST_NAME} bytes, but got {name!r:.200}"
        )
    path = root / CHECKPOINTS / name
    if not path.resolve().is_relative_to(root.resolve()):
        raise EnsembleError(f"{path} leads to {path.resolve()}, which is not in {root.resolve()}; remove that link")
    return path


def read_saved(name: str, src_dir: str | Path, work: Work) -> dict[int, Fitted]:
    """Return the models of an earlier run, by number, to train them further or to predict with them.

    The rows and the plan must be those of the run; how it was trained may be another.

    Args:
        name: of the earlier run. src_dir: the folder of the project.
        work: what is to be done now.
    Raises: EnsembleError: a member is missing, has no model or is damaged, or was trained on other rows.
    """
    folder = run_path(name, src_dir)
    files = MemberFiles(folder, name, work)
    if not _plan_path(files).exists():
        raise EnsembleError(f"there is no run {name!r}: {_plan_path(files)} is not there; train it first")
    return {number: files.read_fitted(number) for number in range(len(work.splits))}


def _is_plain(name: str) -> bool:
    is_one_part = name not in ("", ".", "..") and not {"/", "\\"} & set(name)
    return is_one_part and name.isprintable() and name == name.strip() and len(name.encode()) <= _LONGEST_NAME


def _locked(folder: Path) -> FileLock:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / LOCK, timeout=0)
        lock.acquire()
    except Timeout:
        raise EnsembleError(
            f"{folder} is in use by another process; wait for it to end, or use another run_save_name"
        ) from None
    except OSError as error:
        raise cannot_write(folder, error) from error
    return lock


def _plan_path(files: MemberFiles) -> Path:
    return files.folder / f"{files.run}_plan.json"


def _write_plan(files: MemberFiles) -> None:
    plan = json.loads(files.work.splits.to_json())
    _write(_plan_path(files), json.dumps({**plan, "work": files.identity}))


def _check_same_work(files: MemberFiles) -> None:
    """Raises: EnsembleError: the folder holds a run of other work, or a damaged plan."""
    path = _plan_path(files)
    if not path.exists():
        if done := files.done():
            raise EnsembleError(
                f"{path} is gone, although {files.path(done[0]).name} is there; put it back, or use another "
                "run_save_name"
            )
        return
    if different := differences(_read_identity(path), files.identity):
        raise EnsembleError(
            f"the run {files.run!r} cannot go on, since it is other work than before: {'; '.join(different)}; "
            "give the same as then, or use another run_save_name"
        )


def _read_identity(path: Path) -> Identity:
    text = path.read_bytes()
    Splits.from_json(text, str(path))  # whole, and not of a newer format
    identity = json.loads(text).get("work")
    if not isinstance(identity, dict) or not all(isinstance(part, dict) for part in identity.values()):
        raise EnsembleError(f"{path} is damaged: it does not say what work it is of; use another run_save_name")
    return identity


def _write(path: Path, content: bytes | str) -> None:
    try:
        replace_file(path, content, synced=True)
    except OSError as error:
        raise cannot_write(path, error) from error
