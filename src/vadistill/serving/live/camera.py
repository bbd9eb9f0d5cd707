"""One camera: its stream through a detector, the curve of its scores, and its events.

Two threads: the reader decodes, and this one cuts out what the detector needs, asks the model's
loop for scores (``batching``) and keeps events.  Nothing that a camera, a disk or a detector does
ends it; what happened stands in its status and in the log.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt8

from vadistill.drawing import Scale, draw_frame, to_jpeg
from vadistill.errors import ConfigError, VadistillError, VideoError, in_a_line
from vadistill.scores import Calibration, FrameScore
from vadistill.serving.config import CameraSettings
from vadistill.serving.live.batching import Loaded
from vadistill.serving.live.events import EventKeeper, colours
from vadistill.serving.live.levels import Change, Level, Tracker
from vadistill.serving.live.reader import Reader, Session
from vadistill.serving.storage.clips import ClipWriter, Shot
from vadistill.video.addresses import redacted

if TYPE_CHECKING:
    from vadistill.serving.storage.recorder import Recorder
    from vadistill.serving.storage.store import Store

log = logging.getLogger("vadistill.serving")

CHUNK_SECONDS = 20.0
"""Scores are written to the store in pieces of this length."""

HELD_SCORES = 100_000
"""Scores that wait for a full disk at most; further ones are left out."""

RETRY = 30.0
"""Seconds after which a camera whose detector failed is tried again."""

PICTURE_RATE = 12.0
"""Pictures a second that a viewer is sent at most."""


@dataclass(frozen=True, eq=False)
class View:
    """The picture that was scored last."""

    wall: float
    image: UInt8[np.ndarray, "h w 3"]
    score: FrameScore


class Camera:
    """Watches one source; ``start`` it, and ``stop`` it.

    With a reason for a ``model`` there is none: it has failed, and is not to be started.
    """

    def __init__(
        self,
        settings: CameraSettings,
        *,
        reader: Reader,
        recorder: Recorder | None,
        model: Loaded | str,
        store: Store,
        clips: ClipWriter,
        level: Level,
        publish: Callable[[str, dict[str, Any]], None],
    ) -> None:
        self.settings, self.reader, self.recorder = settings, reader, recorder
        self.level = level
        self.ended = threading.Event()
        """Set when the source has come to its end, or the camera was stopped."""
        self._stopped = threading.Event()
        self._model = model
        self._store = store
        self._thread = threading.Thread(target=self._run, name=f"camera-{self.name}", daemon=True)
        self._tracker = Tracker(
            level, frames=settings.frames_to_open, seconds=settings.seconds_to_close
        )
        self._ring: deque[Shot] = deque()
        """Pictures of the last seconds, with which an event's clip begins."""
        self.events = EventKeeper(settings.name, store=store, clips=clips, publish=publish)
        self._new: deque[tuple[float, float]] = deque()
        self._writing, self._written = threading.Lock(), time.monotonic()
        self._points: deque[tuple[float, float]] = deque(maxlen=1000)
        self._delays: deque[float] = deque(maxlen=600)
        self._walls: deque[float] = deque(maxlen=64)
        self._seen = threading.Condition()
        self._view: View | None = None
        self._failure = model if isinstance(model, str) else ""
        if self._failure:
            self.ended.set()
        self.scored = 0
        """Frames scored so far."""

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def usable(self) -> bool:
        """Whether it has a model."""
        return not isinstance(self._model, str)

    @property
    def model(self) -> Loaded:
        """Raises ConfigError where there is none."""
        if isinstance(self._model, str):
            what = f"camera '{self.name}' has no model ({self._model})"
            raise ConfigError(what, expected="one that loads", fix="mend it, or choose another")
        return self._model

    def start(self) -> None:
        self.reader.start()
        self._thread.start()

    def stop(self) -> None:
        """End both threads; an open event is closed and its scores are written."""
        self._stopped.set()
        self.reader.stop()
        with self._seen:
            self._seen.notify_all()
        if self._thread.is_alive():
            self._thread.join(10)

    # -- scoring -------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            for session in self.reader.sessions():
                while not self._watched(session):
                    if session.over or self._stopped.wait(RETRY) or session.over:
                        break
        finally:
            self.ended.set()
            with self._seen:
                self._seen.notify_all()

    def _watched(self, session: Session) -> bool:
        """Whether one connection's frames were scored until it was lost; False: the detector
        failed on one."""
        try:
            self._watch(session)
        except Exception as error:
            self._failure = in_a_line(error)
            if isinstance(error, VadistillError):
                log.warning("camera %s: %s", self.name, error)
            else:
                log.exception("camera %s cannot be scored", self.name)
            return False
        finally:
            self._lost()
        return True

    def _watch(self, session: Session) -> None:
        detector = self.model.detector.for_camera(self.model.batching.merge)
        for score in detector.stream(session):
            arrival = session.arrival(score.index)
            session.forget(score.index + 1)
            if arrival is None:
                raise VideoError(
                    f"frame {score.index} was scored too late to be shown",
                    expected="a score within some thousand frames",
                    fix="use a model with less latency",
                )
            self._failure = ""
            self._scored(arrival.wall, arrival.frame.image, score)

    def _scored(self, wall: float, image: UInt8[np.ndarray, "h w 3"], score: FrameScore) -> None:
        self.scored += 1
        now = time.time()
        if not self.settings.fast:
            self._delays.append(now - wall)
        self._walls.append(now)
        point = (wall, float(score.score))
        if len(self._new) < HELD_SCORES:
            self._new.append(point)
        self._points.append(point)
        with self._seen:
            self._view = View(wall, image, score)
            self._seen.notify_all()
        shot = Shot(wall, to_jpeg(image), replace(score, map=None))
        self._ring.append(shot)
        while not wall - self.settings.pre_roll <= self._ring[0].wall <= wall:
            self._ring.popleft()  # too old, or of a clock that was set back
        self._track(self._tracker.push(wall, score.score), shot)
        if time.monotonic() - self._written >= CHUNK_SECONDS:
            self.write_scores()

    def _lost(self) -> None:
        """The stream is gone: what is open is closed."""
        self._track(self._tracker.close(), None)
        self._ring.clear()
        self.write_scores()

    def _track(self, change: Change | None, shot: Shot | None) -> None:
        if change is not None:
            before = list(self._ring) if self.events.id is None else ()
            self.events.follow(change, shot, before=before, scale=self.scale, level=self.level.on)

    def write_scores(self) -> None:
        """Put the curve so far into the store; what a full disk refuses is kept for later."""
        with self._writing:  # the console asks for the curve, too
            self.events.close_refused()
            self._written = time.monotonic()
            points = np.array([self._new[i] for i in range(len(self._new))], np.float64)
            if not len(points):
                return
            times, scores = points.T
            if self.events.keep(
                lambda: self._store.add_scores(self.name, times.copy(), scores.astype(np.float32))
            ):
                for _ in points:
                    self._new.popleft()

    # -- what the console sees -----------------------------------------------------------------

    @property
    def calibration(self) -> Calibration:
        """Of the model's training frames."""
        return self.model.detector.require_fitted()

    @property
    def scale(self) -> Scale:
        return colours(self.level, self.calibration)

    def set_level(self, level: Level) -> None:
        """Open and close events at another level from the next frame on."""
        self.level = self._tracker.level = level

    def take_points(self) -> list[tuple[float, float]]:
        """Times and scores since the last call."""
        points = []
        while self._points:
            points.append(self._points.popleft())
        return points

    def picture(self, *, map: bool = False) -> bytes | None:
        """The last scored picture with its boxes, and its map where there is one, as a JPEG."""
        view = self._view
        return None if view is None else self._drawn(view, map)

    def pictures(self, *, map: bool = False) -> Iterator[bytes]:
        """New pictures as they are scored, until the camera ends; empty ones while none comes."""
        shown: View | None = None
        while not self.ended.is_set():
            with self._seen:
                if self._view is shown:
                    self._seen.wait(1)
                view = self._view
            if view is not None and view is not shown:
                shown = view
                yield self._drawn(view, map)
                time.sleep(1 / PICTURE_RATE)
            else:
                yield b""  # whoever has left is noticed

    def _drawn(self, view: View, map: bool) -> bytes:
        score = view.score if map else replace(view.score, map=None)
        return to_jpeg(draw_frame(view.image, score, self.scale), 80)

    def as_json(self) -> dict[str, Any]:
        """As the API describes a camera."""
        settings, status = self.settings, self.reader.status
        delays = np.array(self._delays) * 1000
        walls = [wall for wall in list(self._walls) if wall > time.time() - 5]
        span = walls[-1] - walls[0] if len(walls) > 1 else 0.0
        taken = status.frames - status.capped - status.idle
        median, high = (float(np.quantile(delays, q)) if len(delays) else 0.0 for q in (0.5, 0.95))
        view = self._view
        return {
            "name": self.name,
            "source": redacted(settings.source),
            "model": settings.model,
            "fps": settings.fps,
            "skip_idle": settings.skip_idle,
            "false_alarms_per_day": settings.false_alarms_per_day,
            "record_hours": settings.record_hours,
            "status": {
                **asdict(status),
                "state": "failed" if self._failure else status.state,
                "detail": self._failure or status.detail,
                "drop_share": status.dropped / taken if taken > 0 else 0.0,
                "scored": self.scored,
                "scored_fps": round((len(walls) - 1) / span, 2) if span else 0.0,
                "latency_ms": {"median": median, "p95": high} if len(delays) else None,
            },
            "level": self.level.as_json() if self.usable else None,
            "score": None if view is None else float(view.score.score),
            "event": self.events.id,
        }
