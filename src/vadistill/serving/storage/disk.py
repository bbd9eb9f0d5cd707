"""Whether the disk of a store takes what is written."""

from __future__ import annotations

import math
import shutil
import time

from vadistill.errors import StorageError
from vadistill.limits import LEAST_FREE
from vadistill.serving.storage.store import Store

PROBE_EVERY, RETRY = 10.0, 2.0
"""Seconds between two tries while it works, and while it does not."""


class Disk:
    """``trouble`` is why the last ``probe`` failed, '' if it did not."""

    def __init__(self, store: Store) -> None:
        self._store, self._probed = store, -math.inf
        self.trouble = ""

    def probe(self) -> None:
        """Try to write, unless that was done just now."""
        if time.monotonic() - self._probed < (RETRY if self.trouble else PROBE_EVERY):
            return
        self._probed = time.monotonic()
        try:
            self._store.probe()
            path = self._store.media / ".probe"
            path.write_bytes(bytes(4096))
            path.unlink()
            free = shutil.disk_usage(self._store.folder).free
        except (StorageError, OSError) as error:
            # Paths are the server's own affair.
            reason = getattr(error, "strerror", None) or str(error)
            self.trouble = reason.replace(str(self._store.folder), "…")
        else:
            low = f"{free / 1e6:.0f} MB are free, less than {LEAST_FREE / 1e6:.0f}"
            self.trouble = low if free < LEAST_FREE else ""
