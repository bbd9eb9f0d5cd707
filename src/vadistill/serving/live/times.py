"""When frames were scored, by the wall, and at what pace; moments are monotonic seconds."""

from __future__ import annotations

import logging
import time
from collections import deque
from typing import Any

import numpy as np

log = logging.getLogger("vadistill.serving")

UNSCORED = 60.0
"""Seconds without a score, while frames are dropped, after which scoring counts as stuck."""

LEAP = 0.5
"""Seconds by which a clock is off that was set; what is slewed, both clocks follow."""


class WallTimes:
    """Unix seconds of a camera's frames, on one scale from an event's first frame to its last.

    The machine's clock may be set at any moment.  Outside events that is followed at once.
    """

    def __init__(self, camera: str) -> None:
        self._camera = camera
        self._ahead = time.time() - time.monotonic()

    def of(self, moment: float, *, steady: bool) -> float:
        """Unix seconds of a moment of now or just before; with ``steady`` on the scale so far."""
        ahead = time.time() - time.monotonic()
        if not steady and abs(ahead - self._ahead) > LEAP:
            log.warning("camera %s: the clock leapt by %.1f s", self._camera, ahead - self._ahead)
            self._ahead = ahead
        return moment + self._ahead


class Standstill:
    """Tells a camera whose frames come and are not scored."""

    def __init__(self) -> None:
        self._progress = (0, 0, time.monotonic())
        """Frames scored and dropped when the first last grew, and when that was."""

    def told(self, scored: int, dropped: int) -> str:
        """Why nothing is scored, of so many frames so far; '' if they are."""
        now = time.monotonic()
        if scored != self._progress[0]:
            self._progress = (scored, dropped, now)
        _, before, since = self._progress
        waited = now - since
        stuck = dropped > before and waited > UNSCORED
        return f"no frame scored for {waited:.0f} s" if stuck else ""


class Pace:
    """How fast frames are scored, of late."""

    def __init__(self) -> None:
        self._delays: deque[float] = deque(maxlen=600)
        self._moments: deque[float] = deque(maxlen=64)

    def note(self, moment: float, delay: float | None) -> None:
        """A frame was scored then, ``delay`` seconds after it was decoded, if that is known."""
        self._moments.append(moment)
        if delay is not None:
            self._delays.append(delay)

    def as_json(self) -> dict[str, Any]:
        """Frames a second over the last five, and milliseconds from decoding to score."""
        lately = [moment for moment in list(self._moments) if moment > time.monotonic() - 5]
        span = lately[-1] - lately[0] if len(lately) > 1 else 0.0
        delays = np.array(self._delays) * 1000
        median, high = (float(np.quantile(delays, q)) if len(delays) else 0.0 for q in (0.5, 0.95))
        return {
            "scored_fps": round((len(lately) - 1) / span, 2) if span else 0.0,
            "latency_ms": {"median": median, "p95": high} if len(delays) else None,
        }
