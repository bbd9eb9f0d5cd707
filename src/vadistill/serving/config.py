"""Settings of live scoring in one TOML file: cameras, models, sinks, the server and its storage.

The console writes the same file, and keeps comments and order of what it does not change.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_type_hints

from vadistill.errors import ConfigError
from vadistill.files import replacing

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
"""What cameras, models, sinks and footage folders may be called; also their id in addresses."""

SinkKind = Literal["webhook", "mqtt", "stdout"]


@dataclass(frozen=True)
class ServerSettings:
    """Where the console listens, and who may use it."""

    host: str = "127.0.0.1"
    port: int = 8765
    password: str = ""
    """As 'vadistill serve --set-password' writes it (scrypt); needed beyond loopback."""
    token: str = ""
    """SHA-256 of the API's bearer token, in hexadecimal; empty: none."""
    names: tuple[str, ...] = ()
    """Further host names under which browsers reach the console."""
    upload_mb: int = 2048
    """Largest video that may be uploaded, in megabytes."""


@dataclass(frozen=True)
class StorageSettings:
    """Where events are kept, and for how long."""

    folder: str = "vadistill-data"
    """Relative to the settings file's folder."""
    keep_days: float = 30.0
    keep_gb: float = 10.0
    """Clips and pictures of the oldest events go first."""


@dataclass(frozen=True)
class ModelSettings:
    """A fitted detector."""

    name: str
    path: str
    """A folder that 'vadistill fit' wrote, relative to the settings file's folder."""
    device: str = "auto"


@dataclass(frozen=True)
class CameraSettings:
    """A stream that is watched."""

    name: str
    source: str
    """rtsp://…, http://… (MJPEG), webcam:0, /dev/video0, a video file or a folder of frames."""
    model: str
    """Name of a model."""
    fps: float | None = None
    """At most so many frames a second are scored; None: all."""
    skip_idle: bool = False
    """Whether pictures in which nothing moves are left out."""
    loop: bool = False
    """Whether a file starts again at its end."""
    fast: bool = False
    """Whether a file is read as fast as it can be scored, not at its own speed."""
    false_alarms_per_day: float = 1.0
    on: float | None = None
    """Raw score at which an event opens; None: learned from normal footage."""
    off: float | None = None
    """Raw score below which it closes; None: learned."""
    frames_to_open: int = 3
    """Frames in a row at or above ``on`` that open an event."""
    seconds_to_close: float = 2.0
    """How long the score must stay below ``off``."""
    pre_roll: float = 5.0
    """Seconds of picture before an event that its clip begins with."""
    record_hours: float = 0.0
    """Hours of footage that are kept to fit models from; 0: none."""


@dataclass(frozen=True)
class SinkSettings:
    """Where events are sent."""

    name: str
    kind: SinkKind
    url: str = ""
    """https://… of a webhook, mqtt://user:password@host:1883 of a broker."""
    secret: str = ""
    """Key of a webhook's signature; empty: unsigned."""
    prefix: str = "vadistill"
    """First part of MQTT topics."""


@dataclass(frozen=True)
class FootageSettings:
    """A folder of normal video that the console may fit models from."""

    name: str
    path: str


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


TABLES = {"server": ServerSettings, "storage": StorageSettings}
LISTS = {
    "model": ("models", ModelSettings),
    "camera": ("cameras", CameraSettings),
    "sink": ("sinks", SinkSettings),
    "footage": ("footage", FootageSettings),
}
"""[[model]], [[camera]], [[sink]] and [[footage]] blocks of the file."""

T = TypeVar("T")
WORDS = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list of texts",
}
"""What entries may be, in TOML's terms."""

SECRET = ("password", "token", "secret", "url", "source")
"""Entries whose values are in no error."""
POSITIVE = ("fps", "false_alarms_per_day", "frames_to_open", "keep_days", "keep_gb", "upload_mb")
NOT_NEGATIVE = ("pre_roll", "record_hours", "seconds_to_close")


def read_settings(path: Path) -> Settings:
    """Settings of a TOML file; raises ConfigError that names the file and the entry."""
    try:
        document = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            f"cannot read {path} ({getattr(error, 'strerror', None) or error})",
            expected="a TOML file of cameras, models and sinks",
            fix="start from the example in docs/live.md",
        ) from error
    unknown = sorted(set(document) - set(TABLES) - set(LISTS))
    if unknown:
        raise ConfigError(
            f"[{unknown[0]}] in {path}",
            expected=f"one of {', '.join([*TABLES, *LISTS])}",
            fix="correct it",
        )
    parts: dict[str, Any] = {
        name: entry(kind, document.get(name, {}), f"[{name}] in {path}")
        for name, kind in TABLES.items()
    }
    for name, (attribute, kind) in LISTS.items():
        given = document.get(name, [])
        blocks = given if isinstance(given, list) else [given]
        parts[attribute] = tuple(
            entry(kind, block, f"[[{name}]] {number} in {path}")
            for number, block in enumerate(blocks, 1)
        )
    return Settings(**parts, base=path.resolve().parent)


def entry(kind: type[T], given: Any, where: str) -> T:
    """One dataclass of this module from plain values; raises ConfigError naming ``where``."""
    if not isinstance(given, Mapping):
        raise ConfigError(f"{where} is {given!r}", expected="a table", fix="correct it")
    hints = get_type_hints(kind)
    known = {f.name: f for f in fields(kind)}  # pyright: ignore[reportArgumentType]
    missing = [n for n, f in known.items() if f.default is MISSING and n not in given]
    unknown = sorted(set(given) - set(known))
    if missing or unknown:
        raise ConfigError(
            f"{where} " + (f"lacks '{missing[0]}'" if missing else f"has '{unknown[0]}'"),
            expected=f"the entries {', '.join(known)}",
            fix="correct it",
        )
    values = {
        name: _typed(value, hints[name], f"{name} of {where}") for name, value in given.items()
    }
    return kind(**values)


