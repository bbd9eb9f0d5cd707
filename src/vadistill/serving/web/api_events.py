"""Events: list, judge, look at."""

from __future__ import annotations

from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from fastapi.responses import FileResponse, Response

from vadistill.serving.web.errors import missing, reply, responses
from vadistill.serving.web.schemas import Event, EventChange, Events, Name

if TYPE_CHECKING:
    from vadistill.serving.hub import Hub

HIGHEST_ID = 2**63 - 1
EventId = Annotated[int, Path(ge=1, le=HIGHEST_ID, examples=[1])]
Seconds = Annotated[float, Query(ge=0, le=1e11, allow_inf_nan=False)]


def event_routes(hub: Hub) -> APIRouter:
    """The addresses under /api/events."""
    router = APIRouter(prefix="/api/events", tags=["events"], responses=responses(404))

    def known(number: int) -> Any:
        found = hub.store.event(number)
        if found is None:
            raise missing("event")
        return found

    def media(name: str | None, kind: str) -> Response:
        # The store wrote the name; that it has no folder in it is checked all the same.
        path = hub.store.media / name if name and FilePath(name).name == name else None
        if path is None or not path.is_file():
            raise missing("clip" if kind.startswith("video") else "picture")
        return FileResponse(path, media_type=kind)

    @router.get("", response_model=Events)
    def all_events(
        camera: Annotated[Name | None, Query()] = None,
        since: Annotated[Seconds | None, Query()] = None,
        until: Annotated[Seconds | None, Query()] = None,
        verdict: Annotated[Literal["real", "false", "none"] | None, Query()] = None,
        before: Annotated[int | None, Query(ge=1, le=HIGHEST_ID)] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 50,
    ) -> Response:
        """Events, newest first; ``before`` an event's id continues the list after it."""
        chosen: dict[str, Any] = dict(camera=camera, since=since, until=until, verdict=verdict)
        events = hub.store.events(**chosen, before=before, limit=limit)
        total = hub.store.count_events(**chosen)
        return reply({"events": [event.as_json() for event in events], "total": total})

    @router.get("/{id}", response_model=Event)
    def one(id: EventId) -> Response:
        """An event."""
        return reply(known(id).as_json())

    @router.patch("/{id}", response_model=Event)
    def judge(id: EventId, body: EventChange) -> Response:
        """Say whether an event was real or a false alarm."""
        event = hub.set_verdict(id, body.verdict)
        if event is None:
            raise missing("event")
        return reply(event.as_json())

    @router.get("/{id}/thumbnail.jpg", responses=_media("image/jpeg"), response_class=FileResponse)
    def thumbnail(id: EventId) -> Response:
        """The picture at the event's peak."""
        return media(known(id).thumbnail, "image/jpeg")

    @router.get("/{id}/clip.mp4", responses=_media("video/mp4"), response_class=FileResponse)
    def clip(id: EventId) -> Response:
        """The event's clip; parts of it for a Range header."""
        return media(known(id).clip, "video/mp4")

    return router


def _media(kind: str) -> dict[int | str, dict[str, Any]]:
    whole: dict[str, Any] = {"content": {kind: {"schema": {"type": "string", "format": "binary"}}}}
    part = whole | {"description": "Part of the file"}
    return {**responses(404, 416), 200: whole, 206: part}
