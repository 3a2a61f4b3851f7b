"""Gather the fork server's memory in huge pages, so that a fork copies hundreds of entries instead of ninety thousand.

Source: madvise(2), MADV_COLLAPSE, Linux 6.1. Where it is not to be had nothing changes but the time of a fork.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from pathlib import Path

_HUGE_PAGE_BYTES = 2 << 20
_MADV_COLLAPSE = 25
_NAMES = ("", "[heap]")  # memory that malloc and Python's allocator have taken


def huge_page_chunks() -> list[int]:
    """Return the addresses at which a huge page of this process's own memory could begin."""
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return []
    return [address for line in lines for address in _chunks(line)]


def collapse(address: int) -> None:
    """Turn the small pages from an address on into a huge one, where the system can; takes a few milliseconds."""
    libc = ctypes.CDLL(None)
    libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    libc.madvise(address, _HUGE_PAGE_BYTES, _MADV_COLLAPSE)


def _chunks(line: str) -> Iterator[int]:
    span, permissions, _offset, _device, _inode, *name = line.split(maxsplit=5)
    if permissions != "rw-p" or "".join(name) not in _NAMES:
        return
    begin, end = (int(part, 16) for part in span.split("-"))
    first = -(-begin // _HUGE_PAGE_BYTES) * _HUGE_PAGE_BYTES
    yield from range(first, end - _HUGE_PAGE_BYTES + 1, _HUGE_PAGE_BYTES)
