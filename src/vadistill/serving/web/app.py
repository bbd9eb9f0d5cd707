"""The web application: the API, the feeds and the console's pages behind one guard."""

from __future__ import annotations

import hashlib
import mimetypes
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import Response

import vadistill
from vadistill.serving.web.api_cameras import camera_routes
from vadistill.serving.web.api_events import event_routes
from vadistill.serving.web.api_models import job_routes, model_routes
from vadistill.serving.web.api_session import session_routes
from vadistill.serving.web.auth import Access
from vadistill.serving.web.errors import add_error_handlers, missing, reply, responses
from vadistill.serving.web.feeds import Feeds, feed_routes
from vadistill.serving.web.guard import Guard
from vadistill.serving.web.metrics import prometheus
from vadistill.serving.web.schemas import Health
from vadistill.serving.web.uploads import upload_routes

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
        """Whether the server answers; needs no secret."""
        return reply({"ok": True})

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
