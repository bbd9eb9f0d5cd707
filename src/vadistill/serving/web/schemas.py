"""Bodies of requests and answers of the API, as its OpenAPI document describes them.

What is described elsewhere is taken from there: settings from ``config``, events, jobs, levels
and what a reader does from their dataclasses.
"""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Annotated, Any, Literal, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model

from vadistill import levels
from vadistill.serving.config import CameraSettings
from vadistill.serving.entries import Alarms, Name, Source
from vadistill.serving.live.status import ReaderStatus, State
from vadistill.serving.storage import records
from vadistill.serving.storage.records import Verdict

SINCE = Annotated[float, Field(gt=0, le=24 * 366, allow_inf_nan=False)]
"""Hours up to now."""


class Body(BaseModel):
    """A body of a request: nothing but what is described."""

    model_config = ConfigDict(extra="forbid")


def described(
    kind: type, *names: str, base: type[BaseModel] = BaseModel, defaults: bool = False
) -> type[Any]:
    """A model of some fields of a dataclass, all by default, with their types and bounds.

    With ``defaults`` they may be left out where they have one there; else all are required.
    """
    hints = get_type_hints(kind, include_extras=True)
    kept = {f.name: f for f in fields(kind) if not names or f.name in names}
    given: dict[str, Any] = {
        name: (hints[name], f.default if defaults and f.default is not MISSING else ...)
        for name, f in kept.items()
    }
    return create_model(kind.__name__, __base__=base, **given)


PLACE = ("source", "rtsp_transport")
NOT_EDITABLE = ("name", "loop", "fast", "on", "off")
EDITABLE = tuple(f.name for f in fields(CameraSettings) if f.name not in NOT_EDITABLE)
"""A camera's settings that the console changes; it shows all."""
EVENT = ("id", "camera", "start", "end", "frames", "verdict", "interrupted", "cause")
EVENT += ("box", "zone", "reason", "begins", "ends")


class SignIn(Body):
    """A password, or the token where there is no password."""

    password: Annotated[str, Field(min_length=1, max_length=1024)]


class NewCamera(described(CameraSettings, "name", *EDITABLE, base=Body, defaults=True)):
    """A camera to be watched."""


class CameraChange(described(CameraSettings, *EDITABLE, base=Body, defaults=True)):
    """Entries of a camera that change; those left out stay."""

    source: Source = ""  # pyright: ignore[reportAssignmentType]
    model: Name | Literal[""] = ""


class SourceTest(described(CameraSettings, *PLACE, base=Body, defaults=True)):
    """An address to be tried."""


class Calibration(Body):
    """Footage of the last ``hours`` that counts as normal, and the alarms it should raise."""

    hours: SINCE = 24.0
    false_alarms_per_day: Alarms | None = None


class Mute(Body):
    """For how long nobody is told of a camera's events; 0: no longer."""

    minutes: Annotated[float, Field(ge=0, le=60 * 24 * 366, allow_inf_nan=False)]


class EventChange(Body):
    """What somebody who looked at an event says of it; null takes that back."""

    verdict: Verdict | None


class SessionState(BaseModel):
    """Whether a password is required and given; ``csrf`` goes into the header X-CSRF-Token."""

    required: bool
    signed_in: bool
    csrf: str | None
    version: str


class SourceTested(BaseModel):
    """What an address shows: size in pixels, frames a second, a picture as data: address."""

    width: int
    height: int
    fps: float
    picture: str


class Level(described(levels.Level)):
    """Raw scores at which events open and close, and what they were learned from."""

    note: str


class Latency(BaseModel):
    """Milliseconds from decoding to score."""

    median: float
    p95: float


class CameraStatus(described(ReaderStatus)):
    """How a camera fares; counts are since the server started, times in unix seconds."""

    state: State | Literal["failed", "dark", "covered", "frozen", "moved"]
    drop_share: float
    scored: int
    scored_fps: float
    latency_ms: Latency | None


class Camera(described(CameraSettings)):
    """A camera, its state, its levels, its latest score and its open event's id.

    ``unlike`` tells how its pictures differ from those that its model learned from, ``drift``
    whether its scores do from those that its level was made from, in a sentence, ``light``
    by which it sees (with colours, or without, as by infrared light), ``has_map``
    whether its scores come with an anomaly map, ``muted_until`` (Unix seconds) when its events are
    told again.
    """

    status: CameraStatus
    unlike: str | None
    drift: str | None
    light: Literal["day", "night"] | None
    level: Level | None
    score: float | None
    has_map: bool
    event: int | None
    muted_until: float | None


class Cameras(BaseModel):
    """All cameras."""

    cameras: list[Camera]


class CameraScores(BaseModel):
    """Scores of the last seconds, oldest first."""

    times: list[float]
    scores: list[float | None]
    level: Level | None


class Event(described(records.Event, *EVENT)):
    """Something out of the ordinary; ``end`` is null while it goes on."""

    duration: float | None
    peak: float | None
    level: float | None
    state: Literal["open", "closed"]
    clip: bool
    thumbnail: bool


class Events(BaseModel):
    """Events, newest first; ``total`` counts those that all pages have."""

    events: list[Event]
    total: int
