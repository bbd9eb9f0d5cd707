"""Anomaly maps and scored boxes: boxes from a map, and a map from boxes."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Float32

from vadistill.datasets.tracks import components
from vadistill.errors import ConfigError, DataError
from vadistill.objects.base import Boxes
from vadistill.scores import FrameScore


@dataclass(frozen=True)
class MapBoxes:
    """One box around every 8-connected component where the map is at or above ``level``.

    A box covers all video pixels of its component's cells, and its score is the highest value
    within the component.  Its ``name``, such as ``components0.5``, belongs beside figures.
    """

    level: float | int
    """In the map's own unit."""
    smallest: int = 1
    """Components of fewer cells of the map are left out."""

    def __post_init__(self) -> None:
        if not math.isfinite(self.level) or self.smallest < 1:
            raise ConfigError(
                f"map boxes at level {self.level:g} of {self.smallest} cells or more",
                expected="a finite level and at least 1 cell",
                fix="correct them",
            )

    @property
    def name(self) -> str:
        """Such as ``components0.5`` or, with ``smallest`` 4, ``components0.5/4``."""
        return f"components{self.level:g}" + f"/{self.smallest}" * (self.smallest > 1)

    def __call__(
        self, values: Float[np.ndarray, "h w"], *, width: int, height: int
    ) -> tuple[Boxes, Float32[np.ndarray, " _"]]:
        """Boxes in pixels of a video of ``width`` by ``height`` (x2, y2 exclusive), and scores.

        ``values`` covers the whole frame at any resolution.  Raises DataError unless it is finite.
        """
        if values.size == 0 or not np.isfinite(values).all():
            raise DataError(
                f"an anomaly map of shape {values.shape} with values that are absent or not finite",
                expected="a finite value in every cell",
                fix="check the model that made it",
            )
        labels, cells = components(values >= self.level, self.smallest)
        scores = np.full(len(cells) + 1, -np.inf, np.float32)
        np.maximum.at(scores, labels.ravel(), values.ravel().astype(np.float32))
        rows, columns = values.shape
        scale = np.array([width / columns, height / rows] * 2)
        boxes = np.round(cells * scale, 3)  # rounding errors must not reach into the next pixel
        boxes = np.hstack([np.floor(boxes[:, :2]), np.ceil(boxes[:, 2:])])
        return boxes.astype(np.float32), scores[1:]


SCALE = 4
"""Video pixels along a side of a map's cell: 60 rows of 90 for a video of 360x240 pixels."""


def paint(
    boxes: Boxes,
    scores: Float[np.ndarray, " n"],
    height: int,
    width: int,
    *,
    scale: int = SCALE,
) -> Float32[np.ndarray, "h w"]:
    """Each box filled with its score, the maximum where boxes overlap, 0 where there is none.

    ``boxes`` are in pixels of a video of ``height`` by ``width``; the map has one cell for
    ``scale`` x ``scale`` of them (rounded up at the right and bottom).  A box fills every cell that
    it touches, so its score is in the map however small it is.  Scores are 0 or more.
    """
    rows, columns = -(-height // scale), -(-width // scale)
    canvas = np.zeros((rows, columns), np.float32)
    limits = np.array([columns - 1, rows - 1])
    first = np.clip(np.floor(boxes[:, :2] / scale), 0, limits).astype(int)
    last = np.clip(np.ceil(boxes[:, 2:] / scale), first + 1, limits + 1).astype(int)
    for i in np.argsort(scores, kind="stable"):  # the highest is painted last
        canvas[first[i, 1] : last[i, 1], first[i, 0] : last[i, 0]] = scores[i]
    return canvas


def mean_filter(
    scored: Iterable[FrameScore], *, frames: int, cells: int = 1
) -> Iterator[FrameScore]:
    """The 3-D mean filter of maps over time and place; a frame's score is its new map's maximum.

    A map becomes the mean of those of ``frames`` frames around it (odd; as many as there are at a
    video's ends), ``frames // 2`` frames late, then of ``cells`` x ``cells`` cells.  Boxes keep
    their scores.  At most ``frames`` maps are held.  Raises ConfigError for even numbers.
    """
    for name, value in (("frames", frames), ("cells", cells)):
        if value < 1 or value % 2 == 0:
            raise ConfigError(
                f"a mean filter over {value} {name}",
                expected="an odd number, 1 for none",
                fix="correct the setting",
            )
    half = frames // 2
    held: deque[FrameScore] = deque(maxlen=frames)
    for frame in scored:
        held.append(frame)
        if frame.index >= half:
            yield _averaged(held, frame.index - half, cells)
    last = held[-1].index if held else -1
    for current in range(max(0, last - half + 1), last + 1):
        while held[0].index < current - half:
            held.popleft()
        yield _averaged(held, current, cells)


def _averaged(held: deque[FrameScore], current: int, cells: int) -> FrameScore:
    import cv2

    maps = [frame.map for frame in held if frame.map is not None]
    average = np.stack(maps).mean(0)
    if cells > 1:
        average = np.asarray(cv2.blur(average, (cells, cells), borderType=cv2.BORDER_REPLICATE))
    centre = next(frame for frame in held if frame.index == current)
    return replace(centre, map=average, score=float(average.max()))
