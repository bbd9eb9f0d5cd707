"""A camera's events as they are kept: in the store, with a picture and a clip.

All of it waits for the disk in a thread of its own (``storage.later``): the camera goes on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from vadistill.drawing import Scale, draw_frame, to_jpeg
from vadistill.errors import StorageError
from vadistill.events import Change, Stretch
from vadistill.levels import Calibration, Level
from vadistill.serving.live.memory import Way
from vadistill.serving.storage.clips import ClipWriter, Shot
from vadistill.serving.storage.later import Later
from vadistill.serving.storage.records import Event, Place

if TYPE_CHECKING:
    from vadistill.serving.storage.store import Store

log = logging.getLogger("vadistill.serving")

UPDATE_EVERY = 1.0
"""Seconds between two notes of how far an event has come."""


def colours(level: Level, calibration: Calibration) -> Scale:
    """Of boxes: blue at the median of normal frames, yellow where events close, red where they
    open."""
    low = float(np.median(calibration.quantiles))
    step = 1e-9 + 1e-6 * abs(low)
    middle = max(level.off, low + step)
    return Scale(low, middle, max(level.on, middle + step), True)


class EventKeeper:
    """Keeps one camera's events, ``later``; what a full disk refuses is kept once it has room.

    ``publish`` is told of each event as it opens, goes on and closes; ``of`` stands for the model
    and the view that they are seen by.
    """

    def __init__(
        self,
        camera: str,
        *,
        store: Store,
        clips: ClipWriter,
        later: Later,
        publish: Callable[[str, dict[str, Any]], None],
        of: str = "",
    ) -> None:
        self.camera, self._of = camera, of
        self.id: int | None = None
        """Of the open event, once it is in the store."""
        self._store, self._clips, self._later, self._publish = store, clips, later, publish
        self._best: Shot | None = None
        self._place: Place | None = None
        """Of the open event's peak, where that is new."""
        self._way = Way(self._of)
        """Where the open event was."""
        self._unclosed: deque[Callable[[], None]] = deque()
        self._ending = 0
        """Ends and clips of events, and changes of light, as far as they are not kept yet."""
        self._closing = threading.RLock()
        self._updated = 0.0
        self._store_fails = False

    def follow(
        self,
        change: Change,
        shot: Shot | None,
        *,
        before: Sequence[Shot],
        scale: Scale,
        level: float,
        cause: str | None = None,
    ) -> None:
        """Keep what a frame, of which ``shot`` is the picture, did to the event; returns at once.

        ``before`` are the pictures with which a new event's clip begins, ``level`` the score at
        which it opened, ``cause`` why it ended, if it was not for calm.  Where much waits for the
        disk, openings, peaks and ends are kept without pictures, and nothing else.
        """
        event = change.event
        shots = [*before[-event.frames : -1]] if change.kind == "opened" else []
        if shot is not None and shot.score.index == event.final:
            shots.append(shot)
        seen = [(each.place, float(each.score.score)) for each in shots]
        if self._later.crowded:
            if change.kind == "going":
                return
            shot, before = None, ()
        self._later.put(partial(self._follow, change, seen, shot, before, scale, level, cause))

    def _follow(
        self,
        change: Change,
        seen: Sequence[tuple[Place | None, float]],
        shot: Shot | None,
        before: Sequence[Shot],
        scale: Scale,
        level: float,
        cause: str | None,
    ) -> None:
        """``seen``: where the event's frames of now were highest, and how high: one, none, or those
        of the run that opened it."""
        event = change.event
        if change.kind == "opened":
            self._way = Way(self._of)
        if seen and change.kind in ("opened", "higher"):
            self._place = seen[-1][0]
        for place, score in seen:
            self._way.add(place, score)
        if change.kind == "closed":
            self._close(event, scale, level, cause)
            return
        due = time.monotonic() - self._updated >= UPDATE_EVERY
        if self.id is None:
            # Also later in an event, if the disk was full at first.
            if change.kind == "opened" or due:
                self.keep(lambda: self._open(event, shot, before, scale, level))
                self._updated = time.monotonic()
            return
        if shot is not None:
            self._clips.add(self.id, shot)
            self._best = shot if change.kind == "higher" else self._best
        if due:
            self.keep(lambda: self._update(event, scale))
            self._updated = time.monotonic()  # however slow the disk is, the rest follows

    def _open(
        self,
        event: Stretch,
        shot: Shot | None,
        before: Sequence[Shot],
        scale: Scale,
        level: float,
    ) -> None:
        opened = self._opened(event, level, self._place)
        self.id = opened.id
        self._clips.open(opened.id, before, scale)
        self._best = shot
        self._update(event, scale)

    def _opened(self, event: Stretch, level: float, place: Place | None) -> Event:
        return self._store.open_event(
            self.camera,
            event.since,
            peak=event.peak,
            level=level,
            frames=event.frames,
            place=place,
            begins=event.start,
        )

    def _update(self, event: Stretch, scale: Scale) -> None:
        """Keep how far the event is, and the picture of its peak where that is new."""
        assert self.id is not None
        self._store.update_event(
            self.id,
            last=event.until,
            peak=event.peak,
            frames=event.frames,
            thumbnail=self._thumbnail(self.id, scale),
            place=self._place,
            trail=self._way.trail,
            ends=event.last,
        )
        so_far = self._store.event(self.id)
        if so_far is not None:
            self._publish("event", so_far.as_json())

    def _thumbnail(self, event: int, scale: Scale) -> str | None:
        """Write the picture of the peak, if it is a new one; its name."""
        shot, self._best = self._best, None
        if shot is None:
            return None
        path = self._store.media / f"{event}.jpg"
        part = path.with_suffix(".part.jpg")
        try:
            part.write_bytes(to_jpeg(draw_frame(shot.image(), shot.score, scale)))
            part.replace(path)
        except OSError as error:
            log.warning("camera %s: no picture of event %d: %s", self.camera, event, error)
            return None
        return path.name

    def _close(self, event: Stretch, scale: Scale, level: float, cause: str | None) -> None:
        if self.id is not None:
            self.keep(lambda: self._update(event, scale))
        number, self.id, place, self._place = self.id, None, self._place, None

        def finish() -> None:
            known = number
            if known is None:  # the disk was full from its first frame to its last
                known = self._opened(event, level, place).id
            facts = {"peak": event.peak, "frames": event.frames, "ends": event.last}
            closed = self._store.close_event(known, end=event.until, cause=cause, **facts)
            self._publish("event", closed.as_json())

        # The end is kept and told at once; the clip follows, however long it takes to write.
        with self._closing:
            self._ending += 1 if number is None else 2
            self._ended(finish)
        if number is not None:
            self._clips.close(number, lambda clip: self._ended(partial(self._clip, number, clip)))

    def _clip(self, number: int, clip: str | None) -> None:
        """Keep the name of an ended event's clip, if there is one."""
        event = None if clip is None else self._store.add_clip(number, clip)
        if event is not None:
            self._publish("event", event.as_json())

    def _ended(self, write: Callable[[], None]) -> None:
        """Keep what must not be lost, after all that was refused before it."""
        with self._closing:
            self._unclosed.append(write)
            self.close_refused()

    def keep_in_turn(self, write: Callable[[], None]) -> None:
        """Keep something else; where a full disk refuses it, it follows once there is room."""
        with self._closing:
            self._ending += 1
            self._ended(write)

    def close_refused(self) -> None:
        """Keep what a full disk refused of what must not be lost, such as ends of events."""
        with self._closing:
            while self._unclosed and self.keep(self._unclosed[0]):
                self._unclosed.popleft()
                self._ending -= 1

    def note_held(self, event: int, when: float) -> None:
        """A false alarm held something back at a time in Unix seconds; returns at once."""
        self._later.put(lambda: self.keep(lambda: self._store.note_held(event, when)))

    @property
    def settled(self) -> bool:
        """Whether all that must not be lost is kept: ended events, with their clips."""
        with self._closing:
            return self._ending == 0

    def keep(self, write: Callable[[], None]) -> bool:
        """Whether the store took what ``write`` gives it; a failure is told once until it works."""
        try:
            write()
        except StorageError as error:
            if not self._store_fails:
                log.warning("camera %s: %s", self.camera, error)
            self._store_fails = True
            return False
        if self._store_fails:
            log.info("camera %s: the store can be written again", self.camera)
        self._store_fails = False
        return True
