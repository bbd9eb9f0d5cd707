"""Watching without the console: settings from a few options, until all sources have ended."""

from __future__ import annotations

import logging
import re
import shlex
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from vadistill.addresses import Address, Secret, hashed
from vadistill.errors import ConfigError
from vadistill.progress import clock
from vadistill.serving.config import (
    CameraSettings,
    ModelSettings,
    Settings,
    SinkSettings,
    StorageSettings,
)
from vadistill.serving.hub import Hub
from vadistill.serving.settings_file import exposed
from vadistill.serving.sinks import build_sink
from vadistill.serving.storage import footage
from vadistill.video import open_video

ALL = 1e9
"""Gigabytes to keep that no disk has."""


def settings_for(
    sources: Sequence[str],
    *,
    model: Path | None,
    folder: Path,
    camera: Mapping[str, Any],
    webhook: tuple[str | None, str],
    mqtt: str | None,
    device: str,
) -> Settings:
    """Settings for some sources that share a model; raises ConfigError."""
    lone_address = len(sources) == 1 and Address(sources[0]).scheme
    if model is None and sources and not lone_address:
        model, sources = Path(sources[0]), sources[1:]
    if webhook[1] and not webhook[0]:
        raise ConfigError(
            "--secret without --webhook", expected="an address to sign for", fix="add --webhook URL"
        )
    missing = [what for what, there in (("model", model), ("source", sources)) if not there]
    if model is None or not sources:
        raise ConfigError(
            f"no {' and no '.join(missing)}",
            expected="vadistill watch SOURCE… --model PATH",
            fix="name a camera's address and a folder that 'vadistill fit' wrote",
        )
    sinks = [SinkSettings("stdout", "stdout")]
    if webhook[0]:
        sinks.append(
            SinkSettings("webhook", "webhook", Address(webhook[0]), secret=Secret(webhook[1]))
        )
    if mqtt:
        sinks.append(SinkSettings("mqtt", "mqtt", Address(mqtt)))
    return Settings(
        storage=StorageSettings(folder=str(folder)),
        models=(ModelSettings("model", str(model), device),),
        cameras=tuple(
            CameraSettings(name, Address(source), "model", **camera)
            for name, source in zip(names(sources), sources, strict=True)
        ),
        sinks=tuple(sinks),
        base=Path.cwd(),
    )


def camera_for(source: str, **entries: Any) -> CameraSettings:
    """Settings of a camera without a model, all of whose footage is kept; raises ConfigError.

    Its name tells it from others of its host: by the path, and by small numbers of the query such
    as ``channel=2``, which are no secrets.
    """
    (host,) = names([source])
    address = Address(source)
    channels = re.findall(r"[?&]\w+=\d{1,3}(?=&|#|$)", address.reveal())
    name = f"{host}-{hashed(address.identity + ''.join(channels))[:6]}"
    return CameraSettings(name, address, record_hours=24.0 * 366, **entries)


def collect_footage(camera: CameraSettings, folder: Path, seconds: float) -> list[Path] | None:
    """Record a camera in ``folder`` until there are so many seconds of it; the recordings.

    What was recorded before counts, and the disk alone bounds it.  None where a signal came first.
    Raises ConfigError, also for pictures that cannot be recorded; StorageError.
    """
    storage = StorageSettings(folder=str(folder), keep_gb=ALL)
    settings = Settings(storage=storage, cameras=(camera,), base=Path.cwd())
    check_sources(settings)
    with logged_to_stderr(), stopped_by_signals() as stop:
        hub = Hub(settings, visiting=True)
        there, told = 0.0, -1.0
        hub.start()
        try:
            while there < seconds and not stop.wait(0.25):
                _check_recorded(hub)
                found = hub.learning(camera.name)
                there = found["seconds"]
                if there - told >= seconds / 10:
                    told = there
                    print(
                        f"vadistill: {camera.name}: {clock(there)} of {clock(seconds)} collected, "
                        f"{found['objects']} people and things counted, once a second; Ctrl-C, and "
                        "the same command goes on",
                        file=sys.stderr,
                    )
        finally:
            hub.stop()
        if there < seconds:
            return None
        return footage.recorded(hub.recordings, camera.name, camera.record_hours, time.time())


def _check_recorded(hub: Hub) -> None:
    for camera in hub.running():
        if camera.recorder is not None and camera.recorder.refused:
            raise ConfigError(
                f"the pictures of {camera.settings.source}, which are not compressed",
                expected="a camera that sends H.264, H.265 or MJPEG",
                fix="record it by other means, and fit to that: vadistill fit auto FOLDER",
            )


