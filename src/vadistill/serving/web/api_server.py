"""The server itself: how it fares, what it goes by, and where events are sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from fastapi import APIRouter, Path
from fastapi.responses import Response

from vadistill.serving.config import ServerSettings, SinkSettings, StorageSettings
from vadistill.serving.web.auth import Access
from vadistill.serving.web.errors import ApiError, missing, reply, responses
from vadistill.serving.web.metrics import prometheus
from vadistill.serving.web.schemas_server import (
    Health,
    NewSink,
    ServerLimits,
    ServerState,
    SinkChange,
    Sinks,
    StorageLimits,
)

if TYPE_CHECKING:
    from vadistill.serving.hub import Hub


SinkName = Annotated[str, Path(pattern="^[a-z0-9][a-z0-9-]{0,39}$", examples=["bell"])]


def server_routes(hub: Hub, access: Access) -> APIRouter:
    """The addresses /healthz, /metrics and /api/settings."""
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

    return router


def sink_routes(hub: Hub) -> APIRouter:
    """The addresses under /api/sinks; each answers with all sinks as they are then."""
    router = APIRouter(prefix="/api/sinks", tags=["sinks"], responses=responses(404, 409))

    def known(name: str) -> None:
        if name not in [sink.name for sink in hub.settings.sinks]:
            raise missing("sink")

    @router.get("", response_model=Sinks)
    def sinks() -> Response:
        """Where events are sent, and how that goes."""
        return reply({"sinks": hub.sinks()})

    @router.post("", response_model=Sinks, status_code=201, responses=responses(404, 409))
    def add(body: NewSink) -> Response:
        """Send events somewhere else, too; it is written to the settings file."""
        if body.name in [sink.name for sink in hub.settings.sinks]:
            raise ApiError(409, "exists", f"there is a sink '{body.name}'", "choose another name")
        given = {name: getattr(body, name) for name in body.model_fields_set}
        hub.add_sink(SinkSettings(**given))
        return reply({"sinks": hub.sinks()}, 201)

    @router.patch("/{name}", response_model=Sinks)
    def change(name: SinkName, body: SinkChange) -> Response:
        """Change entries of a sink, or turn it off and on."""
        known(name)
        changes = {name: getattr(body, name) for name in body.model_fields_set}
        if changes:
            hub.change_sink(name, **changes)
        return reply({"sinks": hub.sinks()})

    @router.delete("/{name}", response_model=Sinks)
    def remove(name: SinkName) -> Response:
        """Send nothing there any more; what waits for it is dropped."""
        known(name)
        hub.remove_sink(name)
        return reply({"sinks": hub.sinks()})

    @router.post("/{name}/test", response_model=Sinks)
    def test_sink(name: SinkName) -> Response:
        """Queue a message that is a test; whether it arrived is told by /api/sinks."""
        known(name)
        if not hub.test_sink(name):
            raise ApiError(409, "off", f"the sink '{name}' is off", "turn it on first")
        return reply({"sinks": hub.sinks()})

    return router


def _entries(server: ServerSettings, storage: StorageSettings) -> dict[str, dict[str, Any]]:
    """What ``Entries`` describes."""
    return {
        "server": {name: getattr(server, name) for name in ServerLimits.model_fields},
        "storage": {name: getattr(storage, name) for name in StorageLimits.model_fields},
    }
