"""A camera's level: at the start, from its own footage, and where it is kept."""

from __future__ import annotations

import logging
import time

from vadistill.scores import Calibration
from vadistill.serving.config import CameraSettings
from vadistill.serving.levels import Level, camera_level, training_level, without
from vadistill.serving.store import Store

log = logging.getLogger("vadistill.serving")

MARGIN = 5.0
"""Seconds around an event that count as not normal, too."""

DEFAULT_FPS = 25.0
"""Where neither the settings nor the camera tell a rate yet."""


def starting_level(store: Store, camera: CameraSettings, calibration: Calibration) -> Level:
    """The settings' level, the one learned on this camera, or that of the training frames."""
    rate = camera.false_alarms_per_day
    kept = store.value(_key(camera.name))
    if kept is not None:
        learned = Level.from_json(kept)
    else:
        learned = training_level(
            calibration, rate, camera.fps or DEFAULT_FPS, camera.seconds_to_close
        )
    if camera.on is None and camera.off is None:
        return learned
    on = learned.on if camera.on is None else camera.on
    off = min(on, learned.off if camera.off is None else camera.off)
    return Level(on, off, "fixed", false_alarms_per_day=rate)


def learned_level(
    store: Store, camera: CameraSettings, hours: float, false_alarms_per_day: float | None = None
) -> Level:
    """The level from the camera's last ``hours``, which is kept for its next start.

    Events do not count as normal footage, but for those that were called false alarms.
    Raises DataError for less than a minute of footage.
    """
    now = time.time()
    since = now - 3600 * hours
    times, scores = store.scores(camera.name, since, now)
    events = store.events(camera=camera.name, since=since, until=now, limit=100_000)
    abnormal = [
        (event.start - MARGIN, (event.end or event.last) + MARGIN)
        for event in events
        if event.verdict != "false"
    ]
    level = camera_level(
        without(times, scores.astype("f8"), abnormal),
        false_alarms_per_day=false_alarms_per_day or camera.false_alarms_per_day,
        frames=camera.frames_to_open,
        seconds=camera.seconds_to_close,
    )
    store.save_value(_key(camera.name), level.as_json())
    log.info("camera %s: events open at %.4g now (%s)", camera.name, level.on, level.note)
    return level


def forget_level(store: Store, camera: str) -> None:
    """Begin with the training frames' level again, such as for another model."""
    store.save_value(_key(camera), None)


def _key(camera: str) -> str:
    return f"level:{camera}"
