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
from jaxtyping import Bool, Float, Float32

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
        self.scores = np.array([step.score for step in steps])
        self.traits = _rows([step.traits for step in steps])
        """The same columns of all: they are of one model."""


class Memory:
    """What one camera's false alarms hold back; ``note`` is told of each time that one does.

    ``radius`` is the model's: how near in all traits things are alike; None where it is not known.
    """

    def __init__(self, note: Callable[[int, float], object], radius: float | None = None) -> None:
        self._note, self._radius = note, radius
        self._known: tuple[list[FalseAlarm], Steps, np.ndarray] = ([], Steps(()), np.zeros(0, int))
        """The alarms, all their steps, and which alarm each step is of."""
        self._last: dict[int, float] = {}

    def __len__(self) -> int:
        return len(self._known[0])

    def learn(self, alarms: list[FalseAlarm]) -> None:
        """Remember these from now on, and no others."""
        steps = [step for alarm in alarms for step in alarm.trail.steps]
        of = [i for i, alarm in enumerate(alarms) for _ in alarm.trail.steps]
        self._known = alarms, Steps(steps), np.array(of, np.int64)

    def like(
        self,
        boxes: Float32[np.ndarray, "n 4"],
        scores: Float[np.ndarray, " n"],
        traits: Float32[np.ndarray, "n k"],
        reason: str,
    ) -> tuple[Bool[np.ndarray, " n"], list[int]]:
        """Which objects are like a false alarm, and the numbers of those alarms' events.

        ``reason`` is that of the highest object; of others none is known, so that without traits
        they are only like alarms without one.
        """
        alarms, known, of = self._known
        if not alarms or not len(boxes):
            return np.zeros(len(boxes), bool), []
        near = np.asarray(scores[:, None] <= known.scores)
        if traits.shape[1] and self._radius is not None:
            near &= iou(boxes, known.boxes) >= OVERLAP
            near &= apart(traits, known.traits) <= self._radius
        else:
            reasons = ["" for _ in boxes]
            reasons[int(np.argmax(scores))] = kind(reason)
            had = [[alarm.trail.has(each) for alarm in alarms] for each in reasons]
            near &= (iou(boxes, known.boxes) >= NARROW) & np.array(had)[:, of]
        found = np.asarray(near.any(1))
        return found, [alarms[int(of[row.argmax()])].event for row in near[found]]

    def held(self, events: list[int], when: float) -> None:
        """These have held a frame below its level, at a time in Unix seconds."""
        for event in events:
            if when - self._last.get(event, -np.inf) > PAUSE:
                self._note(event, when)
            self._last[event] = when


def _rows(rows: Sequence[Sequence[float]]) -> Float32[np.ndarray, "n k"]:
    return np.array(rows, np.float32).reshape(len(rows), -1 if len(rows) else 0)
