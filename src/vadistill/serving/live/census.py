"""How much goes on before a camera that has no model yet: what there is to learn from.

One picture a second is looked at.  What differs from the empty scene counts, whatever it is.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

from vadistill.errors import StorageError
from vadistill.objects import build
from vadistill.serving.config import CameraSettings
from vadistill.serving.storage.later import Later
from vadistill.serving.storage.store import Store
from vadistill.video import Frame, VideoSource, painted
from vadistill.windows import Triplet

EVERY = 1.0
"""Seconds between two looks."""
COUNTS = ("looked", "busy", "objects")
WRITTEN = 20.0
"""Seconds after which the counts are kept."""


class Census:
    """Counts what is seen by the hour; kept in the store, ``later``, for as long as the footage."""

    def __init__(self, camera: CameraSettings, store: Store, later: Later) -> None:
        self._camera, self._store, self._later = camera, store, later
        self._new, self._refused = [0, 0, 0], [0, 0, 0]
        self._written = time.monotonic()

    def watching(self, source: VideoSource) -> Iterator[Frame]:
        """The source's frames, looked at as they go by."""
        finder, last = build("only:background"), -EVERY
        finder.start(source.info)
        try:
            for frame in source:
                now = time.monotonic()
                if now - last >= EVERY:
                    last = now
                    seen = replace(frame, image=painted(frame.image, self._camera.masks))
                    self.count(len(finder.boxes(Triplet(seen, seen, seen))))
                if now - self._written >= WRITTEN:
                    self.write()
                yield frame
        finally:
            self.write()

    def count(self, objects: int) -> None:
        """So many objects were seen in a picture."""
        self._new = _sum(self._new, (1, objects > 0, objects))

    def write(self) -> None:
        """Add the counts to those of the hour; what a full disk refuses is kept for later."""
        self._written = time.monotonic()
        self._later.put(partial(self._add, self._new, int(time.time() // 3600)))
        self._new = [0, 0, 0]

    def _add(self, new: Sequence[int], hour: int) -> None:
        self._refused = new = _sum(self._refused, new)
        if not new[0]:
            return
        with suppress(StorageError):
            rows = {row[0]: row[1:] for row in self._store.value(_key(self._camera.name), [])}
            rows[hour] = _sum(rows.get(hour, [0, 0, 0]), new)
            oldest = hour - self._camera.record_hours - 1
            kept = [[at, *counts] for at, counts in sorted(rows.items()) if at >= oldest]
            self._store.save_value(_key(self._camera.name), kept)
            self._refused = [0, 0, 0]


def seen(store: Store, camera: str, hours: float) -> dict[str, Any]:
    """Of a camera's last ``hours``: pictures that were ``looked`` at, how many of them were
    ``busy``, and the ``objects`` in all of them."""
    since = time.time() // 3600 - hours
    rows = [row for row in store.value(_key(camera), []) if row[0] >= since]
    looked, busy, objects = (
        sum(column) for column in list(zip(*rows, strict=True))[1:] or [[]] * 3
    )
    return {"looked": looked, "busy": busy, "objects": objects}


def _sum(before: Sequence[int], more: Sequence[int]) -> list[int]:
    return [n + m for n, m in zip(before, more, strict=True)]


def _key(camera: str) -> str:
    return f"seen:{camera}"
