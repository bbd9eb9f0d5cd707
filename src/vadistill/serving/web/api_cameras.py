"""Cameras: list, add, change, try, calibrate, look at; their events: list, judge, look at."""

from __future__ import annotations

import re
import threading
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from fastapi.responses import FileResponse, Response

from vadistill import limits
from vadistill.addresses import Address
from vadistill.errors import ConfigError
from vadistill.serving.config import CameraSettings
from vadistill.serving.web.errors import ApiError, missing, reply, responses
from vadistill.serving.web.schemas import (
    Calibration,
    Camera,
    CameraChange,
    Cameras,
    CameraScores,
    Event,
    EventChange,
    Events,
    Level,
    Mute,
    Name,
    NewCamera,
    SourceTest,
    SourceTested,
)
from vadistill.serving.web.schemas_models import Learning
from vadistill.serving.web.schemas_server import Remembered

if TYPE_CHECKING:
    from vadistill.serving.hub import Hub

CameraName = Annotated[str, Path(pattern="^[a-z0-9][a-z0-9-]{0,39}$", examples=["door"])]

CONSOLE_ADDRESS = re.compile(
    r"(rtsps?|https?)://[^\s/?#]+([/?#]\S*)?|webcam:\d{1,3}|/dev/video\d{1,3}", re.IGNORECASE
)
"""Sources that the console may add.  Files and folders come from the settings file alone: no path
from a request reaches the file system."""

JPEG: dict[int | str, dict[str, Any]] = {
    200: {"content": {"image/jpeg": {"schema": {"type": "string", "format": "binary"}}}}
}

HIGHEST_ID = 2**63 - 1
EventId = Annotated[int, Path(ge=1, le=HIGHEST_ID, examples=[1])]
Seconds = Annotated[float, Query(ge=0, le=1e11, allow_inf_nan=False)]


def camera_routes(hub: Hub) -> APIRouter:
    """The addresses under /api/cameras, except live pictures."""
    router = APIRouter(prefix="/api/cameras", tags=["cameras"], responses=responses(404, 409))
    testing = threading.BoundedSemaphore(limits.SOURCES_TRIED_AT_ONCE)

    def known(name: str) -> dict[str, Any]:
        found = hub.camera(name)
        if found is None:
            raise missing("camera")
        return found

    @router.get("", response_model=Cameras)
    def all_cameras() -> Response:
        """All cameras with their state."""
        return reply({"cameras": hub.cameras()})

    @router.post("", response_model=Camera, status_code=201, responses=responses(404, 409))
    def add(body: NewCamera) -> Response:
        """Watch another camera; it is written to the settings file."""
        if hub.camera(body.name) is not None:
            raise ApiError(409, "exists", f"there is a camera '{body.name}'", "choose another name")
        _check_source(body.source)
        hub.add_camera(CameraSettings(**vars(body)))
        return reply(known(body.name), 201)

    @router.post("/test", response_model=SourceTested)
    def test(body: SourceTest) -> Response:
        """Try an address: its size, rate and a picture."""
        _check_source(body.source)
        if not testing.acquire(blocking=False):
            raise ApiError(429, "busy", "other addresses are being tried", "try again in a moment")
        try:
            return reply(hub.test_source(body.source, body.rtsp_transport))
        finally:
            testing.release()

    @router.get("/{name}", response_model=Camera)
    def one(name: CameraName) -> Response:
        """A camera with its state."""
        return reply(known(name))

    @router.patch("/{name}", response_model=Camera)
    def change(name: CameraName, body: CameraChange) -> Response:
        """Change entries of a camera; it starts anew."""
        known(name)
        changes = {name: getattr(body, name) for name in body.model_fields_set}
        if "source" in changes:
            _check_source(body.source)
        if changes:
            hub.change_camera(name, **changes)
        return reply(known(name))

    @router.delete("/{name}", status_code=204)
    def remove(name: CameraName) -> Response:
        """Stop watching a camera; its events stay."""
        known(name)
        hub.remove_camera(name)
        return Response(status_code=204)

    @router.post("/{name}/calibrate", response_model=Level)
    def calibrate(name: CameraName, body: Calibration) -> Response:
        """Learn the camera's levels from its latest scores, without those of real events."""
        known(name)
        return reply(hub.calibrate(name, body.hours, body.false_alarms_per_day))

    @router.post("/{name}/mute", response_model=Camera)
    def mute(name: CameraName, body: Mute) -> Response:
        """Tell nobody of the camera's events for some minutes; they are kept all the same."""
        known(name)
        hub.mute(name, body.minutes)
        return reply(known(name))

    @router.post("/{name}/view", response_model=Camera)
    def view(name: CameraName) -> Response:
        """Say that what a camera sees now is its scene: it was moved on purpose."""
        known(name)
        hub.accept_view(name)
        return reply(known(name))

    @router.get("/{name}/learning", response_model=Learning)
    def learning(name: CameraName) -> Response:
        """What the camera has shown so far to learn from, and the last fit for it."""
        known(name)
        return reply(hub.learning(name))

    @router.get("/{name}/remembered", response_model=Remembered)
    def remembered(name: CameraName) -> Response:
        """False alarms by which events that are like them are held back, newest first."""
        known(name)
        return reply({"remembered": [alarm.as_json() for alarm in hub.remembered(name)]})

    @router.delete("/{name}/remembered/{event}", response_model=Remembered)
    def forget(name: CameraName, event: EventId) -> Response:
        """Hold nothing back for a false alarm any more; its mark stays."""
        known(name)
        if event not in [alarm.event for alarm in hub.remembered(name)]:
            raise missing("remembered false alarm")
        hub.forget(event)
        return remembered(name)

    @router.get("/{name}/scores", response_model=CameraScores)
    def scores(
        name: CameraName,
        seconds: Annotated[float, Query(gt=0, le=3600, allow_inf_nan=False)] = 120.0,
    ) -> Response:
        """Scores of the last seconds."""
        known(name)
        return reply(hub.recent_scores(name, seconds))

    @router.get("/{name}/picture.jpg", responses=JPEG, response_class=Response)
    def picture(name: CameraName, map: bool = False, boxes: bool = True) -> Response:
        """The latest scored picture, with its boxes, and its anomaly map with ``map``."""
        known(name)
        found = hub.picture(name, map=map, boxes=boxes)
        if found is None:
            raise missing("picture")
        return Response(found, media_type="image/jpeg")

    return router


def _check_source(source: Address) -> None:
    text = source.reveal()
    if not (CONSOLE_ADDRESS.fullmatch(text) and text.isprintable()):
        raise ConfigError(
            "the camera's source",
            expected="rtsp://…, http://… or webcam:0",
            fix="correct it; files and folders are named in vadistill.toml alone",
        )


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
        filters: dict[str, Any] = dict(camera=camera, since=since, until=until, verdict=verdict)
        events = hub.store.events(**filters, before=before, limit=limit)
        total = hub.store.count_events(**filters)
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
