"""Splits: a plan that has been computed: which rows each member of an ensemble trains on and is judged by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlpipeline.errors import EnsembleError

FORMAT = 1
BAG, FOLD, FULL = "bag", "fold", "full"

RowNumbers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Split:
    """The rows of one member.

    Args:
        train, valid: numbers of rows; what trains the member, and what it predicts out of fold.
    """

    train: RowNumbers
    valid: RowNumbers


@dataclass(frozen=True, eq=False)
class Splits:
    """All members of an ensemble, in their order; the value that is saved and returned.

    Args:
        kind: "bag" or "fold", the word in the names of members and files; "full" of a model of all rows.
        description: the plan that it was computed from, as text.
        seed: that it was drawn with.
        row_count: of the data.
        members: one split each.
    """

    kind: str
    description: str
    seed: int
    row_count: int
    members: tuple[Split, ...]

    def __len__(self) -> int:
        return len(self.members)

    def __iter__(self) -> Iterator[Split]:
        return iter(self.members)

    def __repr__(self) -> str:
        return f"Splits({self.description}, {len(self)} members, {self.row_count} rows, seed={self.seed})"

    def name(self, number: int) -> str:
        """Return what a member is called: `fold0`, `bag3`."""
        return f"{self.kind}{number}"

    @property
    def digest(self) -> str:
        """A hash of the rows of every member, which is the same wherever it is computed."""
        content = hashlib.sha256(f"{self.kind} {self.row_count} {len(self.members)}".encode())
        for split in self.members:
            for rows in (split.train, split.valid):
                content.update(len(rows).to_bytes(8, "little") + rows.astype("<i8").tobytes())
        return content.hexdigest()[:32]

    def to_json(self) -> str:
        """Return the splits as one JSON object."""
        members = [{"train": split.train.tolist(), "valid": split.valid.tolist()} for split in self.members]
        head = {"format": FORMAT, "kind": self.kind, "description": self.description, "seed": self.seed}
        return json.dumps({**head, "row_count": self.row_count, "digest": self.digest, "members": members})

    @classmethod
    def from_json(cls, text: str | bytes, where: str = "the plan") -> Splits:
        """Read what `to_json` has written.

        Args:
            text: of the file. where: what to call it in messages.
        Raises: EnsembleError: the text is damaged, or of a newer format.
        """
        try:
            values: dict[str, Any] = json.loads(text)
            if values["format"] > FORMAT:
                raise EnsembleError(f"{where} has format {values['format']}, but this version reads up to {FORMAT}")
            members = tuple(_split(item["train"], item["valid"], values["row_count"]) for item in values["members"])
            if values["kind"] not in (BAG, FOLD, FULL):  # it is part of names of files
                raise ValueError(f"kind must be {BAG}, {FOLD} or {FULL}, but is {values['kind']!r:.80}")
            splits = cls(values["kind"], values["description"], values["seed"], values["row_count"], members)
            is_whole = values["digest"] == splits.digest
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
            raise EnsembleError(
                f"{where} is damaged ({type(error).__name__}: {error}); remove it to start afresh"
            ) from None
        if not is_whole:
            raise EnsembleError(f"{where} is damaged: its rows do not have its digest; remove it to start afresh")
        return splits


def _split(train: list[int], valid: list[int], row_count: int) -> Split:
    arrays = [np.asarray(rows, dtype=np.int64).reshape(-1) for rows in (train, valid)]
    if any(len(rows) and (rows.min() < 0 or rows.max() >= row_count) for rows in arrays):
        raise ValueError(f"rows must be from 0 to {row_count - 1}")
    return Split(*arrays)
