"""Answers of the API on the server itself: its sinks, its health, its settings."""

from __future__ import annotations

from pydantic import BaseModel

from vadistill.serving.config import ServerSettings, SinkSettings, StorageSettings
from vadistill.serving.entries import SecretText, Url
from vadistill.serving.storage import records
from vadistill.serving.web.schemas import Body, described

SINK = ("kind", "url", "secret", "prefix", "quiet_minutes", "enabled")


class NewSink(described(SinkSettings, "name", *SINK, base=Body, defaults=True)):
    """Where events are to be sent, too."""

    url: Url = ""  # pyright: ignore[reportAssignmentType]
    secret: SecretText = ""  # pyright: ignore[reportAssignmentType]


class SinkChange(described(SinkSettings, *SINK[1:], base=Body, defaults=True)):
    """Entries of a sink that change; those left out stay, such as what is secret."""

    url: Url = ""  # pyright: ignore[reportAssignmentType]
    secret: SecretText = ""  # pyright: ignore[reportAssignmentType]


class Sink(described(SinkSettings, "prefix", "quiet_minutes", "enabled")):
    """Where events are sent, and how that goes; ``signed``: it has a secret."""

    name: str
    kind: str
    describe: str
    state: str
    pending: int
    delivered: int
    failures: int
    last_error: str | None
    signed: bool


class Sinks(BaseModel):
    """All sinks."""

    sinks: list[Sink]


class Part(BaseModel):
    """Whether a part of the server works, and what does not, in words."""

    ok: bool
    detail: str


class Health(BaseModel):
    """Whether all parts of the server work, and how each fares."""

    ok: bool
    cameras: Part
    levels: Part
    models: Part
    sinks: Part
    disk: Part
    clockwork: Part


class ServerLimits(described(ServerSettings, "names", "proxies", "upload_mb")):
    """Entries of [server] that are no secrets."""


class StorageLimits(described(StorageSettings, "keep_days", "keep_gb")):
    """Entries of [storage] but its folder."""


class Entries(BaseModel):
    """Entries of the settings file."""

    server: ServerLimits
    storage: StorageLimits


class ServerState(BaseModel):
    """Which secrets are set, and what the server goes by; ``defaults`` where nothing is said."""

    password: bool
    token: bool
    settings: Entries
    defaults: Entries


class FalseAlarm(described(records.FalseAlarm, "event", "camera", "start", "held", "last")):
    """A false alarm that is remembered: what is like it at one of its boxes does not count.

    Nothing that scores above ``highest`` is.  ``boxes`` are shares of the picture; ``held`` says
    how often it held something back, ``last`` when it did last.
    """

    highest: float | None
    boxes: list[list[float]]
    reasons: list[str]


class Remembered(BaseModel):
    """A camera's false alarms that hold back what is like them, newest first."""

    remembered: list[FalseAlarm]
