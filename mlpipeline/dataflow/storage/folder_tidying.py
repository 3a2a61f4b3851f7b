"""Tidying of a folder: writes that nobody needs go, and small ones share their files.

What may go is decided first (`_removable`: writes without a current row, but for the last that `find` may recall).
Then small packs are grouped (`_groups`), and in each the writes without a key become one where nothing came
between them (`_chains`). Where the ids' order does not follow from the writes that stay, it is written down (`_order`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mlpipeline.dataflow.spec import Array
from mlpipeline.dataflow.storage.folder_files import Heading, Order, Pack, Recall, Write
from mlpipeline.dataflow.storage.folder_index import FolderIndex
from mlpipeline.dataflow.storage.ids import numbered
from mlpipeline.dataflow.storage.values import Specs, dtype_of

KEPT = 16  # writes with a key and without a current row, which a `find` may make current again
_SMALL = 1 << 20  # bytes of a pack; a larger one is never copied, so that a row is copied a few times only


@dataclass(frozen=True)
class Tidying:
    """What to do.

    Args:
        packs: for each new pack the writes in it, chains of which become one.
        order: to write down, or None.
        packs_left: packs that stay as they are.
        writes_gone: numbers of the writes that go for good.
    """

    packs: list[list[list[Write]]]
    order: Array | None
    packs_left: set[Pack]
    writes_gone: set[int]

    def is_gone(self, entry: Pack | Recall | Order) -> bool:
        """Return whether an entry that was there is not needed any more."""
        if isinstance(entry, Pack):
            return entry not in self.packs_left
        if isinstance(entry, Recall):
            return entry.recalled in self.writes_gone
        return self.order is not None


def plan_tidying(index: FolderIndex, *, prunes: bool) -> Tidying:
    """Return what to put together and what to delete.

    Args:
        index: what the folder holds.
        prunes: whether to look for writes without current rows, which takes as long as reading all ids.
    """
    groups = _groups(index.packs)
    shared = {pack for group in groups for pack in group}
    removable = _removable(index) if prunes else set()
    alive = {
        write
        for write in index.writes
        if write not in removable or (write.pack not in shared and not removable.issuperset(write.pack.writes))
    }
    kept = [write for write in index.writes if write in alive]
    chains = [_chains(index, kept, set(group)) for group in groups]
    return Tidying(
        [each for each in chains if each],
        _order(index, kept) if len(kept) < len(index.writes) else None,
        {write.pack for write in kept} - shared,
        {write.number for write in index.writes} - {write.number for write in kept},
    )


def merged(chains: Sequence[Sequence[Write]]) -> tuple[list[Heading], Array, dict[str, Array]]:
    """Return the content of a pack: what is told of each write, the ids, and the outputs."""
    parts = [_as_one(chain) for chain in chains]
    names = list(chains[0][0].specs)
    ids = np.concatenate([ids for _, ids, _ in parts])
    outputs = {name: np.concatenate([outputs[name] for _, _, outputs in parts]) for name in names}
    return [heading for heading, _, _ in parts], ids, outputs


def _as_one(chain: Sequence[Write]) -> tuple[Heading, Array, dict[str, Array]]:
    """Return a write with the last row of each id of some writes."""
    last = chain[-1]
    ids = np.concatenate([write.ids for write in chain])
    rows: Any = slice(None)
    if len(chain) > 1:
        unique, places = numbered(ids)
        rows = np.empty(len(unique), np.int64)
        rows[places] = np.arange(len(ids))
        ids = unique
    outputs = {
        name: np.concatenate([write.rows(write.pack.output(name)) for write in chain])[rows] for name in last.specs
    }
    replaces_all = any(write.replaces_all for write in chain)
    return Heading(last.number, replace(last.run, n=len(ids)), replaces_all), ids, outputs


def _removable(index: FolderIndex) -> set[Write]:
    # the last write tells the outputs when no row is asked for
    idle = [index.writes[at] for at in index.without_rows() if at != len(index.writes) - 1]
    keyed = [write for write in idle if write.run.key]
    return set(idle) - set(keyed[-KEPT:])


def _groups(packs: Sequence[Pack]) -> list[list[Pack]]:
    """Return the small packs, at least two together, whose arrays differ in the length of texts at most."""
    groups: dict[Any, list[Pack]] = {}
    for pack in packs:
        if pack.size() < _SMALL:
            groups.setdefault((pack.kind, _kinds(pack.specs)), []).append(pack)
    return [group for group in groups.values() if len(group) > 1]


def _kinds(specs: Specs) -> tuple[Any, ...]:
    dtypes = {name: dtype_of(spec) for name, spec in specs.items()}
    return tuple(
        (name, specs[name].shape, dtype.kind if dtype.kind in "US" else dtype.str) for name, dtype in dtypes.items()
    )


def _chains(index: FolderIndex, kept: Sequence[Write], packs: Collection[Pack]) -> list[list[Write]]:
    """Return the writes of some packs; those that have no key and between which nothing happened are together."""
    chains: list[list[Write]] = []
    is_open = False
    for write in _history(index, kept):
        is_member = write is not None and write.pack in packs
        if write is not None and is_member:
            if is_open and not write.run.key:
                chains[-1].append(write)
            else:
                chains.append([write])
        is_open = is_member and write is not None and not write.run.key
    return chains


def _history(index: FolderIndex, kept: Sequence[Write]) -> Iterator[Write | None]:
    """Yield the writes in their order, and None for a recall."""
    events: dict[int, Write | None] = {recall.number: None for recall in index.recalls}
    events |= {write.number: write for write in kept}
    return (events[number] for number in sorted(events))


def _order(index: FolderIndex, kept: Sequence[Write]) -> Array | None:
    known = [] if index.order is None else [index.order.ids]
    following, _ = numbered(np.concatenate([*known, *(write.ids for write in kept if write.run.n)]))
    return None if np.array_equal(following, index.positions.ids) else index.positions.ids
