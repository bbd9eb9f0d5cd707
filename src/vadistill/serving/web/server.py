"""The web application, its API, feeds and pages behind one guard, and the server that runs it."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import mimetypes
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import Response

import vadistill
from vadistill.errors import ConfigError
from vadistill.serving.faults import Faults
from vadistill.serving.networks import Proxies
from vadistill.serving.web.api_cameras import camera_routes, event_routes
from vadistill.serving.web.api_models import job_routes, model_routes, upload_routes
from vadistill.serving.web.api_server import server_routes, sink_routes
from vadistill.serving.web.api_session import session_routes
from vadistill.serving.web.auth import Access, require_secret
from vadistill.serving.web.connections import Connection, Connections, Door, most_connections
from vadistill.serving.web.errors import add_error_handlers, missing
from vadistill.serving.web.feeds import Feeds, feed_routes
from vadistill.serving.web.guard import Guard
from vadistill.serving.web.visitors import Visitors

if TYPE_CHECKING:
    from vadistill.serving.hub import Hub

STATIC = Path(__file__).parent.parent / "static"
"""The console's pages."""

TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".woff2": "font/woff2"}


def build_app(hub: Hub, *, host: str | None = None) -> FastAPI:
    """The console and its API over ``hub``, reached at ``host`` (default: as the settings say)."""
    server = hub.settings.server
    access = Access(server, hub.store.instance[:8])
    feeds = Feeds(access)
    app = FastAPI(
        title="vadistill",
        summary="Live anomaly detection: cameras, events, models.",
        version=vadistill.__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.feeds, app.state.access = feeds, access
    app.add_middleware(Guard, access=access, host=server.host if host is None else host)
    add_error_handlers(app)
    for router in (
        session_routes(access),
        feed_routes(hub, feeds),
        camera_routes(hub),
        event_routes(hub),
        model_routes(hub),
        job_routes(hub),
        upload_routes(hub),
        server_routes(hub, access),
        sink_routes(hub),
        page_routes(),
    ):
        app.include_router(router)
    return app


def page_routes() -> APIRouter:
    """The console's files, by a list of them: no path of a request is looked up on disk."""
    router = APIRouter(include_in_schema=False)
    files = {
        path.relative_to(STATIC).as_posix(): path
        for path in STATIC.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }

    def file(request: Request, name: str) -> Response:
        if name not in files:
            raise missing("page")
        data = files[name].read_bytes()
        tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
        headers = {"ETag": tag, "Cache-Control": "no-cache"}
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        kind = TYPES.get(files[name].suffix) or mimetypes.guess_type(name)[0]
        return Response(data, media_type=kind or "application/octet-stream", headers=headers)

    @router.get("/")
    def index(request: Request) -> Response:
        return file(request, "index.html")

    @router.get("/favicon.ico")
    def icon(request: Request) -> Response:
        return file(request, "icon.svg")

    @router.get("/static/{name:path}")
    def static(request: Request, name: str) -> Response:
        return file(request, name)

    return router


log = logging.getLogger("vadistill.serving")

STOP_SECONDS = 3
"""How long requests that are under way may take once the server stops."""

BACKLOG = 2048
"""Connections that the system holds until they are accepted."""

TICKS = 5
"""Tenths of a second between two looks at connections."""

LOOK_SECONDS = 1.0
"""Between two looks for another password or token."""

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class WebServer:
    """The console of a hub at an address; ``url`` is known, and connections wait, from here on.

    Port 0 takes a free one.  Raises ConfigError when the address is taken or not this machine's,
    and when others can reach it without a password.
    """

    def __init__(self, hub: Hub, host: str, port: int) -> None:
        settings = replace(hub.settings, server=replace(hub.settings.server, host=host))
        require_secret(settings)
        app = build_app(hub, host=host)
        proxies = Proxies(hub.settings.server.proxies)
        self.connections = Connections(
            lambda: most_connections(len(hub.settings.cameras) + len(hub.settings.sinks)), proxies
        )
        http = functools.partial(Connection, self.connections)
        config = uvicorn.Config(
            Visitors(app, proxies) if proxies else app,
            http=http,  # pyright: ignore[reportArgumentType]
            loop="asyncio",
            backlog=BACKLOG,
            log_config=None,
            access_log=False,
            server_header=False,
            # Others' word on who their clients are is not taken: any client could give it.
            proxy_headers=bool(proxies),
            forwarded_allow_ips=proxies.written(),
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=STOP_SECONDS,
        )
        self._hub, self._access, self._ended = hub, app.state.access, threading.Event()
        self._server = _Server(config, self.connections, app.state.feeds.close)
        self._socket = _listen(host, port)
        self._socket.connections = self.connections
        self.port = int(self._socket.getsockname()[1])
        shown = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        self.url = f"http://{f'[{shown}]' if ':' in shown else shown}:{self.port}/"

    def run(self) -> None:
        """Serve until ``stop``; in the main thread also until SIGINT or SIGTERM."""
        log.info("the console is at %s (Ctrl-C ends it)", self.url)
        threading.Thread(target=self._look_for_secrets, name="secrets", daemon=True).start()
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._ended.set()

    def stop(self) -> None:
        """End ``run`` within seconds, from another thread."""
        self._server.should_exit = True

    def _look_for_secrets(self) -> None:
        """Take over a password or token that was set while the server runs."""
        faults = Faults()
        while not self._ended.wait(LOOK_SECONDS):
            found = None
            with faults.of("the settings file"):
                found = self._hub.changed_secrets()
            try:
                if found is not None:
                    self._access.renew(found)
            except ConfigError as error:
                log.warning("password and token stay as they were: %s", error)


def serve(hub: Hub, host: str, port: int) -> None:
    """Run the console at an address until it is stopped; see ``WebServer``."""
    WebServer(hub, host, port).run()


class _Server(uvicorn.Server):
    """Ends the feeds before it waits for requests, and returns after a signal.

    uvicorn raises the signal again in the end, which would take the process down before cameras
    and events are closed.
    """

    def __init__(
        self, config: uvicorn.Config, connections: Connections, close: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._connections, self._close = connections, close

    async def on_tick(self, counter: int) -> bool:
        if counter % TICKS == 0:
            self._connections.look()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._close()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _listen(host: str, port: int) -> Door:
    try:
        if not 0 <= port <= 65_535:
            raise OverflowError("no such port")
        family, kind, _, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        found = Door(family, kind)
        try:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind(address)
            found.listen(BACKLOG)
        except OSError:
            found.close()
            raise
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"cannot listen on {host}:{port} ({getattr(error, 'strerror', None) or error})",
            expected="a free port of this machine",
            fix="stop what uses it, or choose another with --port",
        ) from error
    found.setblocking(False)
    return found
