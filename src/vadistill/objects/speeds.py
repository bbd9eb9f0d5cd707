"""How fast objects move: statistics of the optical flow in their boxes.

One frame's flow says how fast something is at this moment, and is noisy; how far the points of a
box get in a third of a second says whether it really goes anywhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Float32

from vadistill.flow import Flow
from vadistill.objects.base import Boxes
from vadistill.soundness import require_array
from vadistill.video import Frame
from vadistill.windows import Triplet, Window

STATISTICS = ("percentile", "mean", "travel")
"""Of an object's speed: a high percentile and the mean of its pixels' speed over one frame, and the
mean distance that its points get in ``TRAVEL`` seconds."""

VELOCITY = ("right", "down")
"""The mean way of a box's points, by its components; of both directions' the shorter, as for
``travel``."""

TRAVEL = 1 / 3
"""Seconds of way that ``travel`` looks at, forwards and backwards."""

PERCENTILE = 95.0
"""Of the speeds of a box's pixels."""

SPEED_FLOW = "dis-fine"

SPEED_SIDE = 480
"""Pixels: the flow is computed on pictures whose longer side is at most so many."""

LONGEST = 30
"""Frames, at most, that an object is followed to each side: ``TRAVEL`` at 90 frames/s."""

GRID = 12
"""Points that are followed through a box, along each of its sides at most."""

Speeds = Float[np.ndarray, "n statistics"]
"""One row a box, one column a statistic."""


@dataclass(frozen=True)
class Scale:
    """What one statistic of speed is in normal footage, in pixels a second; a frame's highest."""

    median: float
    top: float
    """What a hundredth of the frames pass."""
    largest: float

    @classmethod
    def of(cls, values: np.ndarray) -> Scale:
        """From the highest speed of each normal frame."""
        median, top, largest = np.quantile(values, (0.5, 0.99, 1)).tolist()
        return cls(median, top, largest)

    @property
    def spread(self) -> float:
        """From 0 to 1; at least a tenth of the top, as all may move at one speed, or not at all."""
        return max(self.top - self.median, 0.1 * self.top) or self.largest or 1.0

    def __call__(self, speed: np.ndarray) -> np.ndarray:
        return (speed - self.median) / self.spread


def scaled(speeds: Speeds, scales: Sequence[Scale]) -> Speeds:
    """Each statistic on its own scale."""
    pairs = zip(scales, speeds.T, strict=True)
    return np.stack([scale(column) for scale, column in pairs], axis=1)


def told(speeds: Speeds, scales: Sequence[Scale], statistics: Sequence[str] = STATISTICS) -> str:
    """What is unusual about the fastest of these objects, by the statistic that says so, or ''."""
    found = scaled(speeds, scales)
    if not found.size or found.max() <= 1:
        return ""
    row, column = map(int, np.unravel_index(found.argmax(), found.shape))
    largest = scales[column].largest
    times = speeds[row, column] / largest if largest > 0 else math.inf
    if times < 1.05:
        return "as fast as the fastest in normal footage"
    moves = "gets ahead" if statistics[column] == "travel" else "moves"
    if times == math.inf:
        return f"{moves} where nothing moves in normal footage"
    return f"{moves} {times:.1f} times as fast as anything in normal footage"


def saved_scales(values: object, statistics: int) -> list[Scale]:
    """Scales as a model has them, one a statistic; raises ValueError for what cannot be one."""
    scales = require_array(np.array(values, np.float64), "scales", "f", statistics, 3)
    if not (scales >= 0).all() or not (np.diff(scales) >= 0).all():
        raise ValueError(f"scales {values!r:.60}")
    return [Scale(*row) for row in scales.tolist()]


@dataclass(frozen=True)
class Step:
    """The flow from a frame to the next one."""

    field: Float32[np.ndarray, "h w 2"]
    """To the right and down, in pixels of the field's own size."""
    seconds: float
    scale: float
    """Pixels of the video to a pixel of the field."""


@dataclass(frozen=True)
class Moment:
    """A frame with its flow, and those around it as far as ``travel`` looks."""

    window: Triplet
    step: Step | None
    """From this frame, or to it for a video's last one; None if the video has one frame."""
    after: tuple[Step, ...]
    """Steps from this frame on, nearest first."""
    before: tuple[Step, ...]
    """Steps that led to this frame, nearest first."""


def frames_of_travel(fps: float | int) -> int:
    """Frames in ``TRAVEL`` seconds, one at least."""
    return max(1, round(fps * TRAVEL))


class Steps:
    """The flow from frame to frame of one video: each is computed once, when it is first needed.

    ``reach``: frames of ``travel`` to each side.  ``side``: the flow is computed on pictures whose
    longer side is at most so many pixels.
    """

    def __init__(self, flow: Flow, fps: float, reach: int, side: int | None) -> None:
        self._flow, self._fps, self._side = flow, fps, side
        self.reach = reach
        self._known: dict[int, Step] = {}
        """By the first frame's index."""

    def moment(self, window: Window) -> Moment:
        """A window's frame with the steps around it; those of later windows come later."""
        for index in [i for i in self._known if i < window.current.index - max(self.reach, 1)]:
            del self._known[index]
        ahead = self._step(window, 0)
        after = [self._step(window, offset) for offset in range(self.reach)]
        before = [self._step(window, -offset) for offset in range(1, self.reach + 1)]
        return Moment(
            Triplet.of(window),
            ahead or self._step(window, -1),
            tuple(filter(None, after)),
            tuple(filter(None, before)),
        )

    def _step(self, window: Window, offset: int) -> Step | None:
        """From the frame at ``offset`` to the next; None beyond the video's ends."""
        one, other = window.at(offset), window.at(offset + 1)
        if one is other:
            return None
        if one.index not in self._known:
            self._known[one.index] = step_between(one, other, self._flow, self._fps, self._side)
        return self._known[one.index]


