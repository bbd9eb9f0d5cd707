"""Whether the disk of a store takes what is written."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable

from vadistill.errors import StorageError
from vadistill.limits import LEAST_FREE
from vadistill.serving.storage import later
from vadistill.serving.storage.later import Later
from vadistill.serving.storage.store import Store

PROBE_EVERY, RETRY = 10.0, 2.0
"""Seconds between two tries while it works, and while it does not."""


class Disk:
    """Tries it again and again; ``settle`` writes what it has refused so far."""

    def __init__(self, store: Store, settle: Callable[[], None]) -> None:
        self._store, self._settle = store, settle
        self._later, self._looks = Later("disk"), False
        self._probed, self._refused = -math.inf, ""

    @property
    def trouble(self) -> str:
        """Why it does not take what is written; '' if it does."""
        seconds = later.stuck()
        if seconds > later.HANGS:
            return f"it hangs: something has been written for {seconds:.0f} s"
        return self._refused

    def look(self) -> None:
        """Try to write, in a thread that may hang, unless that goes on; returns at once."""
        if not self._looks:
            self._looks = True
            self._later.put(self._look)

    def stop(self) -> None:
        self._later.end()
        self._later.ended(5)

    def _look(self) -> None:
        try:
            if time.monotonic() - self._probed >= (RETRY if self._refused else PROBE_EVERY):
                self._probed = time.monotonic()
                self._refused = self._probe()
            self._settle()
        finally:
            self._looks = False

    def _probe(self) -> str:
        try:
            self._store.probe()
            path = self._store.media / ".probe"
            path.write_bytes(bytes(4096))
            path.unlink()
            free = shutil.disk_usage(self._store.folder).free
        except (StorageError, OSError) as error:
            # Paths are the server's own affair.
            reason = getattr(error, "strerror", None) or str(error)
            return reason.replace(str(self._store.folder), "…")
        low = f"{free / 1e6:.0f} MB are free, less than {LEAST_FREE / 1e6:.0f}"
        return low if free < LEAST_FREE else ""
