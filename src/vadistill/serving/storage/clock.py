"""The time that retention goes by: the clock's, unless that has leapt."""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from vadistill.errors import StorageError
from vadistill.serving.storage.retention import DAY

if TYPE_CHECKING:
    from vadistill.serving.storage.store import Store

log = logging.getLogger("vadistill.serving")

LEAP = DAY / 2
"""Seconds that the clock may be ahead of where it should be."""
STEADY = DAY
"""Seconds that a clock must go on from where it has leapt to until it is believed."""
KEY = "clock"
"""Of the latest time that was believed, in the store's values."""


class Clock:
    """Unix seconds for a store's retention, over all processes that use the store.

    A clock that is more than half a day ahead of the last look and of what has passed since (at the
    first look: of the newest that is stored) would delete everything.  Until it has gone on for a
    day from there, time goes on from the last look instead.  One that was set back deletes nothing.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: float | None = None
        self._looked = self._ahead = 0.0

    def look(self) -> float:
        """The time now; raises StorageError when the store cannot be read."""
        wall, ran = time.time(), time.monotonic()
        if self._known is None:
            known = self._store.value(KEY, self._store.newest())
            self._known, self._looked = wall if known is None else float(known), ran
        passed, self._looked = ran - self._looked, ran
        expected = self._known + passed
        self._ahead = self._ahead + passed if wall - expected > LEAP else 0.0
        if wall - expected > LEAP and self._ahead < STEADY:
            if self._ahead == 0:
                log.warning(
                    "the clock is %.1f days ahead of the last look: nothing is deleted for that "
                    "until it has run for a day",
                    (wall - expected) / DAY,
                )
            now = self._known = expected
        else:
            now, self._known = wall, max(self._known, wall)
        with suppress(StorageError):  # a full disk must not keep retention from making room
            self._store.save_value(KEY, self._known)
        return now
