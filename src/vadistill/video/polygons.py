"""Places in a picture as polygons, and video in which some are painted over."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from vadistill.errors import ConfigError
from vadistill.limits import CORNERS, POLYGONS
from vadistill.video.base import Frame, VideoSource

Polygon = tuple[tuple[float, float], ...]
"""Corners x, y in [0, 1] from the picture's upper left, as shares of its width and height."""

GREY = 127
"""What masks are painted with: the middle of all values."""


def flaw(polygon: Any) -> str:
    """What keeps something from being a polygon; '' where nothing does."""
    if not isinstance(polygon, Sequence) or not 3 <= len(polygon) <= CORNERS:
        return f"3 to {CORNERS} corners [x, y]"
    for corner in polygon:
        numbers = isinstance(corner, Sequence) and len(corner) == 2
        if not (numbers and all(type(x) in (int, float) and 0 <= x <= 1 for x in corner)):
            return "corners [x, y] in [0, 1], shares of the picture's width and height"
    corners = np.array(polygon, np.float64)
    flat = np.linalg.matrix_rank(corners - corners.mean(0), tol=1e-9) < 2
    return "corners that are not on one line" if flat else ""


def tidy(polygon: Sequence[Sequence[float]]) -> Polygon:
    """A polygon as tuples of floats."""
    return tuple((float(x), float(y)) for x, y in polygon)


def read_masks(path: Path | None) -> tuple[Polygon, ...]:
    """The polygons of a JSON file, ``[[[x, y], …], …]``, none of None; raises ConfigError."""
    if path is None:
        return ()
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or "it is no JSON"
        raise ConfigError(
            f"cannot read the mask {path} ({reason})",
            expected="a JSON file of polygons",
            fix="write it as [[[0.1, 0.0], [0.4, 0.0], [0.4, 0.3]]], corners in [0, 1]",
        ) from None
    if not isinstance(found, list) or not 1 <= len(found) <= POLYGONS:
        raise ConfigError(
            f"the mask {path}",
            expected=f"a list of 1 to {POLYGONS} polygons, each a list of corners [x, y]",
            fix="correct it",
        )
    for number, polygon in enumerate(found, 1):
        if expected := flaw(polygon):
            raise ConfigError(
                f"polygon {number} of the mask {path}", expected=expected, fix="correct it"
            )
    return tuple(map(tidy, found))


def inside(x: float, y: float, polygon: Polygon) -> bool:
    """Whether a point in [0, 1] lies in a polygon; one that crosses itself is hollow there."""
    found, (last_x, last_y) = False, polygon[-1]
    for corner_x, corner_y in polygon:
        if (corner_y > y) != (last_y > y):
            edge = corner_x + (y - corner_y) / (last_y - corner_y) * (last_x - corner_x)
            found ^= x < edge
        last_x, last_y = corner_x, corner_y
    return found


def painted(
    image: UInt8[np.ndarray, "h w *c"], polygons: Sequence[Polygon]
) -> UInt8[np.ndarray, "h w *c"]:
    """A picture with polygons in grey; itself where there are none."""
    if not polygons:
        return image
    import cv2

    made = np.ascontiguousarray(image).copy()
    size = np.array(made.shape[1::-1])
    for polygon in polygons:
        corners = np.round(np.array(polygon) * size - 0.5).astype(np.int32)
        cv2.fillPoly(made, [corners], (GREY, GREY, GREY))
    return made


class Covered(VideoSource):
    """Another source with polygons of every frame in grey: nothing ever moves there."""

    def __init__(self, source: VideoSource, polygons: Sequence[Polygon]) -> None:
        self.source, self.polygons = source, tuple(polygons)
        self.info = replace(source.info)

    def __iter__(self) -> Iterator[Frame]:
        for frame in self.source:
            yield Frame(frame.index, frame.time, painted(frame.image, self.polygons))
        self.corrupt_frames = self.source.corrupt_frames


def covered(source: VideoSource, polygons: Sequence[Polygon]) -> VideoSource:
    """The source with these polygons in grey, or itself where there are none."""
    return Covered(source, polygons) if polygons else source
