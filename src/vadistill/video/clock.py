"""Times of live pictures."""

from __future__ import annotations

import time
from fractions import Fraction

ALONE = 25
"""Pictures in a row without a time stamp after which the wall clock counts."""
JUMP = 10.0
"""Seconds by which stamps may run ahead of the wall clock; beyond, or back, is a clock set anew."""


class Clock:
    """Seconds from the first picture, from time stamps or, without those, from the wall clock."""

    def __init__(self, unit: Fraction | None, fps: float, stamped: bool) -> None:
        self._unit, self._step, self._stamped = unit or Fraction(1), 1 / fps, stamped
        self._first: int | None = None
        self._offset = self._seconds = 0.0
        self._came: float | None = None
        self._missing = 0

    def time(self, stamp: int | None) -> float:
        """The time of the next picture; it never decreases."""
        now = time.monotonic()
        waited = 0.0 if self._came is None else now - self._came
        self._missing = self._missing + 1 if stamp is None else 0
        # RTSP leaves out the first stamp, and the first pictures come in one burst.
        regular = self._stamped and self._came is not None and self._missing < ALONE
        passed, self._came = self._step if regular else waited, now
        if stamp is None or not self._stamped:
            self._seconds += passed
            return self._seconds
        seconds = self._offset + float((stamp - (self._first or 0)) * self._unit)
        if self._first is None or not -1 < seconds - self._seconds < waited + JUMP:
            seconds = self._seconds + (passed if self._first is None else waited)
            self._first, self._offset = stamp, seconds
        self._seconds = max(seconds, self._seconds)
        return self._seconds
