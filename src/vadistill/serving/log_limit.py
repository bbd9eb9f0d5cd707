"""Warnings that come again and again, so that they neither fill the disk nor hide others."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from vadistill.errors import VadistillError, in_a_line

log = logging.getLogger("vadistill.serving")

FIRST, LONGEST = 600.0, 86_400.0
"""Seconds until the same reason is logged once more: at first, then twice as many, and at most.
What is tried again is tried more often than every ``FIRST``."""


class LogLimit:
    """Logs at most ``lines`` warnings in ``seconds``, and how many more there were.

    Of what somebody else can cause.
    """

    def __init__(
        self, lines: int, seconds: float = 60.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.lines, self.seconds = lines, seconds
        self._clock, self._lock = clock, threading.Lock()
        self._until, self._logged, self._left_out = 0.0, 0, 0

    def warning(self, message: str, *values: object) -> None:
        """As ``Logger.warning``."""
        with self._lock:
            now, left_out = self._clock(), 0
            if now >= self._until:
                left_out, self._until = self._left_out, now + self.seconds
                self._logged = self._left_out = 0
            self._logged += 1
            full = self._logged > self.lines
            self._left_out += full
        if left_out:
            log.warning("%d more of such lines were left out", left_out)
        if not full:
            log.warning(message, *values)


@dataclass
class _Known:
    """A reason of late, in seconds of the clock."""

    told: float
    seen: float
    pause: float = FIRST
    untold: int = 0


class Repeats:
    """Logs why something fails that is tried again and again: a reason that is new at once, the
    same one only after ``FIRST`` seconds, then after twice as long and so on, up to ``LONGEST``.

    One that did not come for as long is new again.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._lock = clock, threading.Lock()
        self._known: dict[str, _Known] = {}
        self._stands = False

    def failure(self, error: Exception, message: str, *values: object) -> None:
        """Of an error whose numbers, such as a frame's, make no other reason of it.

        With its traceback where it is not one of ours.
        """
        reason = f"{type(error).__name__}: {re.sub('[0-9]+', '0', in_a_line(error))}"
        odd = None if isinstance(error, VadistillError) else error
        self.warning(reason, message, *values, exc_info=odd)

    def warning(
        self, reason: str, message: str, *values: object, exc_info: Exception | None = None
    ) -> None:
        """As ``Logger.warning``, where ``reason`` is due; with how often it came since."""
        with self._lock:
            times = self._due(reason)
            self._stands |= times > 0
        if times:
            often = f" ({times} times since it was last told)" if times > 1 else ""
            log.warning(f"{message}{often}", *values, exc_info=exc_info)

    def works(self, message: str, *values: object) -> None:
        """As ``Logger.info``, once after a warning."""
        with self._lock:
            stood, self._stands = self._stands, False
        if stood:
            log.info(message, *values)

    def _due(self, reason: str) -> int:
        """How often the reason came since it was last told, this time too; 0: it is not due."""
        now = self._clock()
        self._known = {r: k for r, k in self._known.items() if now - k.seen <= k.pause}
        known = self._known.get(reason)
        if known is None:
            self._known[reason] = _Known(now, now)
            return 1
        known.seen, known.untold = now, known.untold + 1
        if now - known.told < known.pause:
            return 0
        times, known.untold = known.untold, 0
        known.told, known.pause = now, min(2 * known.pause, LONGEST)
        return times
