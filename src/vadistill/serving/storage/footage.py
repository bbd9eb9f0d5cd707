"""Normal footage that models are fitted to: a camera's recordings, and folders that are named."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vadistill.datasets.folder import MASKS, TEST, TRAIN
from vadistill.datasets.sources import folders as subfolders
from vadistill.datasets.sources import named, pictures, video_files
from vadistill.errors import ConfigError, DataError
from vadistill.serving.config import Settings
from vadistill.serving.storage.recorder import begun, segments

if TYPE_CHECKING:
    from vadistill.serving.storage.store import Store

MARGIN = 5.0
"""Seconds around an event that are no normal footage either: it begins before it is noticed."""

UNWRITTEN = 30.0
"""Seconds of a recording that may not be on the disk yet."""


def spans(folder: Path, camera: str, since: float, until: float) -> list[tuple[float, float, Path]]:
    """A camera's finished recordings: start and end in unix seconds, and the file; in order."""
    found = sorted(segments(folder, camera, since, until))
    made: list[tuple[float, float, Path]] = []
    for number, (start, path) in enumerate(found, 1):
        after = found[number][0] if number < len(found) else until
        try:
            written = path.stat().st_mtime  # copied files have a later one
        except FileNotFoundError:  # grown too old meanwhile
            continue
        made.append((start, max(start, min(written, after)), path))
    return made


def collected(folder: Path, camera: str, now: float) -> dict[str, Any]:
    """``seconds`` of a camera's recordings, and ``by_hour`` those of each hour of the day, by the
    server's clock; what is being written counts, too."""
    there = [(start, end) for start, end, _ in spans(folder, camera, 0.0, now)]
    for part in (folder / camera).glob("*.part"):
        with suppress(OSError, ValueError):
            written = part.stat().st_mtime
            there.append((begun(part), now if now - written < UNWRITTEN else written))
    by_hour = [0.0] * 24
    for start, end in there:
        while start < end:
            clock = time.localtime(start)
            until = min(end, start + 3600 - 60 * clock.tm_min - clock.tm_sec - start % 1)
            by_hour[clock.tm_hour] += until - start
            start = until
    return {"seconds": sum(max(0.0, end - start) for start, end in there), "by_hour": by_hour}


def recorded(
    folder: Path,
    camera: str,
    hours: float,
    now: float,
    *,
    without: Sequence[tuple[float, float]] = (),
) -> list[Path]:
    """Files of a camera's last ``hours``, less those within 5 seconds of an interval ``without``.

    Times are unix seconds.
    """
    return [
        path
        for start, end, path in spans(folder, camera, now - 3600 * hours, now)
        if not any(a - MARGIN < end and b + MARGIN > start for a, b in without)
    ]


def folders(settings: Settings) -> list[dict[str, Any]]:
    """``name`` and number of training ``videos`` of each folder that the settings name."""
    found: list[dict[str, Any]] = []
    for item in settings.footage:
        try:
            count = _count(settings.located(item.path))
        except DataError:  # it may not be read
            count = 0
        found.append({"name": item.name, "videos": count})
    return found


def cameras(settings: Settings, folder: Path, now: float | None = None) -> list[dict[str, Any]]:
    """``name``, ``hours`` and number of ``segments`` of what cameras have recorded in ``folder``.

    Cameras that neither record nor have recorded are left out.
    """
    found: list[dict[str, Any]] = []
    for camera in settings.cameras:
        kept = spans(folder, camera.name, 0.0, time.time() if now is None else now)
        if kept or camera.record_hours:
            hours = sum(end - start for start, end, _ in kept) / 3600
            found.append({"name": camera.name, "hours": hours, "segments": len(kept)})
    return found


def videos_for(
    settings: Settings, store: Store, folder: Path, source: Mapping[str, Any]
) -> list[Path]:
    """Videos for a fit: ``{"folder": name}`` of the settings, or ``{"camera": name, "hours": h}``.

    A camera's footage lies in ``folder``; events in it do not count as normal unless people have
    called them false alarms.  Raises ConfigError for an unknown name, DataError where there is no
    footage.
    """
    kind = "folder" if "folder" in source else "camera"
    name = source[kind]
    known = [item.name for item in (settings.footage if kind == "folder" else settings.cameras)]
    if name not in known:
        raise ConfigError(
            f"{kind} '{name}'",
            expected=f"one of {', '.join(known) or '(none yet)'}",
            fix="choose one of them",
        )
    if kind == "folder":
        return [settings.located(item.path) for item in settings.footage if item.name == name]
    now = time.time()
    hours = float(source["hours"])
    events = store.events(camera=name, since=now - 3600 * hours, until=now, limit=100_000)
    abnormal = [(e.start, e.end or e.last) for e in events if e.verdict != "false"]
    videos = recorded(folder, name, hours, now, without=abnormal)
    if not videos:
        raise DataError(
            f"no normal footage of camera '{name}' in its last {hours:g} hours",
            expected="recordings without events",
            fix="let it record for some hours, or mark false alarms as such",
        )
    return videos


def _count(folder: Path) -> int:
    """Videos and frame folders that a fit would learn from, as ``datasets.folder`` finds them."""
    return _videos_in(named(folder, *TRAIN) or folder)


def _videos_in(folder: Path, depth: int = 1) -> int:
    here = len(video_files(folder))
    if not here and pictures(folder):
        return 1
    inside = [f for f in subfolders(folder) if f.name.lower() not in (*TEST, MASKS)]
    deeper = (_videos_in(f, depth - 1) if depth else bool(pictures(f)) for f in inside)
    return here + sum(deeper)