def step_between(one: Frame, other: Frame, flow: Flow, fps: float, side: int | None) -> Step:
    """The flow from a frame to the next."""
    pictures = one.image, other.image
    height, width = one.image.shape[:2]
    scale = 1.0
    if side is not None and max(height, width) > side:
        scale = max(height, width) / side
        size = max(round(width / scale), 1), max(round(height / scale), 1)
        pictures = tuple(cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p in pictures)
    # Stamps of live video jitter: a frame that seems to come at once would be infinitely fast.
    seconds = max(other.time - one.time, 0.5 / fps)
    return Step(flow(*pictures), seconds, scale)


def speeds_of(
    boxes: Boxes, moment: Moment, statistics: tuple[str, ...], percentile: float, reach: int
) -> Speeds:
    """Speed of each box by each statistic, in pixels of the video a second."""
    found = np.zeros((len(boxes), len(statistics)))
    if moment.step is None or not len(boxes):
        return found
    followed = ("travel", *VELOCITY)
    ways = travel(boxes, moment, reach) if {*followed} & {*statistics} else None
    for column, name in enumerate(statistics):
        if ways is not None and name in followed:
            found[:, column] = ways[:, followed.index(name)]
        else:
            values = pixel_speeds(boxes, moment.step, None if name == "mean" else percentile)
            found[:, column] = values * moment.step.scale / moment.step.seconds
    return found


def pixel_speeds(boxes: Boxes, step: Step, percentile: float | None) -> Float[np.ndarray, " n"]:
    """Percentile (None: mean) of the length of the flow in each box, in the field's pixels."""
    found = np.zeros(len(boxes))
    for row, (x1, y1, x2, y2) in enumerate((boxes / step.scale).round().astype(int)):
        field = step.field[y1 : max(y2, y1 + 1), x1 : max(x2, x1 + 1)]
        if not field.size:
            continue
        part = np.hypot(field[..., 0], field[..., 1])
        if percentile is None:
            found[row] = part.mean()
        else:
            rank = min(int(part.size * percentile / 100), part.size - 1)
            found[row] = np.partition(part, rank, axis=None)[rank]
    return found


def travel(boxes: Boxes, moment: Moment, reach: int) -> Float[np.ndarray, "n 3"]:
    """How far each box's points get in ``reach`` frames, and where, in the video's pixels a second.

    The mean of their distances, then of their ways to the right and down.  They are followed
    forwards and backwards and the slower of both counts: where something is hidden or uncovered,
    the flow of one direction is made up.  Near a video's ends there is one direction only.
    """
    assert moment.step is not None
    points, owners = grid_points(boxes / moment.step.scale)
    ways = [steps for steps in (moment.after, moment.before) if len(steps) == reach]
    ways = ways or [max(moment.after, moment.before, key=len)]
    found = []
    for steps in ways:
        end = points
        for step in steps:
            end = end + at(step.field, end) if steps is moment.after else origins(step.field, end)
        way = (end - points) * (1 if steps is moment.after else -1)
        told = np.column_stack([np.hypot(*way.T), way]) * moment.step.scale
        sums = [np.bincount(owners, column, minlength=len(boxes)) for column in told.T]
        counts = np.bincount(owners, minlength=len(boxes))
        found.append(np.stack(sums, axis=1) / counts[:, None] / sum(s.seconds for s in steps))
    slower = np.argmin([each[:, 0] for each in found], axis=0)
    return np.stack(found)[slower, np.arange(len(boxes))]


def grid_points(boxes: Boxes) -> tuple[Float32[np.ndarray, "m 2"], np.ndarray]:
    """Up to ``GRID`` x ``GRID`` points spread evenly over each box, and the box of each."""
    first, sides = boxes[:, :2], boxes[:, 2:] - boxes[:, :2]
    counts = sides.astype(int).clip(1, GRID)[:, None]  # across and down
    numbers = np.arange(GRID)[:, None]
    at_number = first[:, None] + (numbers + 0.5) * sides[:, None] / counts - 0.5
    inside = numbers < counts
    owners, down, across = np.nonzero(inside[:, :, None, 1] & inside[:, None, :, 0])
    points = np.column_stack([at_number[owners, across, 0], at_number[owners, down, 1]])
    return points.astype(np.float32), owners


def at(field: Float32[np.ndarray, "h w 2"], points: np.ndarray) -> np.ndarray:
    """The flow at points between pixels; beyond the picture that of its edge."""
    if len(points) > 32000:  # remap takes at most 32,767 rows
        parts = np.array_split(points, len(points) // 32000 + 1)
        return np.concatenate([at(field, part) for part in parts])
    x, y = points.astype(np.float32)[:, None].transpose(2, 0, 1)
    return cv2.remap(field, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[:, 0]


def origins(field: Float32[np.ndarray, "h w 2"], points: np.ndarray) -> np.ndarray:
    """Where points came from: p with p + flow(p) = point, by two steps towards it."""
    start = points - at(field, points)
    return points - at(field, start)
