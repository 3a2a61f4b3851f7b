"""The server of the live page.

make_app                    what is answered to which request
    server_guard.Guard      who may ask for what
    live_events.Follower    what changes, for all clients at once
    queue_edit.write_queue  the one thing that is changed
serve                       make_app on a socket, until Ctrl-C
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Annotated

import anyio
from fastapi import FastAPI, HTTPException, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from pydantic import BaseModel
from sse_starlette import EventSourceResponse
from starlette.middleware.gzip import GZipMiddleware

from mlpipeline.errors import ConfigError, MlpError, QueueChangedError
from mlpipeline.project import Project
from mlpipeline.queue_edit import write_queue
from mlpipeline.records import dumps
from mlpipeline.reports.history import Run
from mlpipeline.reports.live_events import Follower
from mlpipeline.reports.live_state import LiveState
from mlpipeline.reports.page_artifacts import artifacts_data
from mlpipeline.reports.page_data import figures_data
from mlpipeline.reports.page_files import MEDIA_TYPES, live_page, live_policy, static_file
from mlpipeline.reports.payload import Payload
from mlpipeline.reports.queue_view import queue_data
from mlpipeline.reports.run_log import LogTail
from mlpipeline.reports.server_guard import Guard

_MOST_CURVES = 100
_DRAWING_SHARE = 4.0
_PING_SECONDS = 15
_LOADED_FIRST = ("page.css", "dt_bundle.css", "live.js", "page.js", "dt_bundle.js", "plotly.min.js")
_END_SECONDS = 1.0


class QueueChange(BaseModel):
    """What the page asks for. Args: revision: of the content that it has changed."""

    revision: str
    scripts: list[str]


class _Answers:
    """What the endpoints share.

    Args:
        follower: knows the history.
        project: owns the files.
        queue_file: what is shown as the queue.
        edits: whether it may be changed.
    """

    def __init__(self, follower: Follower, project: Project, queue_file: Path, edits: bool) -> None:
        self._follower = follower
        self._project = project
        self._queue_file = queue_file
        self._edits = edits
        self._number = -1
        self._kept: dict[str, Payload] = {}
        self._drawing: dict[str, asyncio.Lock] = {}
        self._drawn_next: dict[str, float] = {}

    async def is_kept(self, name: str) -> bool:
        """Look whether anything was recorded since an answer was made."""
        await self._follower.look()
        number = await self._follower.ask(lambda state: state.number)
        if number != self._number:
            self._number, self._kept = number, {}
        return name in self._kept

    async def kept(self, name: str, make: Callable[[LiveState], Callable[[], object]]) -> Payload:
        """Return an answer that holds until something is recorded.

        Args:
            name: of the answer.
            make: asks the state, in its thread; what it returns is called in another and gives the value.
        """
        if await self.is_kept(name):
            return self._kept[name]
        kept = self._kept
        value = await asyncio.to_thread(await self._follower.ask(make))
        kept[name] = await asyncio.to_thread(lambda: Payload.of(dumps(value).encode()))
        return kept[name]

    async def run(self, run_id: str) -> Run:
        run = await self._follower.ask(lambda state: state.run(run_id))
        if run is None:
            raise HTTPException(404, "no run of that id is recorded")
        return run

    async def runs(self, request: Request) -> Response:
        name = self._project.root.name
        payload = await self.kept("runs", lambda state: partial(dict, runs=state.rows(), project=name))
        return payload.answer(request)

    async def details(self, run_id: str) -> Response:
        run = await self.run(run_id)
        data = await self._follower.ask(lambda state: state.details(run))
        if folder := await self._follower.ask(lambda state: state.folder(run)):
            data["artifacts"] = await asyncio.to_thread(artifacts_data, folder, run.run_id)
        return _json(data)

    async def curves(self, run: Annotated[list[str], Query(max_length=_MOST_CURVES)]) -> Response:
        found = {}
        for run_id in dict.fromkeys(run):  # one question each, so that others come in between
            known = await self.run(run_id)
            found[run_id] = await self._follower.ask(partial(LiveState.curves, run=known))
        return _json(found)

    async def figures(self, request: Request, metric: str) -> Response:
        name = f"figures of {metric}"
        async with self._drawing.setdefault(metric, asyncio.Lock()):
            if not await self.is_kept(name):
                # runs may end each second, and each end asks for them anew
                await asyncio.sleep(max(0.0, self._drawn_next.get(metric, 0.0) - time.monotonic()))
            began = time.monotonic()
            payload = await self.kept(name, lambda state: partial(figures_data, state.latest, metric))
            self._drawn_next[metric] = time.monotonic() + _DRAWING_SHARE * (time.monotonic() - began)
        return payload.answer(request)

    async def queue(self) -> Response:
        return _json(await asyncio.to_thread(self._queue_data))

    async def change_queue(self, change: QueueChange) -> Response:
        try:
            await asyncio.to_thread(write_queue, self._project, self._queue_file, change.revision, change.scripts)
        except QueueChangedError as error:
            return _json({"detail": str(error), "queue": await asyncio.to_thread(self._queue_data)}, status=409)
        await self._follower.look()
        return await self.queue()

    async def events(self, log: str = "") -> EventSourceResponse:
        tail = None
        if log:
            run = await self.run(log)
            folder = await self._follower.ask(lambda state: state.folder(run))
            tail = (log, LogTail(folder, run)) if folder else None
        end = anyio.Event()
        events = self._follower.events(tail, end)
        # without the time to end by itself, the stream would be cut, and the server complain
        return EventSourceResponse(events, ping=_PING_SECONDS, shutdown_event=end, shutdown_grace_period=_END_SECONDS)

    def _queue_data(self) -> object:
        return queue_data(self._project, self._queue_file, edits=self._edits)


class _Files:
    """The page and what it loads."""

    def __init__(self, project: Project, edits: bool) -> None:
        self._page = live_page(project.root.name, edit=edits)
        self._static: dict[str, Payload] = {}
        self._lock = threading.Lock()

    async def page(self) -> Response:
        return HTMLResponse(self._page)

    async def static(self, request: Request, name: str) -> Response:
        payload = await asyncio.to_thread(self.payload, name)
        if payload is None:
            raise HTTPException(404, "there is no such file")
        return payload.answer(request)

    def payload(self, name: str) -> Payload | None:
        """Return a file, read and packed once; None where the page needs none of that name."""
        with self._lock:
            if name not in self._static and (text := static_file(name)) is not None:
                self._static[name] = Payload.of(text.encode(), MEDIA_TYPES[Path(name).suffix])
            return self._static.get(name)

    def prepare(self) -> None:
        """Make ready what the page loads first, before somebody waits for it."""
        for name in _LOADED_FIRST:
            self.payload(name)


def make_app(
    project: Project,
    queue_file: Path,
    *,
    edits: bool = False,
    token: str = "",
    is_local: bool = True,
    warn: Callable[[str], None] = lambda message: None,
) -> FastAPI:
    """Return the application that serves the page.

    Args:
        project: what it shows.
        queue_file: what it shows, and with `edits` changes, as the queue.
        edits: allow changes.
        token: demanded of every request; empty for none.
        is_local: it listens on this machine's own address only, and answers to no other name.
        warn: told of what cannot be read.
    """
    follower = Follower(partial(LiveState, project, queue_file, warn))

    files, answers = _Files(project, edits), _Answers(follower, project, queue_file, edits)

    @contextlib.asynccontextmanager
    async def following(app: FastAPI) -> AsyncIterator[None]:
        async with follower:
            prepared = asyncio.create_task(asyncio.to_thread(files.prepare))
            yield
            await prepared

    app = FastAPI(lifespan=following, docs_url=None, redoc_url=None, openapi_url=None)
    app.get("/")(files.page)
    app.get("/static/{name}")(files.static)
    app.get("/api/runs")(answers.runs)
    app.get("/api/runs/{run_id}")(answers.details)
    app.get("/api/curves")(answers.curves)
    app.get("/api/figures")(answers.figures)
    app.get("/api/queue")(answers.queue)
    app.put("/api/queue")(answers.change_queue)
    app.get("/api/events")(answers.events)
    app.exception_handler(MlpError)(_answer_to_error)
    app.exception_handler(RequestValidationError)(_answer_to_misfit)
    app.add_middleware(GZipMiddleware, minimum_size=1_000, compresslevel=4)
    app.add_middleware(Guard, policy=live_policy(), edits=edits, token=token, is_local=is_local)
    return app


def _json(value: object, status: int = 200) -> Response:
    return Response(dumps(value), status_code=status, media_type="application/json")


async def _answer_to_error(request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": str(error)}, status_code=422 if isinstance(error, ConfigError) else 500)


async def _answer_to_misfit(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    texts = [f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()]
    return JSONResponse({"detail": "; ".join(texts)}, status_code=422)
