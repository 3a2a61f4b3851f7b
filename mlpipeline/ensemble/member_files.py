"""MemberFiles: a member on disk: its model, and one file with all else that is there once the member is done."""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpipeline.ensemble.identity import DATA, Identity, differences, identity_of
from mlpipeline.ensemble.member import Member, Work, preparation_of
from mlpipeline.ensemble.preparation import Preparation
from mlpipeline.ensemble.trainer import Fitted
from mlpipeline.errors import EnsembleError, MlpError
from mlpipeline.files import replace_file

FORMAT = 1


@dataclass(frozen=True, eq=False)
class SavedFitted(Fitted):
    """A trained member whose model is read from its file when it is first asked for.

    Args:
        read_model: reads it.
    """

    model: Any = field(init=False, repr=False)
    read_model: Callable[[], Any] = field(kw_only=True, repr=False)

    def __getattr__(self, name: str) -> Any:
        if name != "model":
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        object.__setattr__(self, "model", self.read_model())
        return self.model


@dataclass(frozen=True, eq=False)
class RefittedPreparation(Preparation):
    """What prepares rows, fitted again to the member's training rows when it is first asked for.

    A fitted transformer cannot be kept without pickle, whatever its kind; those rows are there.

    Args:
        refit: returns the transformer.
    """

    transformer: Any = field(init=False, repr=False)
    refit: Callable[[], Any] = field(kw_only=True, repr=False)

    def __getattr__(self, name: str) -> Any:
        if name != "transformer":
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        object.__setattr__(self, "transformer", self.refit())
        return self.transformer


