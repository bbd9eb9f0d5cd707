"""Scored boxes from an anomaly map, for detectors that say where without finding objects."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32, Int

from vadistill.errors import ConfigError, DataError
from vadistill.objects.base import Boxes


def components(
    mask: Bool[np.ndarray, "h w"], smallest: int = 1
) -> tuple[Int[np.ndarray, "h w"], Int[np.ndarray, "n 4"]]:
    """8-connected components of at least ``smallest`` pixels, numbered from 1 (0 elsewhere).

    With them their boxes x1, y1, x2, y2 in pixels, x2 and y2 exclusive; row i is component i + 1.
    """
    import cv2

    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    kept = stats[:, cv2.CC_STAT_AREA] >= smallest
    kept[0] = False  # the background
    numbers = np.where(kept, np.cumsum(kept), 0)
    left, top, width, height = stats[kept, :4].T
    return numbers[labels.astype(np.intp)], np.stack(
        [left, top, left + width, top + height], axis=1
    )


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
