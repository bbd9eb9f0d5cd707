"""One camera: its stream through a detector, the curve of its scores, and its events.

Three threads: the reader decodes, this one cuts out what the detector needs and asks the model's
loop for scores (``batching``), a third writes.  Nothing that a camera, a disk or a detector does
ends it; what happened stands in its status and in the log.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt8

from vadistill.drawing import Scale, to_jpeg
from vadistill.errors import ConfigError, in_a_line
from vadistill.events import Change, Tracker
from vadistill.levels import Level
from vadistill.scores import FrameScore
from vadistill.serving.config import CameraSettings
from vadistill.serving.live.batching import Loaded
from vadistill.serving.live.census import Census
from vadistill.serving.live.curve import Curve
from vadistill.serving.live.events import EventKeeper, colours
from vadistill.serving.live.learned import view
from vadistill.serving.live.light import note_light
from vadistill.serving.live.memory import Memory
from vadistill.serving.live.places import Counting
from vadistill.serving.live.reader import Reader, Session
from vadistill.serving.live.scene import Scene
from vadistill.serving.live.screen import Screen
from vadistill.serving.live.standards import Standards
from vadistill.serving.live.times import Pace, Standstill, WallTimes
from vadistill.serving.log_limit import Repeats
from vadistill.serving.schedule import within
from vadistill.serving.storage.clips import ClipWriter, Shot
from vadistill.serving.storage.later import Later
from vadistill.video import covered

if TYPE_CHECKING:
    from vadistill.serving.storage.recorder import Recorder
    from vadistill.serving.storage.store import Store

RETRY = 30.0
"""Seconds after which a camera whose detector failed is tried again."""


class Camera:
    """Watches one source; ``start`` it, and ``stop`` it.

    Without a ``model`` its pictures are shown and recorded, not scored.  With a reason for one
    there is none: it has failed, and is not to be started.
    """

    def __init__(
        self,
        settings: CameraSettings,
        *,
        reader: Reader,
        recorder: Recorder | None,
        model: Loaded | str | None,
        store: Store,
        clips: ClipWriter,
        publish: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self.settings, self.reader, self.recorder = settings, reader, recorder
        self.ended = threading.Event()
        """Set when the source has come to its end, or the camera was stopped."""
        self._stopped = threading.Event()
        self._model = model
        self._store, self._later = store, Later(f"keep-{settings.name}")
        self._thread = threading.Thread(target=self._run, name=f"camera-{self.name}", daemon=True)
        self._ring: deque[Shot] = deque()
        """Pictures of the last seconds, with which an event's clip begins."""
        self.mark = model.mark if isinstance(model, Loaded) else ""
        """Of its model, as ``Loaded`` has it."""
        self.of = view(settings, self.mark)
        """What its false alarms belong to."""
        self.events = EventKeeper(
            settings.name, store=store, clips=clips, later=self._later, publish=publish, of=self.of
        )
        self.curve = Curve(settings.name, store, self.events.keep)
        self._pace = Pace()
        self._times = WallTimes(settings.name)
        self.screen = Screen(lambda: self.scale, self.ended)
        self.scene = Scene(settings.name, settings.check_view)
        detector = model.detector if isinstance(model, Loaded) else None
        normal = None if detector is None else detector.require_fitted()
        quiet = 0.0 if normal is None else normal.quantiles[0]
        self.standards = Standards(store, settings, normal, self.mark, self._later)
        self._tracker = Tracker(
            self.level, frames=settings.frames_to_open, seconds=settings.seconds_to_close
        )
        self.memory = Memory(self.events.note_held, None if detector is None else detector.radius)
        self._counting = Counting(settings, float(quiet), self.memory)
        self._failures = Repeats()
        self._failure = model if isinstance(model, str) else ""
        if self._failure:
            self.ended.set()
        self.scored = 0
        """Frames scored so far."""
        self._standstill = Standstill()

    @property
    def level(self) -> Level:
        return self.standards.level

    @property
    def level_trouble(self) -> str | None:
        """Why its level no longer fits; '' if it does or there is none, None if not known."""
        return "" if self._model is None else self.standards.trouble

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def usable(self) -> bool:
        """Whether it runs: it has a model, or needs none."""
        return not isinstance(self._model, str)

    @property
    def model(self) -> Loaded:
        """Raises ConfigError where there is none."""
        if not isinstance(self._model, Loaded):
            what = f"camera '{self.name}' has no model ({self._model or 'none is chosen yet'})"
            raise ConfigError(what, expected="one that loads", fix="mend it, or choose another")
        return self._model

    def start(self) -> None:
        self.reader.start()
        self._thread.start()

    def stop(self) -> None:
        """End its threads; an open event is closed and its scores are written."""
        self._stopped.set()
        self.reader.stop()
        self.screen.wake()
        if self._thread.is_alive():
            self._thread.join(10)
        self._later.ended(10)

    # -- scoring -------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            for session in self.reader.sessions():
                while not self._watched(session):
                    if session.over or self._stopped.wait(RETRY) or session.over:
                        break
        finally:
            self._later.end()
            self.ended.set()
            self.screen.wake()

    def _watched(self, session: Session) -> bool:
        """Whether one connection's frames were scored until it was lost; False: the detector
        failed on one."""
        cause = ""
        try:
            self._watch(session)
        except Exception as error:
            cause = self._failure = in_a_line(error)
            self._failures.failure(error, "camera %s: %s", self.name, cause)
            return False
        finally:
            self._lost(cause or session.reason)
        return True

    def _watch(self, session: Session) -> None:
        source = session if self.settings.fast else self.scene.watching(session)
        if self._model is None:
            for frame in Census(self.settings, self._store, self._later).watching(source):
                session.forget(frame.index + 1)
                self.screen.show(frame.image, None)
            return
        detector = self.model.for_camera(self.settings, session.info)
        for score in detector.stream(covered(source, self.settings.masks)):
            arrival = session.scored(score.index)
            self._failure = ""
            self._scored(arrival.moment, arrival.frame.image, score)

    def _scored(self, moment: float, image: UInt8[np.ndarray, "h w 3"], score: FrameScore) -> None:
        self.scored += 1
        now = time.monotonic()
        self._pace.note(now, None if self.settings.fast else now - moment)
        wall = self._times.of(moment, steady=self._tracker.busy)
        if self.standards.light != self.scene.light:
            self.standards.light = by = self.scene.light
            note = partial(note_light, self._store, self.name, by, wall)
            self._later.put(partial(self.events.keep_in_turn, note))
        self._tracker.level = self.level
        size = image.shape[1], image.shape[0]
        score, place = self._counting(score, size, self.level, wall)
        if not self.scene.sight:  # such scores are neither normal nor an anomaly
            self.curve.add(wall, float(score.score))
        elif self._tracker.event is not None:
            self._track(self._tracker.close(), None, self.scene.detail)
        self.screen.show(image, score)
        shot = Shot(moment, to_jpeg(image), replace(score, map=None), place)
        self._ring.append(shot)
        while self._ring[0].moment < moment - self.settings.pre_roll:
            self._ring.popleft()
        drift, value, index = self.standards.drift, float(score.score), score.index
        held = self.scene.holds(moment) or (self.settings.check_view and drift.unseen)
        may_open = within(self.settings.event_hours, wall) and not held
        change = self._tracker.push(score.time, value, index=index, came=wall, may_open=may_open)
        self._track(change, shot)
        if may_open:
            drift.note(score.time, value, event=self._tracker.event is not None)
        if self.curve.due():
            self._later.put(self.write_scores)

    def _lost(self, cause: str) -> None:
        """The stream is gone: what is open is closed."""
        self._track(self._tracker.close(), None, cause)
        self._ring.clear()
        self._later.put(self.write_scores)
        self.standards.save()

    def _track(self, change: Change | None, shot: Shot | None, cause: str | None = None) -> None:
        if change is not None:
            before, scale, level = tuple(self._ring), self.scale, self.level.on
            self.events.follow(change, shot, before=before, scale=scale, level=level, cause=cause)

    @property
    def settled(self) -> bool:
        """Whether it has stopped and all of it is kept."""
        ended = not self._thread.is_alive() and self._later.ended()
        return ended and self.curve.settled and self.events.settled

    def write_scores(self) -> None:
        """Put the curve so far into the store; what a full disk refuses is kept for later."""
        self.events.close_refused()
        self.curve.write()

    # -- what the console sees -----------------------------------------------------------------

    @property
    def trouble(self) -> str | None:
        """Why it sees nothing; '' if it does, None while that is not known or it has ended."""
        if self._failure:
            return self._failure
        if self.ended.is_set():
            return None
        reason = self.reader.trouble
        if reason == "" and self._model is not None:
            reason = self._standstill.told(self.scored, self.reader.status.dropped)
        return self.scene.detail if reason == "" else reason

    @property
    def model_trouble(self) -> str:
        """Why its model cannot be used; '' if it can."""
        if isinstance(self._model, Loaded):
            return "" if self._model.batching.alive else "its thread has ended"
        return self._model or ""

    @property
    def muted(self) -> bool:
        """Whether nobody is told of its events for now."""
        return self._store.muted_until(self.name, time.time()) is not None

    @property
    def scale(self) -> Scale:
        return colours(self.level, self.model.detector.require_fitted())

    def as_json(self) -> dict[str, Any]:
        """As the API describes a camera."""
        settings, scene = self.settings, self.scene
        scored = isinstance(self._model, Loaded)
        return {
            **vars(settings),
            "source": str(settings.source),
            "zones": [vars(zone) for zone in settings.zones],
            "unlike": self.model.unlike.get(self.name) or None if scored else None,
            "drift": self.standards.drift.told or None,
            "light": scene.light or None,
            "status": {
                **self.reader.status.as_json(self._failure, scene.sight, scene.detail),
                "scored": self.scored,
                **self._pace.as_json(),
            },
            "level": self.level.as_json() if scored else None,
            "score": self.screen.score,
            "has_map": self.screen.has_map,
            "event": self.events.id,
            "muted_until": self._store.muted_until(self.name, time.time()),
        }