@dataclass(frozen=True, eq=False)
class MemberFiles:
    """The files of the members of a run: `<run>_fold0.keras` and, moved into place last, `<run>_fold0.npz`.

    Args:
        folder: of the run; it exists.
        run: what its files begin with.
        work: what all members have in common.
    """

    folder: Path
    run: str
    work: Work

    @cached_property
    def identity(self) -> Identity:
        """What the work is known by."""
        return identity_of(self.work)

    def path(self, number: int, suffix: str = ".npz") -> Path:
        """Return the path of a member's file."""
        return self.folder / f"{self.run}_{self.work.splits.name(number)}{suffix}"

    def done(self) -> list[int]:
        """Return the numbers of the members that are there."""
        return [number for number in range(len(self.work.splits)) if self.path(number).exists()]

    def write(self, member: Member, *, with_model: bool = True) -> None:
        """Write a member, its model first: whatever moment a kill comes at, the member is done or is not.

        Raises: EnsembleError: there is no room, or no permission.
        """
        try:
            digest = self._write_model(member) if with_model else None
            replace_file(self.path(member.number), self._packed(member, digest), synced=True)
        except OSError as error:
            raise cannot_write(self.path(member.number), error) from error

    def read(self, number: int) -> Member:
        """Read a member that is there; its model and what prepares its rows come when they are first asked for.

        Raises: EnsembleError: its files are damaged or gone, or it was trained in other work.
        """
        record, arrays = self._unpacked(number)
        self._check_same(number, record["work"], self.identity)
        return self._member(number, record, arrays)

    def read_fitted(self, number: int) -> Fitted:
        """Read a model with what predicting needs besides, to train it further or to predict with it.

        Only rows and plan must be the same; the way of training may be another.

        Raises: EnsembleError: it is not there or damaged, or was trained on other rows.
        """
        path = self.path(number)
        if not path.exists():
            raise EnsembleError(f"{path} is not there: no such member was finished; train the run {self.run!r} first")
        record, arrays = self._unpacked(number)
        self._check_same(number, *({name: each[name] for name in DATA} for each in (record["work"], self.identity)))
        fitted = self._member(number, record, arrays).fitted
        return Fitted(fitted.model, fitted.history, fitted.best_epoch, fitted.statistics)

    def _member(self, number: int, record: dict[str, Any], arrays: dict[str, Any]) -> Member:
        statistics = {name: arrays[f"statistic{index}"] for index, name in enumerate(record["statistics"])}
        model_file, work = self.path(number, self.work.trainer.suffix), self.work
        if record["model"] is not None and not model_file.exists():
            raise EnsembleError(
                f"{model_file} is gone, although {self.path(number).name} says that it was written; "
                "put it back, or remove the latter to train the member again"
            )
        fitted = SavedFitted(
            history=record["history"],
            best_epoch=record["best_epoch"],
            statistics=statistics,
            read_model=lambda: self._read_model(number, record["model"]),
        )
        preparation = None if work.preprocessing is None else RefittedPreparation(refit=lambda: refit(work, number))
        return Member(
            number, work.splits.name(number), fitted, preparation, arrays["valid"], arrays.get("test"),
            record["scores"], record["seconds"],
        )  # fmt: skip

    def _packed(self, member: Member, model_digest: str | None) -> bytes:
        fitted = member.fitted
        record = {
            "format": FORMAT,
            "work": self.identity,
            "model": model_digest,
            "scores": {name: float(score) for name, score in member.scores.items()},
            "seconds": member.seconds,
            "best_epoch": None if fitted.best_epoch is None else int(fitted.best_epoch),
            "history": {name: [float(value) for value in values] for name, values in fitted.history.items()},
            "statistics": list(fitted.statistics),
        }
        arrays = {f"statistic{index}": values for index, values in enumerate(fitted.statistics.values())}
        if member.test is not None:
            arrays["test"] = member.test
        packed = io.BytesIO()
        text = np.frombuffer(json.dumps(record).encode(), dtype=np.uint8)
        np.savez(packed, allow_pickle=False, record=text, valid=member.valid, **arrays)
        return packed.getvalue()

    def _unpacked(self, number: int) -> tuple[dict[str, Any], dict[str, Any]]:
        path = self.path(number)
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as packed:
                arrays = {name: packed[name] for name in packed.files}
            record: dict[str, Any] = json.loads(arrays.pop("record").tobytes())
            if record["format"] > FORMAT:
                raise EnsembleError(f"{path} has format {record['format']}, but this version reads up to {FORMAT}")
            needed = len(self.work.splits.members[number].valid)
            is_same_plan = record["work"]["plan"]["hash"] == self.identity["plan"]["hash"]
            if is_same_plan and len(arrays["valid"]) != needed:
                raise ValueError(f"{len(arrays['valid'])} predictions of {needed} validation rows")
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise EnsembleError(
                f"{path} is damaged ({type(error).__name__}: {error}); remove it to train the member again"
            ) from None
        return record, arrays

    def _check_same(self, number: int, kept: Identity, now: Identity) -> None:
        if different := differences(kept, now):
            raise EnsembleError(
                f"{self.path(number)} was trained in other work: {'; '.join(different)}; give the same as then, "
                "or use another run_save_name"
            )

    def _write_model(self, member: Member) -> str:
        """Write a model aside, as its trainer does, move it into place, and return its hash."""
        suffix = self.work.trainer.suffix
        path = self.path(member.number, suffix)
        aside = path.with_name(f".{path.stem}.tmp{suffix}")
        try:
            self._save(member, aside)
            with aside.open("rb+") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                os.fsync(file.fileno())
            os.replace(aside, path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
        return digest

    def _save(self, member: Member, aside: Path) -> None:
        try:
            self.work.trainer.save(member.fitted, aside)
        except (MlpError, OSError):
            raise
        except Exception as error:  # each library has an error of its own for a full disk
            path = self.path(member.number, self.work.trainer.suffix)
            raise EnsembleError(f"{path} cannot be written: {type(error).__name__}: {error}") from error

    def _read_model(self, number: int, digest: str | None) -> Any:
        name, path = self.work.splits.name(number), self.path(number, self.work.trainer.suffix)
        if digest is None:
            raise EnsembleError(
                f"{name} of the run {self.run!r} was trained with save_model=False: its predictions are kept, but no "
                "model; train it under another run_save_name to have one"
            )
        try:
            with path.open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise EnsembleError(f"{path} cannot be read: {error.strerror}") from error
        if found != digest:
            raise EnsembleError(
                f"{path} is damaged: it is not what was written; remove {self.path(number).name} to train {name} again"
            )
        return self.work.trainer.load(path)


def refit(work: Work, number: int) -> Any:
    """Return a member's transformer, fitted again."""
    preparation = preparation_of(work, number)
    assert preparation is not None
    return preparation.transformer


def cannot_write(path: Path, error: OSError) -> EnsembleError:
    """Return the error that says why a file cannot be written, and what to do."""
    return EnsembleError(
        f"{path} cannot be written: {error.strerror or error}; make room or mend the permissions, then go on with "
        "resume=True"
    )


def packed_npy(array: NDArray[Any]) -> bytes:
    """Return an array as the content of an npy file."""
    packed = io.BytesIO()
    np.save(packed, array, allow_pickle=False)
    return packed.getvalue()
