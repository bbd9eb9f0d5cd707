"""False alarms that are remembered: what is like one of them does not count.

Something is like a false alarm where its box overlaps one that the event had on its way by half at
least (intersection over union: place and size), its reason is of a kind that the event had, and its
score is not a tenth higher above the level than the event was at its peak.  All three are fixed,
and on the side of telling.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
from jaxtyping import Bool, Float, Float32

from vadistill.serving.storage.records import FalseAlarm, Place, Trail
from vadistill.systems.blend.merging import iou

OVERLAP = 0.5
"""Intersection over union of two boxes that are alike."""

SAME = 0.8
"""The same of two that are one on an event's way."""

LONGEST = 64
"""Boxes of an event that are kept."""

PAUSE = 10.0
"""Seconds after which what is held back counts as another time."""


def kind(reason: str | None) -> str:
    """A reason without its numbers."""
    return re.sub(r"\d+(\.\d+)?", "#", reason or "")


class Way:
    """Where an event's highest object was so far, and the kinds of reasons it had.

    ``of`` stands for the model and the view that it is seen by.
    """

    def __init__(self, of: str = "") -> None:
        self._of = of
        self._boxes: list[tuple[float, ...]] = []
        self._reasons: set[str] = set()

    def add(self, place: Place | None) -> None:
        """The next frame's."""
        if place is None or place.box is None:
            return
        self._reasons.add(kind(place.reason))
        near = self._boxes and iou(_array([place.box]), _array(self._boxes)).max() > SAME
        if near:
            return
        if len(self._boxes) >= LONGEST:
            self._boxes = self._boxes[::2]
        self._boxes.append(tuple(round(x, 4) for x in place.box))

    @property
    def trail(self) -> Trail | None:
        """None where no frame told a place."""
        found = Trail(tuple(self._boxes), tuple(sorted(self._reasons)), self._of)
        return found if self._boxes else None


class Memory:
    """What one camera's false alarms hold back; ``note`` is told of each time that one does."""

    def __init__(self, note: Callable[[int, float], object]) -> None:
        self._note = note
        self._known: tuple[list[FalseAlarm], np.ndarray, np.ndarray] = ([], _array([]), _array([]))
        """The alarms, all their boxes, and which alarm each box is of."""
        self._last: dict[int, float] = {}

    def __len__(self) -> int:
        return len(self._known[0])

    def learn(self, alarms: list[FalseAlarm]) -> None:
        """Remember these from now on, and no others."""
        boxes = [box for alarm in alarms for box in alarm.trail.boxes]
        of = [i for i, alarm in enumerate(alarms) for _ in alarm.trail.boxes]
        self._known = alarms, _array(boxes), np.array(of, np.int64)

    def like(
        self,
        boxes: Float32[np.ndarray, "n 4"],
        scores: Float[np.ndarray, " n"],
        reason: str,
    ) -> tuple[Bool[np.ndarray, " n"], list[int]]:
        """Which objects are like a false alarm, and the numbers of those alarms' events.

        ``reason`` is that of the highest object; of others none is known, so that they are only
        like alarms without one.
        """
        alarms, known, of = self._known
        found, events = np.zeros(len(boxes), bool), []
        if not alarms or not len(boxes):
            return found, events
        near = iou(boxes, known) >= OVERLAP
        reasons = ["" for _ in boxes]
        reasons[int(np.argmax(scores))] = kind(reason)
        for row in np.flatnonzero(near.any(1)):
            for i in np.unique(of[near[row]]):
                alarm = alarms[int(i)]
                if scores[row] <= alarm.highest and alarm.trail.has(reasons[row]):
                    found[row] = True
                    events.append(alarm.event)
                    break
        return found, events

    def held(self, events: list[int], when: float) -> None:
        """These have held a frame below its level, at a time in Unix seconds."""
        for event in events:
            if when - self._last.get(event, -np.inf) > PAUSE:
                self._note(event, when)
            self._last[event] = when


def _array(boxes: list[tuple[float, ...]]) -> Float32[np.ndarray, "n 4"]:
    return np.array(boxes, np.float32).reshape(-1, 4)
