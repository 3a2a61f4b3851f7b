"""What a folder holds at one moment: its writes, and which of them each id's row comes from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property

import numpy as np

from mlpipeline.dataflow.spec import Array
from mlpipeline.dataflow.storage.folder_files import Order, Pack, Recall, Write
from mlpipeline.dataflow.storage.ids import Positions, are_same, numbered


class FolderIndex:
    """The writes of a folder that count, and where each id is found; never changed.

    Args:
        entries: what the folder holds since the last write that replaced everything.
    """

    def __init__(self, entries: Iterable[Pack | Recall | Order]) -> None:
        self._entries = list(entries)

    @cached_property
    def packs(self) -> list[Pack]:
        return [each for each in self._entries if isinstance(each, Pack)]

    @cached_property
    def recalls(self) -> list[Recall]:
        """The recalls of writes that are there."""
        return [each for each in self._entries if isinstance(each, Recall) and each.recalled in self._by_number]

    @cached_property
    def order(self) -> Order | None:
        """The last order of ids that was written down."""
        orders = [each for each in self._entries if isinstance(each, Order)]
        return max(orders, key=lambda each: each.number, default=None)

    @cached_property
    def kind(self) -> str | None:
        """Whether ids are integers or texts; None where there are none."""
        return next((pack.kind for pack in self.packs if pack.n), None)

    @cached_property
    def writes(self) -> list[Write]:
        """The writes in the order of their numbers."""
        return [self._by_number[number] for number in sorted(self._by_number)]

    @cached_property
    def _by_number(self) -> dict[int, Write]:
        # a kill may leave writes beside the pack that they were put into; they tell the same
        return {write.number: write for pack in self.packs for write in pack.writes}

    @cached_property
    def last_change(self) -> list[int]:
        """For each write the number at which it was written or recalled last."""
        last = {number: number for number in self._by_number}
        for recall in sorted(self.recalls, key=lambda each: each.number):
            last[recall.recalled] = recall.number
        return [last[write.number] for write in self.writes]

    def latest_with(self, key: str, ids: Array) -> int | None:
        """Return the position of the last write with this key and these ids."""
        positions = range(len(self.writes) - 1, -1, -1)
        same = (at for at in positions if self.writes[at].run.key == key and are_same(self.writes[at].ids, ids))
        return next(same, None)

    def is_current(self, at: int) -> bool:
        """Return whether all rows of a write are those that its ids have now."""
        if self.last_change[at] == max(self.last_change):
            return True
        return int(np.count_nonzero(self.owners == at)) == self.writes[at].run.n

    def holds(self, number: int) -> bool:
        """Return whether the write of a number is there."""
        return number in self._by_number

    def without_rows(self) -> list[int]:
        """Return the positions of the writes none of whose rows is current, the longest unused first."""
        counts = np.bincount(self.owners, minlength=len(self.writes))
        return sorted(np.flatnonzero(counts == 0).tolist(), key=self.last_change.__getitem__)

    @cached_property
    def positions(self) -> Positions:
        """Where each id stands among the ids in the order of their first write."""
        return Positions(self._filled[0].ids) if self.only_write else Positions(self._numbered[0])

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
        return self._filled[0] if len(self._filled) == 1 and not self.order else None

    @cached_property
    def _filled(self) -> list[Write]:
        return [write for write in self.writes if write.run.n]

    @cached_property
    def _numbered(self) -> tuple[Array, Array]:
        """The ids in the order of their first write, and for each row of each write the position of its id."""
        if not self._filled:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        every = np.concatenate([write.ids for write in self._filled])
        if self.order is None:
            return numbered(every)
        ordered = self.order.ids[np.isin(self.order.ids, every)]  # a damaged write may have been deleted by hand
        ids, places = numbered(np.concatenate([ordered, every]))
        return ids, places[len(ordered) :]

    @cached_property
    def _places(self) -> tuple[Array, Array]:
        counts = np.array([write.run.n for write in self.writes], np.int64)
        begins = np.cumsum(counts) - counts
        owner = np.repeat(np.arange(len(counts)), counts)
        row = np.arange(len(owner)) - begins[owner]
        places = np.arange(len(owner)) if self.only_write else self._numbered[1]
        later_last = np.argsort(np.array(self.last_change, np.int64)[owner], kind="stable")
        # of the rows of one id the last assigned stays
        owners, rows = np.empty((2, len(self.positions.ids)), np.int64)
        owners[places[later_last]] = owner[later_last]
        rows[places[later_last]] = row[later_last]
        return owners, rows


def names_of(writes: Sequence[Write]) -> dict[str, None]:
    """Return the names of all outputs."""
    return {name: None for write in writes for name in write.specs}
