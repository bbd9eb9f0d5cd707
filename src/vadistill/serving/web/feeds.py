"""Answers without an end: server-sent events, and live pictures as MJPEG."""

from __future__ import annotations

import contextlib
import functools
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import anyio
from anyio import CancelScope, CapacityLimiter
from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from starlette.types import Receive, Scope, Send

from vadistill import limits
from vadistill.serving.web.api_cameras import CameraName
from vadistill.serving.web.auth import Access
from vadistill.serving.web.errors import ApiError, dumps, missing, responses
from vadistill.serving.web.guard import still_allowed

if TYPE_CHECKING:
    from vadistill.serving.hub import Hub

TICK = 0.5
"""Seconds after which a feed without news looks whether it should go on."""

HEARTBEAT = 15.0
CHECK = 2.0
"""Seconds between looks at whether the session still lives."""

BOUNDARY = "vadistill-frame"


class Feeds:
    """The feeds that run."""

    def __init__(self, access: Access) -> None:
        self.access, self.closing = access, False
        self._free = threading.BoundedSemaphore(limits.FEEDS)
        self._running: set[CancelScope] = set()
        self.limiter = CapacityLimiter(limits.FEEDS)

    def close(self) -> None:
        """End all feeds, from the event loop; new ones end at once."""
        self.closing = True
        for scope in self._running:
            scope.cancel()

    @contextlib.contextmanager
    def running(self, scope: CancelScope) -> Iterator[None]:
        """Let ``close`` cancel ``scope`` meanwhile."""
        self._running.add(scope)
        try:
            yield
        finally:
            self._running.discard(scope)

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """One of the places; raises ApiError when all are taken."""
        if not self._free.acquire(blocking=False):
            raise busy()
        try:
            yield
        finally:
            self._free.release()


def busy() -> ApiError:
    """429 when too many feeds run."""
    line = f"{limits.FEEDS} live feeds are open"
    return ApiError(429, "busy", line, "close other pages of the console")


class Feed(Response):
    """Sends what ``parts`` yields until the client goes, the session ends or the server stops.

    ``parts`` blocks in a thread, no longer than a few seconds at a time; an empty part means no
    news.  The next one is asked for when the client has taken the last.
    """

    def __init__(
        self,
        feeds: Feeds,
        parts: Callable[[], Iterator[bytes]],
        media_type: str,
        allowed: Callable[[], bool],
    ) -> None:
        super().__init__(media_type=media_type, headers={"X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self.feeds, self.parts, self.allowed = feeds, parts, allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with self.feeds.place():
                await send(
                    {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
                )
                await self._run(receive, send)
        except ApiError as error:
            await error.answer()(scope, receive, send)

    async def _run(self, receive: Receive, send: Send) -> None:
        async with anyio.create_task_group() as group:

            async def watch() -> None:
                while (await receive())["type"] != "http.disconnect":
                    pass
                group.cancel_scope.cancel()

            group.start_soon(watch)
            with self.feeds.running(group.cancel_scope):
                await self._pump(send)
            group.cancel_scope.cancel()
        with anyio.move_on_after(1):
            await send({"type": "http.response.body", "body": b""})

    async def _pump(self, send: Send) -> None:
        # Whoever leaves does not wait for the next part; the thread ends when that is there.
        run = functools.partial(
            anyio.to_thread.run_sync, limiter=self.feeds.limiter, abandon_on_cancel=True
        )
        parts = self.parts()
        checked = time.monotonic()
        try:
            while not self.feeds.closing:
                part: bytes | None = await run(next, parts, None)
                if time.monotonic() - checked > CHECK:
                    checked = time.monotonic()
                    if not self.allowed():
                        return
                if part is None:
                    return
                if part:
                    # A client that takes nothing loses its connection; see Connections.look.
                    await send({"type": "http.response.body", "body": part, "more_body": True})
        finally:
            _close(parts)


def _close(parts: Iterator[bytes]) -> None:
    # A generator that a thread still waits in cannot be closed; it is once the thread lets it go.
    with contextlib.suppress(ValueError):
        close = getattr(parts, "close", None)
        if close is not None:
            close()


def feed_routes(hub: Hub, feeds: Feeds) -> APIRouter:
    """The addresses /api/stream and /api/cameras/NAME/live.mjpeg."""
    router = APIRouter(prefix="/api", tags=["live"])
    text: dict[str, Any] = {"text/event-stream": {"schema": {"type": "string"}}}
    jpegs: dict[str, Any] = {
        "multipart/x-mixed-replace": {"schema": {"type": "string", "format": "binary"}}
    }

    @router.get(
        "/stream", responses={**responses(), 200: {"content": text}}, response_class=Response
    )
    def stream(request: Request) -> Response:
        """Server-sent events ``cameras``, ``scores``, ``event`` and ``job``; of ``cameras`` that
        were ``asked`` before a change was ``X-Vadistill-Answered``, it may not be in them."""
        allowed = still_allowed(feeds.access, request.state.caller)
        return Feed(feeds, lambda: news(hub), "text/event-stream", allowed)

    @router.get(
        "/cameras/{name}/live.mjpeg",
        responses={**responses(404), 200: {"content": jpegs}},
        response_class=Response,
    )
    def live(
        request: Request,
        name: CameraName,
        map: Annotated[bool, Query(description="whether the anomaly map is drawn")] = False,
    ) -> Response:
        """Live pictures with boxes, as fast as they are scored and taken."""
        if hub.camera(name) is None:
            raise missing("camera")
        allowed = still_allowed(feeds.access, request.state.caller)
        kind = f"multipart/x-mixed-replace; boundary={BOUNDARY}"
        return Feed(feeds, lambda: frames(hub, name, map), kind, allowed)

    return router


def news(hub: Hub) -> Iterator[bytes]:
    """What the hub tells, as server-sent events."""
    subscription = hub.subscribe()
    try:
        yield b"retry: 2000\n\n"
        yield message("cameras", hub.camera_news())
        sent = time.monotonic()
        while True:
            found = subscription.get(TICK)
            if found is not None:
                sent = time.monotonic()
                yield message(*found)
            elif time.monotonic() - sent > HEARTBEAT:
                sent = time.monotonic()
                yield b": still here\n\n"
            else:
                yield b""
    finally:
        subscription.close()


def message(kind: str, data: dict[str, Any]) -> bytes:
    """One server-sent event."""
    return f"event: {kind}\ndata: {dumps(data)}\n\n".encode()


def frames(hub: Hub, name: str, map: bool) -> Iterator[bytes]:
    """Pictures of a camera, as parts of a multipart answer."""
    pictures = hub.pictures(name, map)
    try:
        for picture in pictures:
            if picture:
                head = f"Content-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                yield f"--{BOUNDARY}\r\n{head}".encode() + picture + b"\r\n"
            else:
                yield b""
    finally:
        _close(pictures)
