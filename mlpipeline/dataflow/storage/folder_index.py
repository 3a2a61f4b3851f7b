"""What a folder holds at one moment: its writes, and which of them each id's row comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np

from mlpipeline.dataflow.spec import Array
from mlpipeline.dataflow.storage.folder_files import Recall, Write
from mlpipeline.dataflow.storage.ids import Positions, are_same


class FolderIndex:
    """The writes of a folder that count, and where each id is found; never changed.

    Args:
        entries: writes and recalls by their number, from the last that replaced everything.
    """

    def __init__(self, entries: Mapping[int, Write | Recall]) -> None:
        counted = dict(sorted(entries.items()))
        self.first = min(counted, default=0)
        self.numbers = [number for number, each in counted.items() if isinstance(each, Write)]
        self.writes: list[Write] = [each for each in counted.values() if isinstance(each, Write)]
        current = {number: number for number in self.numbers}
        recalls = {number: each.number for number, each in counted.items() if isinstance(each, Recall)}
        current |= {recalled: number for number, recalled in recalls.items() if recalled in current}
        self._current = [current[number] for number in self.numbers]

    def latest_with(self, key: str, ids: Array) -> int | None:
        """Return the position of the last write with this key and these ids."""
        positions = range(len(self.writes) - 1, -1, -1)
        same = (at for at in positions if self.writes[at].run.key == key and are_same(self.writes[at].ids, ids))
        return next(same, None)

    def is_current(self, at: int) -> bool:
        """Return whether all rows of a write are those that its ids have now."""
        if self._current[at] == max(self._current):
            return True
        return int(np.count_nonzero(self.owners == at)) == self.writes[at].run.n

    @cached_property
    def kind(self) -> str | None:
        """Whether ids are integers or texts; None where there are none."""
        return next((write.kind for write in self.writes if write.run.n), None)

    @cached_property
    def positions(self) -> Positions:
        """Where each id stands among the ids in the order of their first write."""
        filled = [write.ids for write in self.writes if write.run.n]
        if len(filled) == 1:
            return Positions(filled[0])
        if not filled:
            return Positions(np.empty(0, np.int64))
        every = np.concatenate(filled)
        _, firsts = np.unique(every, return_index=True)
        return Positions(every[np.sort(firsts)])

    @property
    def owners(self) -> Array:
        """For each id the position of the write that its row comes from."""
        return self._places[0]

    @property
    def rows(self) -> Array:
        """For each id its row in that write."""
        return self._places[1]

    @cached_property
    def only_write(self) -> Write | None:
        """The write that all rows come from in its own order, if there is one."""
        filled = [write for write in self.writes if write.run.n]
        return filled[0] if len(filled) == 1 else None

    @cached_property
    def _places(self) -> tuple[Array, Array]:
        owners = np.zeros(len(self.positions.ids), np.int64)
        rows = np.zeros(len(self.positions.ids), np.int64)
        for at in sorted(range(len(self.writes)), key=self._current.__getitem__):
            write = self.writes[at]
            if write.run.n:
                found = self.positions.locate(write.ids)
                owners[found] = at
                rows[found] = np.arange(write.run.n)
        return owners, rows


def names_of(writes: Sequence[Write]) -> dict[str, None]:
    """Return the names of all outputs."""
    return {name: None for write in writes for name in write.specs}
