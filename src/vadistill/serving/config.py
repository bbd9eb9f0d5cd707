"""Settings of live scoring: cameras, models, sinks, the server and its storage.

Each entry is described once, here: the settings file, the API's bodies and its document come of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import ConfigDict, Field, StrictBool

from vadistill.addresses import Address, Secret
from vadistill.errors import ConfigError, one_of
from vadistill.events import FRAMES, SECONDS
from vadistill.limits import POLYGONS
from vadistill.serving.entries import (
    Alarms,
    Corners,
    Count,
    EventHours,
    Finite,
    Hours,
    Keeping,
    Masks,
    Name,
    NotNegative,
    Port,
    PreRoll,
    Proxy,
    Rate,
    SecretText,
    Share,
    SinkKind,
    Source,
    Text,
    Transport,
    Url,
)
from vadistill.serving.validating import entry

NOWHERE, NOTHING = Address(), Secret()
KNOWN = ConfigDict(extra="forbid")
"""Only what is described is an entry."""


@dataclass(frozen=True)
class ServerSettings:
    """Where the console listens, and who may use it."""

    host: Text = "127.0.0.1"
    port: Port = 8765
    password: str = field(default="", repr=False)
    """As 'vadistill serve --set-password' writes it (scrypt); needed beyond loopback."""
    token: str = field(default="", repr=False)
    """SHA-256 of the API's bearer token, in hexadecimal; empty: none."""
    names: tuple[str, ...] = ()
    """Further host names under which browsers reach the console."""
    proxies: tuple[Proxy, ...] = ()
    """Addresses or networks of reverse proxies; whose visitors they name is believed."""
    upload_mb: Count = 2048
    """Largest video that may be uploaded, in megabytes."""

    __pydantic_config__ = KNOWN


@dataclass(frozen=True)
class StorageSettings:
    """Where events are kept, and for how long."""

    folder: Text = "vadistill-data"
    """Relative to the settings file's folder."""
    keep_days: Keeping = 30.0
    keep_gb: Keeping = 10.0
    """Of clips, pictures, recordings and uploads; the oldest recordings go first, then clips."""

    __pydantic_config__ = KNOWN


@dataclass(frozen=True)
class ModelSettings:
    """A fitted detector."""

    name: Name
    path: Text
    """A folder that 'vadistill fit' wrote, relative to the settings file's folder."""
    device: str = "auto"

    __pydantic_config__ = KNOWN


@dataclass(frozen=True)
class Zone:
    """A part of a camera's picture that has a name."""

    name: Name
    corners: Corners

    __pydantic_config__ = KNOWN


@dataclass(frozen=True)
class CameraSettings:
    """A stream that is watched."""

    name: Name
    source: Source
    """rtsp://…, http://… (MJPEG), webcam:0, /dev/video0, a video file or a folder of frames."""
    model: Name | Literal[""] = ""
    """Name of a model; none: the camera is shown, and recorded where ``record_hours`` say so."""
    rtsp_transport: Transport = "tcp"
    """How an RTSP camera sends pictures; over UDP some are lost, but there are cameras that send
    over nothing else."""
    fps: Rate | None = None
    """At most so many frames a second are scored; None: all."""
    skip_idle: StrictBool = False
    """Whether pictures in which nothing moves are left out."""
    loop: StrictBool = False
    """Whether a file starts again at its end."""
    fast: StrictBool = False
    """Whether a file is read as fast as it can be scored, not at its own speed."""
    false_alarms_per_day: Alarms = 1.0
    on: Finite | None = None
    """Raw score at which an event opens; None: learned from normal footage."""
    off: Finite | None = None
    """Raw score below which it closes; None: learned."""
    frames_to_open: Count = FRAMES
    """Frames in a row at or above ``on`` that open an event."""
    seconds_to_close: NotNegative = SECONDS
    """How long the score must stay below ``off``."""
    pre_roll: PreRoll = 5.0
    """Seconds of picture before an event that its clip begins with."""
    record_hours: Hours = 0.0
    """Hours of footage that are kept to fit models from; 0: none."""
    check_view: StrictBool = False
    """Whether a dark, covered, frozen or turned camera is told as that and opens no events, nor
    one whose level does not know the light that it sees by."""
    masks: Masks = ()
    """Polygons of the picture that are neither scored nor learned from."""
    zones: Annotated[tuple[Zone, ...], Field(max_length=POLYGONS)] = ()
    """Named polygons; an event tells in which one the foot of its object is."""
    only_zones: StrictBool = False
    """Whether only objects whose foot is in a zone count."""
    least_size: Share = 0.0
    """Smaller objects do not count: the longer side of a box, as a share of the picture's
    height."""
    event_hours: tuple[EventHours, ...] = ()
    """When events may open, such as "mon-fri 18:00-06:00"; empty: always."""

    __pydantic_config__ = KNOWN


