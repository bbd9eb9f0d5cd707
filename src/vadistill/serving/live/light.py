"""Whether a camera sees by day or by night: with colours, or without as by infrared light.

Colours alone tell: a camera turns to infrared light in a moment, while dusk has no bound, and what
it does to scores is watched as drift.  A camera that never has colours is always the same.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, UInt8

from vadistill.serving.storage.store import Store

log = logging.getLogger("vadistill.serving")

Light = Literal["", "day", "night"]
"""The first while nothing was seen."""
Chunk = tuple[Float[np.ndarray, " _"], Float[np.ndarray, " _"]]
"""Times in Unix seconds, and scores."""

GREY, COLOURED = 1.5, 2.5
"""Grey levels by which a pixel's colours differ, in the median of all: below the first day turns to
night, from the second on night to day.  So nothing that takes less than half of a picture does."""

NOTHING = 3.0
"""Grey levels of deviation below which a picture shows nothing, and so no light."""

LASTS = 3.0
"""Seconds that another light must last."""

EVERY = 0.5
"""Seconds between two looks."""

TURN = 5.0
"""Seconds before and after a noted change that count for neither light: it is noted once it has
lasted, and detectors remember a moment."""

KEPT = 200
"""Changes that are remembered: scores are kept for a week."""


class Daylight:
    """The light of one camera; ``look`` at pictures, which may be small."""

    def __init__(self) -> None:
        self.now: Light = ""
        self._since: float | None = None
        """When another light was seen first, if it is."""

    def look(self, image: UInt8[np.ndarray, "h w 3"], moment: float) -> bool:
        """Whether the picture, of that time in monotonic seconds, is of another light than so far.

        It counts once it has lasted.
        """
        if image.std() < NOTHING:
            return False
        colour = float(np.median(image.max(2) - image.min(2)))
        seen: Light = "night" if colour < (COLOURED if self.now == "night" else GREY) else "day"
        if seen == self.now or not self.now:
            self.now, self._since = seen, None
            return False
        self._since = moment if self._since is None else self._since
        if moment - self._since >= LASTS:
            self.now, self._since = seen, None
        return True


def note_light(store: Store, camera: str, light: Light, wall: float) -> None:
    """Remember by which light a camera sees from a time (Unix seconds) on; raises StorageError."""
    changes = store.value(key(camera), [])
    if not changes or changes[-1][1] != light:
        store.save_value(key(camera), [*changes, [wall, light]][-KEPT:])
        log.info("camera %s sees by %s", camera, light)


def by_light(chunks: Sequence[Chunk], changes: Sequence[Sequence[Any]]) -> dict[Light, list[Chunk]]:
    """Pieces of a curve by their light.

    ``changes``: when (Unix seconds) to which, as noted.  What is before the first has none, and
    what is ``TURN`` around one is left out.
    """
    starts = np.array([wall for wall, _ in changes], np.float64)
    lights: list[Light] = ["", *(light for _, light in changes)]
    found: dict[Light, list[Chunk]] = defaultdict(list)
    for times, scores in chunks:
        before, after = (np.searchsorted(starts, times + by, "right") for by in (-TURN, TURN))
        which = np.where(before == after, before, -1)
        cuts = np.flatnonzero(np.diff(which)) + 1
        pieces = (np.split(part, cuts) for part in (times, scores, which))
        for own_times, own_scores, own in zip(*pieces, strict=True):
            if len(own) and own[0] >= 0:
                found[lights[own[0]]].append((own_times, own_scores))
    return dict(found)


def seconds_of(chunks: Sequence[Chunk]) -> float:
    """How long they are together."""
    return sum(float(times[-1] - times[0]) for times, _ in chunks)


def key(camera: str) -> str:
    """Of a camera's changes of light, in the store's values."""
    return f"light:{camera}"
