"""Answers of the API, as its OpenAPI document describes them."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from vadistill.serving.web.bodies import Verdict


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


class Level(BaseModel):
    """Raw scores at which events open and close, and what they were learned from."""

    on: float
    off: float
    source: Literal["training", "camera", "fixed"]
    footage_hours: float
    false_alarms_per_day: float
    extrapolated: bool
    note: str


class Latency(BaseModel):
    """Milliseconds from decoding to score."""

    median: float
    p95: float


class CameraStatus(BaseModel):
    """How a camera fares; counts are since the server started, times in unix seconds."""

    state: Literal["connecting", "running", "retrying", "ended", "stopped", "failed"]
    detail: str
    since: float
    frames: int
    dropped: int
    drop_share: float
    capped: int
    idle: int
    corrupt: int
    reconnects: int
    scored: int
    input_fps: float
    scored_fps: float
    width: int
    height: int
    latency_ms: Latency | None
    next_try: float | None


class Camera(BaseModel):
    """A camera, its state, its levels, its latest score and its open event's id."""

    name: str
    source: str
    model: str
    fps: float | None
    skip_idle: bool
    false_alarms_per_day: float
    record_hours: float
    status: CameraStatus
    level: Level | None
    score: float | None
    event: int | None


class Cameras(BaseModel):
    """All cameras."""

    cameras: list[Camera]


class CameraScores(BaseModel):
    """Scores of the last seconds, oldest first."""

    times: list[float]
    scores: list[float | None]
    level: Level | None


class Event(BaseModel):
    """Something out of the ordinary; ``end`` is null while it goes on."""

    id: int
    camera: str
    start: float
    end: float | None
    duration: float | None
    peak: float | None
    level: float | None
    frames: int
    state: Literal["open", "closed"]
    verdict: Verdict | None
    interrupted: bool
    clip: bool
    thumbnail: bool


class Events(BaseModel):
    """Events, newest first; ``total`` counts those that all pages have."""

    events: list[Event]
    total: int


class Model(BaseModel):
    """A fitted model and the cameras that use it; ``error`` when its files cannot be used."""

    name: str
    system: str
    supervision: str
    latency_frames: int | None
    cameras: list[str]
    built_in: bool
    error: str | None


class System(BaseModel):
    """A kind of model that can be fitted."""

    name: str
    line: str
    supervision: str


class Models(BaseModel):
    """Models, and the systems that new ones may be of."""

    models: list[Model]
    systems: list[System]


class Folder(BaseModel):
    """A folder of the settings, and how many videos it has."""

    name: str
    videos: int


class Recording(BaseModel):
    """What a camera's recorder has kept."""

    name: str
    hours: float
    segments: int


class Footage(BaseModel):
    """What models can be fitted from."""

    folders: list[Folder]
    cameras: list[Recording]


class Job(BaseModel):
    """Fitting a model or scoring an upload; ``progress`` from 0 to 1, null while unknown."""

    id: str
    kind: Literal["fit", "score"]
    title: str
    state: Literal["queued", "running", "done", "failed", "cancelled"]
    progress: float | None
    step: str
    error: str | None
    created: float
    started: float | None
    ended: float | None
    result: dict | None


class Jobs(BaseModel):
    """All jobs."""

    jobs: list[Job]


class JobEnded(BaseModel):
    """What became of a job: a running one is cancelled, any other is removed."""

    id: str
    action: Literal["cancelled", "removed"]


class JobScores(BaseModel):
    """Scores of an upload from a number on; ``next`` is the number to ask for then."""

    times: list[float]
    scores: list[float | None]
    next: int


class Sink(BaseModel):
    """Where events are sent, and how that goes."""

    name: str
    kind: str
    describe: str
    state: str
    pending: int
    delivered: int
    failures: int
    last_error: str | None


class Sinks(BaseModel):
    """All sinks."""

    sinks: list[Sink]


class Health(BaseModel):
    """The server answers."""

    ok: bool
