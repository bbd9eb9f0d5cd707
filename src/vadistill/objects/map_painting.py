"""Anomaly maps from scored boxes: how object-centric detectors say where, frame by frame."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Float32

from vadistill.errors import ConfigError
from vadistill.objects.base import Boxes
from vadistill.scores import FrameScore

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
