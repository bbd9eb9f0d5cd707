"""False alarms that are remembered: what is like one of them does not count.

Something is like a false alarm where, at one step of the event's way, it is at the same place and
of the same size (intersection over union of their boxes), it scores at most a tenth higher above
the level, and is as near in each trait as few things of normal footage are (the model's radius).
Of a model that tells no traits, boxes must overlap more, and the reason be of a kind that the event
had.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Bool, Float32, Int

from vadistill.objects.likeness import OVERLAP, apart, iou
from vadistill.serving.storage.records import FalseAlarm, Place, Step, Trail

NARROW = 0.7
"""Intersection over union of two boxes that are alike where nothing but reasons is known beside."""

SAME = (0.8, 0.1)
"""The same, and by what traits differ, of two boxes that are one step of an event's way."""

LONGEST = 64
"""Steps of an event that are kept."""

PAUSE = 10.0
"""Seconds after which what is held back counts as another time."""


def kind(reason: str | None) -> str:
    """A reason without its numbers."""
    return re.sub(r"\d+(\.\d+)?", "#", reason or "")


class Way:
    """Where an event's highest object was so far, how high, and the kinds of reasons it had.

    Of a long event each step is the highest of so many frames, as many for each; the first frame,
    the last and so the highest are always kept.  ``of`` stands for the model and the view that it
    is seen by.
    """

    def __init__(self, of: str = "") -> None:
        self._of = of
        self._steps: list[Step] = []
        self._numbers: list[int] = []
        """Which frame each step is of."""
        self._frames, self._each = 0, 1
        """How many there were, and how many are one step."""
        self._last: Step | None = None
        """The last frame, where it is no step."""
        self._reasons: set[str] = set()

    def add(self, place: Place | None, score: float) -> None:
        """The next frame's."""
        if place is None or place.box is None:
            return
        self._reasons.add(kind(place.reason))
        box, traits = (tuple(round(x, 4) for x in each) for each in (place.box, place.traits))
        number, self._frames = self._frames, self._frames + 1
        same, self._last = self._same(box, traits), None
        if same is not None:
            old = self._steps[same]
            self._steps[same] = old._replace(score=max(old.score, score))
            return
        step = Step(box, score, traits)
        self._steps.append(step)
        self._numbers.append(number)
        self._thin()
        self._last = None if self._steps[-1] is step else step

    def _thin(self) -> None:
        """Leave the highest of each ``_each`` frames, of twice as many where it is still full."""
        while True:
            found: dict[int, int] = {}
            for place, number in enumerate(self._numbers):
                part = -1 if place == 0 else number // self._each
                best = found.setdefault(part, place)
                if self._steps[place].score > self._steps[best].score:
                    found[part] = place
            if len(found) < LONGEST:
                break
            self._each *= 2
        self._steps = [self._steps[place] for place in found.values()]
        self._numbers = [self._numbers[place] for place in found.values()]

    def _same(self, box: tuple[float, ...], traits: tuple[float, ...]) -> int | None:
        """Which step such an object is no new one beside."""
        if not self._steps:
            return None
        known = Steps(self._steps)
        same = iou(_rows([box]), known.boxes) > SAME[0]
        same &= apart(_rows([traits]), known.traits) <= SAME[1]
        return int(same.argmax()) if same.any() else None

    @property
    def trail(self) -> Trail | None:
        """None where no frame told a place."""
        steps = (*self._steps, *([self._last] if self._last else ()))
        return Trail(steps, tuple(sorted(self._reasons)), self._of) if steps else None


class Steps:
    """Steps of one or several events as arrays."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self.boxes = _rows([step.box for step in steps]).reshape(-1, 4)
        self.left, self.top = (np.ascontiguousarray(self.boxes[:, side]) for side in (0, 1))
        self.scores = np.array([step.score for step in steps])
        self.traits = _rows([step.traits for step in steps])
        """The same columns of all: they are of one model."""

    def reach(self, box: Float32[np.ndarray, "4"], score: float) -> Int[np.ndarray, " m"]:
        """Which are as high as ``score`` and begin near enough to overlap ``box`` by half."""
        x1, y1, x2, y2 = box
        # What overlaps by half is at most twice as wide, and begins within a width.
        near = (score <= self.scores) & (abs(self.left - x1) <= x2 - x1)
        return np.flatnonzero(near & (abs(self.top - y1) <= y2 - y1))


class Known:
    """False alarms, all their steps, and which alarm each step is of."""

    def __init__(self, alarms: list[FalseAlarm]) -> None:
        self.alarms = alarms
        self.steps = Steps([step for alarm in alarms for step in alarm.trail.steps])
        of = [place for place, alarm in enumerate(alarms) for _ in alarm.trail.steps]
        self.of = np.array(of, np.int64)
        kinds = {"", *(each for alarm in alarms for each in alarm.trail.reasons)}
        self._had = {
            each: np.array([alarm.trail.has(each) for alarm in alarms], bool)[self.of]
            for each in kinds
        }

    def had(self, kind: str, rows: Int[np.ndarray, " m"]) -> Bool[np.ndarray, " m"]:
        """Of which of these steps the event had a kind of reason."""
        found = self._had.get(kind)
        return np.zeros(len(rows), bool) if found is None else found[rows]


class Memory:
    """What one camera's false alarms hold back; ``note`` is told of each time that one does.

    ``radius`` is the model's: how near in all traits things are alike; None where it is not known.
    """

    def __init__(self, note: Callable[[int, float], object], radius: float | None = None) -> None:
        self._note, self._radius = note, radius
        self._known = Known([])
        self._last: dict[int, float] = {}

    def __len__(self) -> int:
        return len(self._known.alarms)

    def learn(self, alarms: list[FalseAlarm]) -> None:
        """Remember these from now on, and no others."""
        self._known = Known(alarms)

    def like(
        self,
        box: Float32[np.ndarray, "4"],
        score: float,
        traits: Float32[np.ndarray, " k"],
        reason: str,
    ) -> int | None:
        """The number of the event of a false alarm that an object is like, or None.

        ``box`` in shares of the picture; ``reason`` is '' where none is known: without traits it is
        only like alarms without one.
        """
        known = self._known
        rows = known.steps.reach(box, score)
        by_traits = len(traits) > 0 and self._radius is not None
        if len(rows):
            overlap = iou(box[None], known.steps.boxes[rows])[0]
            rows = rows[overlap >= (OVERLAP if by_traits else NARROW)]
        if len(rows) and self._radius is not None and by_traits:
            rows = rows[apart(traits[None], known.steps.traits[rows])[0] <= self._radius]
        elif len(rows):
            rows = rows[known.had(kind(reason), rows)]
        return known.alarms[int(known.of[rows[0]])].event if len(rows) else None

    def held(self, events: list[int], when: float) -> None:
        """These have held a frame below its level, at a time in Unix seconds."""
        for event in events:
            if when - self._last.get(event, -np.inf) > PAUSE:
                self._note(event, when)
            self._last[event] = when


def _rows(rows: Sequence[Sequence[float]]) -> Float32[np.ndarray, "n k"]:
    return np.array(rows, np.float32).reshape(len(rows), -1 if len(rows) else 0)
