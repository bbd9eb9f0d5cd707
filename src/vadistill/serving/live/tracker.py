"""From a camera's scores to events: opened after some frames above a level, closed by another."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from vadistill.serving.live.levels import Level


@dataclass(frozen=True)
class Stretch:
    """An event so far; times are unix seconds of frames' arrival."""

    start: float
    """Of the first frame of the run that opened it."""
    last: float
    """Of the last frame at or above the closing level."""
    peak: float
    frames: int
    """Frames at or above the closing level."""


@dataclass(frozen=True)
class Change:
    """What a frame did to the event."""

    kind: Literal["opened", "higher", "going", "closed"]
    """``higher``: the frame has the event's new peak."""
    event: Stretch


class Tracker:
    """Hysteresis: ``frames`` in a row at or above ``level.on`` open an event.

    It closes when all frames of ``seconds`` are below ``level.off``, or when the stream is lost.
    """

    def __init__(self, level: Level, *, frames: int = 3, seconds: float = 2.0) -> None:
        self.level, self.frames, self.seconds = level, max(1, frames), seconds
        self.event: Stretch | None = None
        self._run: Stretch | None = None

    def push(self, time: float, score: float) -> Change | None:
        """The next frame's score, ``time`` in seconds."""
        if self.event is None:
            return self._rise(time, score)
        event = self.event
        if score >= self.level.off:
            higher = score > event.peak
            peak = max(score, event.peak)
            self.event = replace(event, last=time, peak=peak, frames=event.frames + 1)
            return Change("higher" if higher else "going", self.event)
        if abs(time - event.last) >= self.seconds:  # a clock that was set back breaks it, too
            return self.close()
        return Change("going", event)

    def close(self) -> Change | None:
        """End the event there is, such as when the stream is lost."""
        event, self.event, self._run = self.event, None, None
        return None if event is None else Change("closed", event)

    def _rise(self, time: float, score: float) -> Change | None:
        if score < self.level.on:
            self._run = None
            return None
        run = self._run or Stretch(time, time, score, 0)
        self._run = replace(run, last=time, peak=max(run.peak, score), frames=run.frames + 1)
        if self._run.frames < self.frames:
            return None
        self.event, self._run = self._run, None
        return Change("opened", self.event)
