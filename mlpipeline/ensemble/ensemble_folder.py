"""EnsembleFolder: what the runs of an ensemble's members give together, in a folder beside theirs.

EnsembleFolder.write      predictions, ids, targets, history, statistics, picture; ensemble.json last, which says so
EnsembleFolder.read       what they are blended from
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from mlpipeline.ensemble.member_files import cannot_write, packed_npy
from mlpipeline.ensemble.observations import Observations, digest
from mlpipeline.ensemble.picture import folds_picture
from mlpipeline.ensemble.result import EnsembleResult
from mlpipeline.ensemble.tables import history_csv, statistics_text
from mlpipeline.ensemble.targets import as_targets
from mlpipeline.errors import EnsembleError
from mlpipeline.files import replace_file
from mlpipeline.records import dumps

FORMAT = 1
SUMMARY_FILE = "ensemble.json"
_LOCK_FILE = ".lock"
_LOCK_SECONDS = 60.0


@dataclass(frozen=True, eq=False)
class FinishedEnsemble:
    """What an ensemble has predicted.

    Args:
        summary: what `ensemble.json` says: names, scores, members, classes.
        oof, ids, y: float[n, outputs] with NaN where a row was never predicted, [n], and [n] or [n, k], of the
            training rows.
        test, test_ids, test_y: the same of the test rows; None without them, `test_y` where it is not known.
    """

    summary: Mapping[str, Any]
    oof: NDArray[Any]
    ids: NDArray[Any]
    y: NDArray[Any]
    test: NDArray[Any] | None = None
    test_ids: NDArray[Any] | None = None
    test_y: NDArray[Any] | None = None


_FILES = {
    "oof": "oof_train.npy",
    "ids": "oof_train_ids.npy",
    "y": "y_train.npy",
    "test": "oof_test.npy",
    "test_ids": "oof_test_ids.npy",
    "test_y": "y_test.npy",
}
_NEEDED = ("oof", "ids", "y")


@dataclass(frozen=True)
class EnsembleFolder:
    """The folder of an ensemble; those of its members have its name with `-fold0` behind it.

    Args:
        path: of the folder.
    """

    path: Path

    @classmethod
    def beside(cls, model_dir: Path, member: str) -> EnsembleFolder:
        """Return the folder of the ensemble that a member's run belongs to.

        Raises: EnsembleError: the folder's name does not end in that of the member.
        """
        name = model_dir.name.removesuffix(f"-{member}")
        if name in ("", model_dir.name):
            raise EnsembleError(
                f"the folder of {member} must have a name that ends in -{member}, by which the other members' are "
                f"found, but is {model_dir}"
            )
        return cls(model_dir.with_name(name))

    def member_dir(self, member: str) -> Path:
        """Return the folder of a member's run."""
        return self.path.with_name(f"{self.path.name}-{member}")

    def lock(self) -> FileLock:
        """Return the lock under which members look at one another and the ensemble is put together.

        Raises: EnsembleError: the folder cannot be made.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        return FileLock(self.path / _LOCK_FILE)

    def summary(self) -> dict[str, Any] | None:
        """Return what the ensemble says of itself; None if it has not been put together.

        Raises: EnsembleError: it is damaged, or of a newer format.
        """
        path = self.path / SUMMARY_FILE
        try:
            summary = json.loads(path.read_bytes())
            if summary["format"] > FORMAT:
                raise EnsembleError(f"{path} has format {summary['format']}, but this version reads up to {FORMAT}")
            _ = summary["ensemble"], summary["suffix"], summary["members"], summary["work"], summary["scores"]
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise EnsembleError(
                f"{path} is damaged ({type(error).__name__}: {error}); remove it and run one of the members again"
            ) from None
        return dict(summary)

    def write(self, result: EnsembleResult, test: Observations | None, summary: Mapping[str, Any]) -> None:
        """Write all files, the summary last.

        Args:
            result: of all members. test: the test rows. summary: what `ensemble.json` is to say.
        Raises: EnsembleError: there is no room, or no permission.
        """
        title = str(summary["ensemble"])
        files: dict[str, bytes | str | None] = {
            "plan.json": result.splits.to_json(),
            "history.csv": history_csv(result),
            "stats.txt": statistics_text(result, title),
            "folds.png": None if result.work.is_trial else folds_picture(result, title),  # it takes half a second
            **{_FILES[name]: packed_npy(array) for name, array in _arrays(result, test).items()},
        }
        try:
            (self.path / SUMMARY_FILE).unlink(missing_ok=True)
            for name in ("folds.png", *_FILES.values()):  # an earlier ensemble may have had what this one has not
                if files.get(name) is None:
                    (self.path / name).unlink(missing_ok=True)
            for name, content in files.items():
                if content is not None:
                    replace_file(self.path / name, content)
            replace_file(self.path / SUMMARY_FILE, dumps({"format": FORMAT, **summary}), synced=True)
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def read(self) -> FinishedEnsemble:
        """Return what the ensemble has predicted.

        Raises: EnsembleError: it is not finished, damaged, or being written all the time.
        """
        if not (self.path / SUMMARY_FILE).exists():
            raise EnsembleError(f"{self.path} holds no finished ensemble: {SUMMARY_FILE} is not there")
        try:
            with self.lock().acquire(timeout=_LOCK_SECONDS):
                summary = self.summary()
                arrays = {name: _read_npy(self.path / file) for name, file in _FILES.items()}
        except Timeout:
            raise EnsembleError(f"{self.path} is being written by another process; try again") from None
        missing = [_FILES[name] for name in _NEEDED if arrays[name] is None]
        if summary is None or missing:
            raise EnsembleError(f"{self.path} is not whole: {(missing or [SUMMARY_FILE])[0]} is not there")
        return FinishedEnsemble(summary, **arrays)  # type: ignore[arg-type]


def content_digest(valid: NDArray[Any], test: NDArray[Any] | None) -> str:
    """Return the hash of a member's predictions, by which an ensemble knows whether it is made of them."""
    return digest(valid, test)


def _arrays(result: EnsembleResult, test: Observations | None) -> dict[str, NDArray[Any]]:
    observations = result.work.observations
    arrays = {"oof": result.oof, "ids": plain_ids(observations.ids), "y": np.asarray(observations.y)}
    if test is not None and result.test is not None:
        arrays |= {"test": result.test, "test_ids": plain_ids(test.ids)}
        if test.y is not None:
            arrays["test_y"] = as_targets(test.y, "y of the test part")
    return arrays


def plain_ids(ids: Any) -> NDArray[Any]:
    """Return ids as an array of numbers or texts. Raises: EnsembleError: they are objects of another kind."""
    array = np.asarray(ids)
    if array.dtype == object:
        array = np.asarray(array.tolist())
    if array.ndim != 1 or array.dtype == object:
        raise EnsembleError(f"ids must be numbers or texts, one for each row, but got {array.dtype} {array.shape}")
    return array


def _read_npy(path: Path) -> NDArray[Any] | None:
    try:
        return np.asarray(np.load(path, allow_pickle=False))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, EOFError) as error:
        raise EnsembleError(f"{path} is damaged ({error}); remove it and run one of the members again") from None
