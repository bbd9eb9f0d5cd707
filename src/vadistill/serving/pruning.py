"""What goes because it is too old, too much, or of nobody any more."""

from __future__ import annotations

import logging
from contextlib import suppress
from pathlib import Path

from vadistill.errors import StorageError
from vadistill.serving.config import Settings
from vadistill.serving.faults import Faults
from vadistill.serving.jobs.leftovers import prune_jobs
from vadistill.serving.jobs.queue import Jobs
from vadistill.serving.storage.clock import Clock
from vadistill.serving.storage.recordings import prune_recordings, trim_recordings
from vadistill.serving.storage.room import for_clips, for_recordings, for_uploads, used
from vadistill.serving.storage.store import Store

log = logging.getLogger("vadistill.serving")

KEEP = "keep"
"""Days and bytes that the folder's own server keeps, in the store's values."""


class Pruner:
    """Keeps a server's folder within what its settings say.

    One that is ``visiting`` leaves others' recordings, and what the folder's own server would keep.
    """

    def __init__(
        self, folder: Path, store: Store, jobs: Jobs, faults: Faults, *, visiting: bool
    ) -> None:
        self._recordings, self._uploads = folder / "recordings", folder / "uploads"
        self._store, self._jobs, self._faults = store, jobs, faults
        self._clock, self._visiting = Clock(store), visiting

    def upload_room(self, settings: Settings) -> int:
        """Bytes that further uploads may have."""
        return for_uploads(_bytes(settings)) - used(self._jobs.folder, self._uploads)

    def prune(self, settings: Settings) -> None:
        """Do it once; a step that fails keeps no other from its work."""
        faults, recordings = self._faults, self._recordings
        now: float | None = None
        days, keep = settings.storage.keep_days, _bytes(settings)
        with faults.of("the clock"):
            now = self._clock.look()
            days, keep = self._kept(days, keep)
        with faults.of("pruning of uploads"):
            prune_jobs(self._jobs.folder, self._jobs.all())
        if now is None:
            return
        hours = {c.name: c.record_hours for c in settings.cameras if c.record_hours > 0}
        jobs = used(self._jobs.folder, self._uploads)
        with faults.of("pruning of recordings"):
            prune_recordings(recordings, hours, now, others=not self._visiting)
            room = for_recordings(keep, jobs, used(self._store.media))
            if trim_recordings(recordings, room, cameras=hours if self._visiting else None):
                log.info(
                    "the oldest recordings were removed: keep_gb leaves them %d MB", room / 1e6
                )
        with faults.of("pruning of events"):
            room = for_clips(keep, jobs, used(recordings))
            self._store.prune(now, keep_days=days, keep_bytes=room)

    def _kept(self, days: float, keep: int) -> tuple[float, int]:
        """What is kept: of a visitor, at least what the folder's own server said last."""
        own = self._store.value(KEEP, [0.0, 0])
        if self._visiting:
            return max(days, own[0]), max(keep, own[1])
        if own != [days, keep]:
            with suppress(StorageError):  # a full disk must not keep retention from making room
                self._store.save_value(KEEP, [days, keep])
        return days, keep


def _bytes(settings: Settings) -> int:
    return int(settings.storage.keep_gb * 1e9)
