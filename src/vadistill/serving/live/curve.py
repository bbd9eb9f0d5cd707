"""The curve of one camera's scores, on its way into the store and to the pages."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

import numpy as np

from vadistill.serving.storage.store import Store

CHUNK_SECONDS = 20.0
"""Scores are written to the store in pieces of this length."""

HELD_SCORES = 100_000
"""Scores that wait for a full disk at most; further ones are left out."""


class Curve:
    """Points (Unix seconds, score) of a camera; ``keep`` says whether the store took a write."""

    def __init__(
        self, camera: str, store: Store, keep: Callable[[Callable[[], None]], bool]
    ) -> None:
        self._camera, self._store, self._keep = camera, store, keep
        self._new: deque[tuple[float, float]] = deque()
        self._writing, self._written = threading.Lock(), time.monotonic()
        self._points: deque[tuple[float, float]] = deque(maxlen=1000)

    def add(self, wall: float, score: float) -> None:
        """The next point."""
        if len(self._new) < HELD_SCORES:
            self._new.append((wall, score))
        self._points.append((wall, score))

    def due(self) -> bool:
        """Whether a chunk is long enough to be written; it is told once of each."""
        due = time.monotonic() - self._written >= CHUNK_SECONDS
        if due:
            self._written = time.monotonic()
        return due

    @property
    def settled(self) -> bool:
        """Whether all of it is in the store."""
        return not self._new

    def write(self) -> None:
        """Put the points so far into the store; what a full disk refuses is kept for later."""
        with self._writing:  # the console asks for the curve, too
            self._written = time.monotonic()
            points = np.array([self._new[i] for i in range(len(self._new))], np.float64)
            if not len(points):
                return
            times, scores = points.T
            if self._keep(
                lambda: self._store.add_scores(
                    self._camera, times.copy(), scores.astype(np.float32)
                )
            ):
                for _ in points:
                    self._new.popleft()

    def take_points(self) -> list[tuple[float, float]]:
        """Points since the last call."""
        points = []
        while self._points:
            points.append(self._points.popleft())
        return points
