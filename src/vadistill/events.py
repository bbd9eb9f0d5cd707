"""What an event is, for files and cameras alike: so many frames in a row at or above a level open
it, so long below another closes it.

``Tracker`` is asked frame by frame, by cameras (``serving.live``) and uploads as their scores come,
and by ``Scores.events``, from which ``score``, reports, self-tests and ``evaluate`` have theirs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from vadistill.levels import FRAMES, Level

SECONDS = 2.0
"""Below the closing level that close an event."""

CLOCK = 0.0005
"""Seconds by which a frame's time may be off: a stream's clock ticks 90,000 times a second."""


@dataclass(frozen=True)
class Event:
    """An event of a video: ``start`` and ``end`` in seconds, ``peak`` the highest raw score."""

    start: float
    end: float
    peak: float
    first: int
    """Index of the first frame."""
    last: int
    """Index of the last frame, inclusive."""
    reason: str = ""
    """That of its highest frame that has one, or ''."""
    name: str = ""
    """The same of kinds of events."""
    top: int = 0
    """Index of its highest frame."""


@dataclass(frozen=True)
class Stretch:
    """An event so far."""

    start: float
    """Seconds of the video at the first frame of the run that opened it."""
    last: float
    """Those at the last frame at or above the closing level."""
    peak: float
    frames: int
    """Frames at or above the closing level."""
    first: int = 0
    """Indices of those two frames, and of the highest."""
    final: int = 0
    top: int = 0
    since: float = 0.0
    """When the two frames came: Unix seconds of a camera's, else those of the video."""
    until: float = 0.0


@dataclass(frozen=True)
class Change:
    """What a frame did to the event."""

    kind: Literal["opened", "higher", "going", "closed"]
    """``higher``: the frame has the event's new peak."""
    event: Stretch


class Tracker:
    """Hysteresis: ``frames`` in a row at or above ``level.on`` open an event.

    It closes when all frames of ``seconds`` are below ``level.off``, or when the video ends.
    """

    def __init__(self, level: Level, *, frames: int = FRAMES, seconds: float = SECONDS) -> None:
        self.level, self.frames, self.seconds = level, max(1, frames), seconds
        self.event: Stretch | None = None
        self._run: Stretch | None = None

    @property
    def busy(self) -> bool:
        """Whether an event is open, or the last frame may be the first of one."""
        return self.event is not None or self._run is not None

    def push(
        self,
        time: float,
        score: float,
        *,
        index: int = 0,
        came: float | None = None,
        may_open: bool = True,
    ) -> Change | None:
        """The next frame's score; an event opens only where it may.

        ``time``: seconds of the video.  ``index``: of the frame.  ``came``: when, where that is
        told otherwise.
        """
        came = time if came is None else came
        if self.event is None:
            return self._rise(time, score if may_open else -math.inf, index, came)
        event = self.event
        if score >= self.level.off:
            higher = score > event.peak
            self.event = _longer(event, time, score, index, came)
            return Change("higher" if higher else "going", self.event)
        if abs(time - event.last) >= self.seconds - CLOCK:  # a clock that was set back, too
            return self.close()
        return Change("going", event)

    def close(self) -> Change | None:
        """End the event there is, such as when the stream is lost."""
        event, self.event, self._run = self.event, None, None
        return None if event is None else Change("closed", event)

    def all(self, scored: Iterable[tuple[int, float, float]]) -> Iterator[Stretch]:
        """The events of a whole video, of each frame's index, time and score."""
        for index, time, score in scored:
            change = self.push(time, score, index=index)
            if change is not None and change.kind == "closed":
                yield change.event
        change = self.close()
        if change is not None:
            yield change.event

    def _rise(self, time: float, score: float, index: int, came: float) -> Change | None:
        if score < self.level.on:
            self._run = None
            return None
        begun = Stretch(time, time, score, 0, index, index, index, came, came)
        self._run = _longer(self._run or begun, time, score, index, came)
        if self._run.frames < self.frames:
            return None
        self.event, self._run = self._run, None
        return Change("opened", self.event)


def _longer(event: Stretch, time: float, score: float, index: int, came: float) -> Stretch:
    """The event with one more frame at or above the closing level."""
    top, peak = (index, score) if score > event.peak else (event.top, event.peak)
    frames = event.frames + 1
    return replace(event, last=time, peak=peak, frames=frames, final=index, top=top, until=came)