def _typed(value: Any, hint: Any, where: str) -> Any:
    wanted = set(get_args(hint)) or {hint}
    if hint == tuple[str, ...]:
        if isinstance(value, list | tuple) and all(isinstance(v, str) for v in value):
            return tuple(value)
        wanted = {list}
    elif hint is SinkKind:
        if value in get_args(SinkKind):
            return value
    elif value is None and type(None) in wanted:
        return None
    elif isinstance(value, bool) or bool in wanted:
        if isinstance(value, bool) and bool in wanted:
            return value
    elif float in wanted and isinstance(value, int | float):
        return float(value)
    elif type(value) in wanted:
        return value
    names = [WORDS[w] for w in wanted if w in WORDS] or list(get_args(hint))
    shown = type(value).__name__ if where.startswith(SECRET) else repr(value)
    raise ConfigError(f"{where} is {shown}", expected=" or ".join(sorted(names)), fix="correct it")


def check(settings: Settings) -> None:
    """Raise ConfigError for names, numbers and references that cannot be."""
    lists = (settings.models, settings.cameras, settings.sinks, settings.footage)
    for (word, _), group in zip(LISTS.items(), lists, strict=True):
        names = [item.name for item in group]
        for name in names:
            if not NAME.fullmatch(name):
                raise ConfigError(
                    f"{word} name '{name}'",
                    expected="up to 40 of a-z, 0-9 and '-', a letter or digit first",
                    fix="rename it",
                )
            if names.count(name) > 1:
                raise ConfigError(
                    f"two {word}s named '{name}'", expected="a name of its own", fix="rename one"
                )
    named = [(f"camera '{camera.name}'", camera) for camera in settings.cameras]
    for label, item in (*named, ("[storage]", settings.storage), ("[server]", settings.server)):
        for f in fields(item):
            value, positive = getattr(item, f.name), f.name in POSITIVE
            if isinstance(value, bool) or not isinstance(value, int | float):
                continue
            if not (positive or f.name in NOT_NEGATIVE):
                if not math.isfinite(value):
                    raise ConfigError(
                        f"{label}: {f.name} = {value}", expected="a number", fix="correct it"
                    )
                continue
            if not (math.isfinite(value) and (value > 0 if positive else value >= 0)):
                raise ConfigError(
                    f"{label}: {f.name} = {value}",
                    expected="a number above 0" if positive else "0 or more",
                    fix="correct it",
                )
    models = [model.name for model in settings.models]
    for camera in settings.cameras:
        if camera.model not in models:
            raise ConfigError(
                f"camera '{camera.name}' names model '{camera.model}'",
                expected=f"one of {', '.join(models) or '(none yet)'}",
                fix="correct it, or add a [[model]]",
            )
        if camera.on is not None and camera.off is not None and camera.off > camera.on:
            raise ConfigError(
                f"camera '{camera.name}' closes events at {camera.off:g}, above {camera.on:g}",
                expected="off at most on",
                fix="swap them",
            )
    for sink in settings.sinks:
        schemes = {"webhook": ("http://", "https://"), "mqtt": ("mqtt://", "mqtts://")}
        if not sink.url.startswith(schemes.get(sink.kind, "")):
            raise ConfigError(
                f"the address of sink '{sink.name}'",
                expected=f"one that begins with {' or '.join(schemes[sink.kind])}",
                fix="correct its url",
            )


def write_settings(settings: Settings, path: Path) -> None:
    """Write what changed into the file, atomically; other lines and comments stay as they are."""
    try:
        import tomlkit
        from tomlkit.items import Table
    except ImportError as error:
        raise ConfigError(
            "writing settings needs tomlkit",
            expected="the 'serve' extra",
            fix="pip install 'vadistill[serve]'",
        ) from error

    document = tomlkit.parse(path.read_text()) if path.exists() else tomlkit.document()
    for name in TABLES:
        table = document.get(name, tomlkit.table())
        _update(table, getattr(settings, name))
        if len(table):
            document[name] = table
    for name, (attribute, _) in LISTS.items():
        group = getattr(settings, attribute)
        there = document.get(name, [])
        old = {block["name"]: block for block in (there if isinstance(there, list) else [there])}
        blocks = tomlkit.aot()
        for item in group:
            block = old.get(item.name)
            if not isinstance(block, Table):  # new, or written inline
                block = tomlkit.table()
            _update(block, item)
            blocks.append(block)
        if group:
            document[name] = blocks
        elif name in document:
            del document[name]
    with replacing(path, private=True) as temporary:  # passwords of cameras are in there
        temporary.write_text(tomlkit.dumps(document))


def _update(block: Any, item: Any) -> None:
    """Put the entries of a dataclass into a table; what is right there already stays as it is."""
    for f in fields(item):
        value = getattr(item, f.name)
        plain = list(value) if isinstance(value, tuple) else value
        if plain is None:
            block.pop(f.name, None)
        elif f.name in block:
            if block[f.name] != plain:
                block[f.name] = plain
        elif value != f.default:
            block[f.name] = plain


def changed(item: T, **changes: Any) -> T:
    """A copy with some entries changed, with the file's checks of types; raises ConfigError."""
    kind = type(item)
    hints = get_type_hints(kind)
    unknown = sorted(set(changes) - set(hints))
    if unknown:
        raise ConfigError(
            f"'{unknown[0]}'", expected=f"one of {', '.join(hints)}", fix="correct it"
        )
    typed = {name: _typed(value, hints[name], name) for name, value in changes.items()}
    return replace(item, **typed)  # pyright: ignore[reportArgumentType, reportCallIssue, reportType]