@dataclass(frozen=True)
class SinkSettings:
    """Where events are sent."""

    name: Name
    kind: SinkKind
    """webhook, mqtt, apprise, stdout, or what an entry point of ``vadistill.sinks`` is called."""
    url: Url = NOWHERE
    """https://… of a webhook, mqtt://user:password@host:1883 of a broker, Apprise's addresses."""
    secret: SecretText = NOTHING
    """Key of a webhook's signature; empty: unsigned."""
    prefix: str = "vadistill"
    """First part of MQTT topics."""
    quiet_minutes: NotNegative = 0.0
    """After a message to people on an event, further events of the same camera are not told to
    them for so long; the next message says how many there were."""
    enabled: StrictBool = True
    """Whether anything is sent there."""

    __pydantic_config__ = KNOWN


@dataclass(frozen=True)
class FootageSettings:
    """A folder of normal video that the console may fit models from."""

    name: Name
    path: Text

    __pydantic_config__ = KNOWN


@dataclass(frozen=True)
class Settings:
    """Everything in the file; ``base`` is the folder that relative paths start from."""

    server: ServerSettings = field(default_factory=ServerSettings)
    storage: StorageSettings = field(default_factory=StorageSettings)
    models: tuple[ModelSettings, ...] = ()
    cameras: tuple[CameraSettings, ...] = ()
    sinks: tuple[SinkSettings, ...] = ()
    footage: tuple[FootageSettings, ...] = ()
    base: Path = field(default_factory=Path)

    def __post_init__(self) -> None:
        check(self)

    def located(self, path: str) -> Path:
        """A path of the settings, from ``base``."""
        return self.base / Path(path).expanduser()

    def source(self, camera: CameraSettings) -> Address:
        """Where a camera is: an address, or a file or folder from ``base``."""
        source = camera.source
        if source.scheme or source.is_webcam:
            return source
        path = self.located(source.reveal())
        return Address(str(path)) if source.is_path or path.exists() else source


TABLES = {"server": ServerSettings, "storage": StorageSettings}
LISTS = {
    "model": ("models", ModelSettings),
    "camera": ("cameras", CameraSettings),
    "sink": ("sinks", SinkSettings),
    "footage": ("footage", FootageSettings),
}
"""[[model]], [[camera]], [[sink]] and [[footage]] blocks of the file."""

T = TypeVar("T")
SCHEMES = {"webhook": ("http://", "https://"), "mqtt": ("mqtt://", "mqtts://")}


def check(settings: Settings) -> None:
    """Raise ConfigError for entries, names and references that cannot be."""
    for name, kind in TABLES.items():
        entry(kind, vars(getattr(settings, name)), f"[{name}]")
    for word, (attribute, kind) in LISTS.items():
        group = getattr(settings, attribute)
        names = [item.name for item in group]
        for item in group:
            entry(kind, vars(item), f"{word} '{item.name}'")
            if names.count(item.name) > 1:
                raise ConfigError(
                    f"two {word}s named '{item.name}'",
                    expected="a name of its own",
                    fix="rename one",
                )
    models = [model.name for model in settings.models]
    for camera in settings.cameras:
        if camera.model and camera.model not in models:
            raise ConfigError(
                f"camera '{camera.name}' names model '{camera.model}'",
                expected=f"one of {', '.join(models) or '(none yet)'}",
                fix="correct it, or add a [[model]]",
            )
        zones = [zone.name for zone in camera.zones]
        if len(set(zones)) < len(zones):
            raise ConfigError(
                f"camera '{camera.name}' has two zones of one name",
                expected="a name of its own",
                fix="rename one",
            )
        if camera.on is not None and camera.off is not None and camera.off > camera.on:
            raise ConfigError(
                f"camera '{camera.name}' closes events at {camera.off:g}, above {camera.on:g}",
                expected="off at most on",
                fix="swap them",
            )
    for sink in settings.sinks:
        if not sink.url.reveal().startswith(SCHEMES.get(sink.kind, "")):
            raise ConfigError(
                f"the address of sink '{sink.name}'",
                expected=f"one that begins with {' or '.join(SCHEMES[sink.kind])}",
                fix="correct its url",
            )


def changed(item: T, **changes: Any) -> T:
    """A copy of a block with some entries changed; raises ConfigError."""
    for name in changes:
        one_of("entry", name, vars(item))
    return entry(type(item), {**vars(item), **changes}, f"'{getattr(item, 'name', '')}'")
