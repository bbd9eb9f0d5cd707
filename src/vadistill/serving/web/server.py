"""The web application, its API, feeds and pages behind one guard, and the server that runs it."""

from __future__ import annotations

import contextlib
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
from vadistill.serving.web.api_cameras import camera_routes, event_routes
from vadistill.serving.web.api_models import job_routes, model_routes, upload_routes
from vadistill.serving.web.api_session import session_routes
from vadistill.serving.web.auth import Access, require_secret
from vadistill.serving.web.errors import add_error_handlers, missing, reply, responses
from vadistill.serving.web.feeds import Feeds, feed_routes
from vadistill.serving.web.guard import Guard
from vadistill.serving.web.metrics import prometheus
from vadistill.serving.web.schemas import Health

if TYPE_CHECKING:
    from vadistill.serving.hub import Hub

STATIC = Path(__file__).parent.parent / "static"
"""The console's pages."""

TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".woff2": "font/woff2"}


def build_app(hub: Hub, *, host: str | None = None) -> FastAPI:
    """The console and its API over ``hub``, reached at ``host`` (default: as the settings say)."""
    server = hub.settings.server
    access = Access(server)
    feeds = Feeds(access)
    app = FastAPI(
        title="vadistill",
        summary="Live anomaly detection: cameras, events, models.",
        version=vadistill.__version__,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.feeds = feeds
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
        server_routes(hub),
        page_routes(),
    ):
        app.include_router(router)
    return app


def server_routes(hub: Hub) -> APIRouter:
    """The addresses /healthz and /metrics."""
    router = APIRouter(tags=["server"], responses=responses())

    @router.get("/healthz", response_model=Health)
    def healthz() -> Response:
        """Whether the server works, and how its parts fare; needs no secret."""
        return reply(hub.health())

    @router.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    def metrics() -> Response:
        """Figures for Prometheus."""
        return Response(prometheus(hub.metrics()), media_type="text/plain; version=0.0.4")

    return router


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

CONNECTIONS = 512
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
        # A proxy's word on who its clients are is not taken: any client could give it.
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            ws="none",
            limit_concurrency=CONNECTIONS,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
        self._server = _Server(config, app.state.feeds.close)
        self._socket = _listen(host, port)
        self.port = int(self._socket.getsockname()[1])
        shown = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        self.url = f"http://{f'[{shown}]' if ':' in shown else shown}:{self.port}/"

    def run(self) -> None:
        """Serve until ``stop``; in the main thread also until SIGINT or SIGTERM."""
        log.info("the console is at %s", self.url)
        self._server.run(sockets=[self._socket])

    def stop(self) -> None:
        """End ``run`` within seconds, from another thread."""
        self._server.should_exit = True


def serve(hub: Hub, host: str, port: int) -> None:
    """Run the console at an address until it is stopped; see ``WebServer``."""
    WebServer(hub, host, port).run()


class _Server(uvicorn.Server):
    """Ends the feeds before it waits for requests, and returns after a signal.

    uvicorn raises the signal again in the end, which would take the process down before cameras
    and events are closed.
    """

    def __init__(self, config: uvicorn.Config, close: Callable[[], None]) -> None:
        super().__init__(config)
        self._close = close

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


def _listen(host: str, port: int) -> socket.socket:
    try:
        if not 0 <= port <= 65_535:
            raise OverflowError("no such port")
        family, kind, _, _, address = socket.getaddrinfo(
            host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        found = socket.socket(family, kind)
        try:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            found.bind(address)
            found.listen(2048)
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
