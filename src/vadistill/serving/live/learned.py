"""A camera's level: of its model's training frames at first, later of its own footage.

What was learned is kept in the store for the camera's next start.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np
from jaxtyping import Float

from vadistill.addresses import hashed
from vadistill.errors import StorageError
from vadistill.files import content_hash
from vadistill.levels import Calibration, Level, camera_level, training_level
from vadistill.serving.config import CameraSettings
from vadistill.serving.live import drift, light
from vadistill.serving.storage.later import Later
from vadistill.serving.storage.store import Store

log = logging.getLogger("vadistill.serving")

LEAST = 600.0
"""Seconds of footage by a light that a level of its own is learned from, where there are two."""

UNSEEN = {
    "night": "the camera shows a night picture, without colours; its level was learned by day: "
    "calibrate once it has seen a night",
    "day": "the camera shows a day picture, in colours; its level was learned by night: calibrate "
    "once it has seen a day",
}
"""Why a level does not fit where its footage has none of a light."""

MARGIN = 5.0
"""Seconds around an event that count as not normal, too."""


def starting_level(
    store: Store,
    camera: CameraSettings,
    calibration: Calibration,
    mark: str = "",
    by: light.Light = "",
) -> Level:
    """The settings' level, the one learned on this camera, or that of the training frames.

    ``mark`` tells its model from one that is fitted in its place; ``by`` which light it sees now.
    """
    rate = camera.false_alarms_per_day
    _note_model(store, camera.name, mark)
    kept = _kept(store, camera, mark)
    if kept is not None:
        learned = Level.from_json(kept.get("lights", {}).get(by, kept)["level"])
    else:
        learned = training_level(calibration, rate, camera.seconds_to_close, camera.frames_to_open)
    if camera.on is None and camera.off is None:
        return learned
    on = learned.on if camera.on is None else camera.on
    off = min(on, learned.off if camera.off is None else camera.off)
    return Level(on, off, "fixed", false_alarms_per_day=rate)


def drift_from(
    store: Store,
    camera: CameraSettings,
    calibration: Calibration | None,
    mark: str = "",
    by: light.Light = "",
    later: Later | None = None,
) -> drift.Drift:
    """Watches whether scores drift from those that the camera's level comes from.

    What it counts is kept ``later``.  Nothing is watched without a ``calibration``, or where a
    level is older than that was kept.  A level that knows nothing seen ``by`` this light is told
    as that.
    """
    kept, usual, unseen = _kept(store, camera, mark), None, ""
    if calibration is not None and kept is not None:
        lights = kept.get("lights", {})
        unseen = UNSEEN.get(by, "") if lights and by not in lights else ""
        own = lights.get(by, kept).get("usual")
        usual = drift.Usual(*own) if own and not unseen else None
    elif calibration is not None:
        usual = drift.usual_of(calibration, camera.frames_to_open)
    name = f"{camera.name} {by}".strip()
    return drift.Drift(store, name, _of(camera, mark), usual, later, unseen)


def learned_level(
    store: Store,
    camera: CameraSettings,
    hours: float,
    false_alarms_per_day: float | None = None,
    *,
    mark: str = "",
) -> Level:
    """The level from the camera's last ``hours``, which is kept for its next start.

    Where there are both, those of day and night are learned apart, and kept beside it.  Of a light
    without enough footage the level so far stays, if it was learned for as many false alarms.
    Events that were called real do not count as normal footage; all others do, since without the
    highest normal scores the level would sink each time.  Raises DataError for less than a minute.
    """
    now = time.time()
    since = max(now - 3600 * hours, store.value(_since(camera.name), 0.0))
    times, scores = store.scores(camera.name, since, now)
    events = store.events(camera=camera.name, since=since, until=now, verdict="real", limit=100_000)
    abnormal = [(e.start - MARGIN, (e.end or e.last) + MARGIN) for e in events]
    normal = without(times, scores.astype("f8"), abnormal)
    wanted = false_alarms_per_day or camera.false_alarms_per_day

    def found(chunks: Sequence[light.Chunk]) -> dict[str, Any]:
        level = camera_level(
            chunks,
            false_alarms_per_day=wanted,
            frames=camera.frames_to_open,
            seconds=camera.seconds_to_close,
        )
        usual = drift.usual_in(chunks, camera.frames_to_open)
        return {"level": level.as_json(), "usual": usual}

    whole = found(normal)
    kept = {"of": _of(camera, mark), **whole}
    parts = light.by_light(normal, store.value(light.key(camera.name), []))
    if "" not in parts:
        lights = {} if len(parts) > 1 else dict.fromkeys(parts, whole)
        lights |= {n: found(part) for n, part in parts.items() if light.seconds_of(part) >= LEAST}
        kept["lights"] = {**_lights_so_far(store, camera, kept), **lights}
    store.save_value(_key(camera.name), kept)
    level = Level.from_json(kept["level"])
    log.info("camera %s: events open at %.4g now (%s)", camera.name, level.on, level.note)
    return level


def _lights_so_far(
    store: Store, camera: CameraSettings, now: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    """What was learned by day and by night, where it goes with what is learned ``now``."""
    former = store.value(_key(camera.name))
    if former is None or former["of"] != now["of"]:
        return {}
    wanted = now["level"]["false_alarms_per_day"]
    lights = former.get("lights", {})
    return {n: k for n, k in lights.items() if k["level"]["false_alarms_per_day"] == wanted}


def begin_anew(store: Store, camera: str) -> None:
    """Forget the level, and the scores so far: they are another model's, or another view's."""
    store.save_value(_key(camera), None)
    for seen in ("", " day", " night"):
        store.save_value(drift.key(f"{camera}{seen}"), None)
    store.save_value(_since(camera), time.time())


def _note_model(store: Store, camera: str, mark: str) -> None:
    """Scores so far do not count where another model, or one fitted in its place, gave them."""
    known = store.value(f"model:{camera}")
    if known == mark:
        return
    with suppress(StorageError):  # a full disk: the next start tries again
        if known is not None:
            store.save_value(_since(camera), time.time())
        store.save_value(f"model:{camera}", mark)


def _kept(store: Store, camera: CameraSettings, mark: str) -> dict[str, Any] | None:
    """What was learned on this camera, as it is now."""
    kept = store.value(_key(camera.name))
    return kept if kept is not None and _belongs(kept["of"], camera, mark) else None


def _key(camera: str) -> str:
    return f"level:{camera}"


def _since(camera: str) -> str:
    return f"since:{camera}"


def view(camera: CameraSettings, mark: str) -> str:
    """What false alarms belong to: a model, as it is fitted, and a source."""
    return content_hash(camera.model, mark, camera.source.identity)


def counted(camera: CameraSettings) -> tuple[object, ...]:
    """What scores and the level learned from them belong to."""
    zones = camera.zones if camera.only_zones else ()
    return camera.model, camera.source, camera.masks, zones, camera.least_size


def _of(camera: CameraSettings, mark: str = "") -> list[str]:
    """The same in a few words; the third is left out where all of the picture counts."""
    _, _, *rules = counted(camera)
    found = [content_hash(f"{rules}")] if any(rules) else []
    return [" ".join(filter(None, [camera.model, mark])), camera.source.identity, *found]


def _belongs(of: list[str], camera: CameraSettings, mark: str = "") -> bool:
    """Whether a level of these is the camera's.

    Once the address itself was kept, and the model's name alone: such levels are not lost.
    """
    model, view, *rules = of
    own, _, *own_rules = _of(camera, mark)
    same = model in (own, camera.model) and rules == own_rules
    return same and camera.source.identity in (view, hashed(view))


def without(
    times: Float[np.ndarray, " n"],
    values: Float[np.ndarray, " n"],
    intervals: Sequence[tuple[float, float]],
    *,
    gap: float = 5.0,
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Unbroken pieces of a score curve outside intervals; a pause of ``gap`` seconds breaks one."""
    keep = np.ones(len(times), bool)
    for start, end in intervals:
        keep &= (times < start) | (times > end)
    index = np.flatnonzero(keep)
    if len(index) == 0:
        return []
    breaks = np.flatnonzero((np.diff(index) > 1) | (np.diff(times[index]) > gap)) + 1
    return [(times[part], values[part]) for part in np.split(index, breaks)]
