"""The server itself: how it fares, what it goes by, and where events are sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Path
from fastapi.responses import Response

from vadistill.serving.config import ServerSettings, StorageSettings
from vadistill.serving.web.auth import Access
from vadistill.serving.web.errors import missing, reply, responses
from vadistill.serving.web.metrics import prometheus
from vadistill.serving.web.schemas_server import (
    Health,
    ServerLimits,
    ServerState,
    Sinks,
    StorageLimits,
)

if TYPE_CHECKING:
    from vadistill.serving.hub import Hub


SinkName = Annotated[str, Path(pattern="^[a-z0-9][a-z0-9-]{0,39}$", examples=["bell"])]


def server_routes(hub: Hub, access: Access) -> APIRouter:
    """The addresses /healthz, /metrics, /api/settings and /api/sinks."""
    router = APIRouter(tags=["server"], responses=responses())

    @router.get("/healthz", response_model=Health)
    def healthz() -> Response:
        """Whether all parts work, and how each fares; the status is 200 in any case, no secret
        is needed, and no name is told."""
        return reply(hub.health())

    @router.get(
        "/metrics",
        response_class=Response,
        responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
    )
    def metrics() -> Response:
        """Figures for Prometheus."""
        return Response(prometheus(hub.metrics()), media_type="text/plain; version=0.0.4")

    @router.get("/api/settings", response_model=ServerState)
    def settings() -> Response:
        """What the server goes by, beside its cameras; the settings file alone changes it."""
        return reply(
            {
                "password": bool(access.server.password),
                "token": bool(access.server.token),
                "settings": _entries(hub.settings.server, hub.settings.storage),
                "defaults": _entries(ServerSettings(), StorageSettings()),
            }
        )

    @router.get("/api/sinks", response_model=Sinks, tags=["sinks"])
    def sinks() -> Response:
        """Where events are sent, and how that goes."""
        return reply({"sinks": hub.sinks()})

    @router.post(
        "/api/sinks/{name}/test", response_model=Sinks, tags=["sinks"], responses=responses(404)
    )
    def test_sink(name: SinkName) -> Response:
        """Queue a message that is a test; whether it arrived is told by /api/sinks."""
        if not hub.test_sink(name):
            raise missing("sink")
        return reply({"sinks": hub.sinks()})

    return router


def _entries(server: ServerSettings, storage: StorageSettings) -> dict[str, dict[str, Any]]:
    """What ``Entries`` describes."""
    return {
        "server": {name: getattr(server, name) for name in ServerLimits.model_fields},
        "storage": {name: getattr(storage, name) for name in StorageLimits.model_fields},
    }
