"""Server-sent events: one follower of the files for all clients; each gets the latest as fast as it takes it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import anyio
from sse_starlette import ServerSentEvent

from mlpipeline.records import dumps
from mlpipeline.reports.live_state import LiveState, Told
from mlpipeline.reports.run_log import LogTail

T = TypeVar("T")
_LOOK_SECONDS = 0.3
_RETRY_MS = 1_000  # after which a browser that has lost the server tries again
_MISSED_SECONDS = 10.0  # what a page that has just been loaded may have missed
_TOLD_AS_CHANGES = ("runs", "queue")


class Follower:
    """Looks at the files a few times a second while somebody listens, in one thread.

    Args:
        make_state: called in that thread; the state is used in no other.
    """

    def __init__(self, make_state: Callable[[], LiveState]) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="follower")
        self._make_state = make_state
        self._state: LiveState | None = None
        self._told: Mapping[str, Told] = {}
        self._news = asyncio.Event()
        self._listeners = 0
        self._is_listened_to = asyncio.Event()

    async def __aenter__(self) -> Follower:
        self._state = await asyncio.get_running_loop().run_in_executor(self._thread, self._make_state)
        self._task = asyncio.create_task(self._follow())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        await self.ask(LiveState.close)
        self._thread.shutdown()

    async def ask(self, question: Callable[[LiveState], T]) -> T:
        """Return what a function says of the state; it runs in the follower's thread."""
        assert self._state is not None, "the follower has not begun"
        return await asyncio.get_running_loop().run_in_executor(self._thread, question, self._state)

    async def look(self) -> None:
        """Look now, and tell all listeners what is new."""
        told = await self.ask(LiveState.look)
        if told != self._told:
            self._told = told
            self._wake()

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def events(self, log: tuple[str, LogTail] | None, end: anyio.Event) -> AsyncIterator[ServerSentEvent]:
        """Yield what is new until the server ends. A listener that is slow skips what was overtaken meanwhile.

        Args:
            log: the id of a run and its log, to be followed too.
            end: of the server.
        """
        ending = asyncio.create_task(end.wait())
        ending.add_done_callback(lambda _: self._wake())
        self._listeners += 1
        self._is_listened_to.set()
        try:
            await self.look()
            sent = self._known()
            while not end.is_set():
                news = self._news  # taken before: what comes while this sends is not missed
                for kind, told in list(self._told.items()):
                    if sent.get(kind) != told.number:
                        sent[kind] = told.number
                        yield ServerSentEvent(told.text, event=kind, retry=_RETRY_MS)
                if log is not None and (piece := await asyncio.to_thread(log[1].read)) is not None:
                    data = {"run_id": log[0], "text": piece.text, "reset": piece.is_anew}
                    yield ServerSentEvent(dumps(data), event="log")
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(news.wait(), _LOOK_SECONDS if log else None)
        finally:
            ending.cancel()
            self._listeners -= 1
            if not self._listeners:
                self._is_listened_to.clear()

    async def _follow(self) -> None:
        while True:
            await self._is_listened_to.wait()
            await self.look()
            await asyncio.sleep(_LOOK_SECONDS)

    def _known(self) -> dict[str, int]:
        """Return the numbers of the changes that a page which has just been loaded knows of."""
        recently = time.monotonic() - _MISSED_SECONDS
        told = {kind: self._told[kind] for kind in _TOLD_AS_CHANGES if kind in self._told}
        return {kind: item.number for kind, item in told.items() if item.number == 1 or item.moment < recently}
