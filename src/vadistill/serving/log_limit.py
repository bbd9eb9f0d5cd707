"""Warnings that somebody else can cause, so that they do not fill the disk."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

log = logging.getLogger("vadistill.serving")


class LogLimit:
    """Logs at most ``lines`` warnings in ``seconds``, and how many more there were."""

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