def check_sinks(settings: Settings) -> None:
    """Raise ConfigError for a sink whose address or extra is missing."""
    for sink in settings.sinks:
        build_sink(sink)


def with_stdout(settings: Settings) -> Settings:
    """Settings that tell their events on stdout, too; raises ConfigError for none to watch."""
    if not settings.cameras:
        raise ConfigError(
            "settings without a camera", expected="a [[camera]] or more", fix="add one"
        )
    if any(sink.kind == "stdout" for sink in settings.sinks):
        return settings
    return replace(settings, sinks=(*settings.sinks, SinkSettings("stdout", "stdout")))


def check_sources(settings: Settings) -> None:
    """Raise for files and folders that are not there or no video, and unknown kinds of address.

    Networks and webcams may come later: they are tried for ever.
    """
    for camera in settings.cameras:
        source = settings.source(camera)
        if source.is_live:
            continue
        if source.scheme or camera.source.reveal().startswith("webcam:"):
            raise ConfigError(
                f"source '{camera.source}'",
                expected="rtsp://HOST/…, http://HOST/…, webcam:NUMBER, a video file or a folder",
                fix="correct the address",
            )
        open_video(source)


def names(sources: Sequence[str]) -> list[str]:
    """A short name for each source, from its host alone or its file, each different."""
    made: list[str] = []
    for source in sources:
        text = Address(source).name.lower()
        plain = "".join(c if c.isascii() and c.isalnum() else "-" for c in text)
        stem = "-".join(filter(None, plain.split("-")))[:32].strip("-") or "camera"
        name, number = stem, 2
        while name in made:
            name, number = f"{stem}-{number}", number + 1
        made.append(name)
    return made


def watch_until_end(settings: Settings) -> int:
    """Run until every source has ended or a signal comes; what is open is closed and kept.

    The exit status is 2 where a camera's model could not be used.
    """
    check_sources(settings)
    with logged_to_stderr(), stopped_by_signals() as stop:
        hub = Hub(settings, visiting=True)
        print(
            f"vadistill: watching {', '.join(c.name for c in settings.cameras)}; events are kept "
            f"in {shlex.quote(str(hub.folder))}",
            file=sys.stderr,
        )
        try:
            hub.start()
            tell_levels(hub)
            while not stop.wait(0.25):
                if all(camera.ended.is_set() for camera in hub.running()):
                    break
        finally:
            waiting = hub.stop()
            summarise(hub, waiting)
    return 0 if all(camera.usable for camera in hub.running()) else 2


def tell_levels(hub: Hub) -> None:
    """At what scores each camera's events open, and what that is worth, on stderr."""
    for camera in hub.running():
        if camera.usable and camera.settings.model:
            level = f"{camera.level.on:.3g} ({camera.level.note})"
            line = f"vadistill: {camera.name}: events open at a raw score of {level}"
            print(line, file=sys.stderr)


def summarise(hub: Hub, waiting: dict[str, int]) -> None:
    """What each camera came to, and what sinks have not taken, on stderr."""
    for shown in (camera.as_json() for camera in hub.running()):
        status = shown["status"]
        print(
            f"vadistill: {shown['name']}: {status['scored']} of {status['frames']} frames scored, "
            f"{status['dropped']} dropped, {status['corrupt']} damaged, "
            f"{status['reconnects']} reconnects",
            file=sys.stderr,
        )
    for name, count in waiting.items():
        if count:
            print(
                f"vadistill: {count} messages have not reached '{name}'; the next start with this "
                f"folder sends them",
                file=sys.stderr,
            )


def warn_if_exposed(path: Path) -> None:
    """Say so on stderr where others may read the secrets in a settings file."""
    line = exposed(path)
    if line:
        print(f"vadistill: warning: {line}", file=sys.stderr)


@contextmanager
def logged_to_stderr() -> Iterator[None]:
    """Recoveries and warnings, one line each."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("vadistill.serving")
    before = (logger.level, logger.propagate)
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.level, logger.propagate = before


class stopped_by_signals:
    """An event that SIGINT and SIGTERM set; a second one interrupts at once."""

    def __enter__(self) -> threading.Event:
        self._event = threading.Event()
        self._old = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)}

        def ask(number: int, frame: object) -> None:
            if self._event.is_set():
                raise KeyboardInterrupt
            self._event.set()

        for number in self._old:
            signal.signal(number, ask)
        return self._event

    def __exit__(self, *_: object) -> None:
        for number, old in self._old.items():
            signal.signal(number, old)
