"""What normal footage has to offer for planting: its objects, their ways, and what is usual."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from jaxtyping import Bool, Float

from vadistill.evaluation.selftest.cutting import Cutout, Walk
from vadistill.video import Polygon, inside

STANDING = 0.12
"""Own heights a second below which an object stands."""

CELL = 8
"""Pixels of a 360x240 picture along a cell of the map of usual places."""


@dataclass(frozen=True, eq=False)
class Cast:
    """What normal footage has to offer: objects, and what is usual of them."""

    walks: tuple[Walk, ...]
    hidden: tuple[Polygon, ...] = ()
    """What is masked where objects are planted."""

    @cached_property
    def moving(self) -> tuple[Walk, ...]:
        """Those that do not stand."""
        return tuple(walk for walk in self.walks if walk.speed >= STANDING)

    @cached_property
    def fast(self) -> tuple[Walk, ...]:
        """The faster half of those that move."""
        ordered = sorted(self.moving, key=lambda walk: walk.speed)
        return tuple(ordered[len(ordered) // 2 :])

    @property
    def nobody_stands(self) -> bool:
        """Whether all but one in twenty keep moving, all the time."""
        still = [walk for walk in self.walks if _longest_stand(walk) > 1.5]
        return len(self.walks) >= 8 and len(still) <= 0.05 * len(self.walks)

    def is_one_way(self, walk: Walk) -> bool:
        """Whether nearly all that move near a walk go where it goes."""
        near = [w for w in self.moving if _distance(w, walk) < 2 * walk.height]
        along = [float(w.velocity @ walk.velocity) for w in near]
        against = sum(a < 0 for a in along)
        return len(near) >= 8 and against <= 0.05 * len(near)

    @cached_property
    def places(self) -> Bool[np.ndarray, "h w"]:
        """Cells of ``CELL`` pixels near which somebody has stood or walked."""
        width, height = self.walks[0].size
        cell = CELL * width / 360
        seen = np.zeros((int(height / cell) + 1, int(width / cell) + 1), np.uint8)
        for walk in self.walks:
            columns, rows = (walk.feet / cell).astype(int).T
            keep = (rows >= 0) & (rows < seen.shape[0]) & (columns >= 0)
            keep &= columns < seen.shape[1]
            seen[rows[keep], columns[keep]] = 1
        return cv2.dilate(seen, np.ones((3, 3), np.uint8)).astype(bool)

    def share_of_usual(self, feet: Float[np.ndarray, "t 2"]) -> float:
        """Share of a way that is over usual places."""
        cell = CELL * self.walks[0].size[0] / 360
        columns, rows = (feet / cell).astype(int).T
        rows = rows.clip(0, self.places.shape[0] - 1)
        columns = columns.clip(0, self.places.shape[1] - 1)
        return float(self.places[rows, columns].mean())

    def hides(self, cutouts: Iterable[Cutout]) -> bool:
        """Whether the mask is where an object's middle or foot ever is: a camera shows no such."""
        width, height = self.walks[0].size
        return any(
            # The foot without the seam below it: one may walk along a mask's edge.
            inside(cutout.foot[0] / width, (cutout.top + share * len(cutout.alpha)) / height, each)
            for each in self.hidden
            for cutout in cutouts
            for share in (0.5, 0.9)
        )


def _longest_stand(walk: Walk) -> float:
    """Seconds of the longest stand in a walk."""
    longest = run = 0
    for still in (walk.speeds < STANDING).tolist():
        run = run + 1 if still else 0
        longest = max(longest, run)
    return longest / walk.fps


def _distance(a: Walk, b: Walk) -> float:
    """Least distance of two ways, in pixels."""
    step = max(1, len(b) // 8)
    ways = a.feet[:, None] - b.feet[None, ::step]
    return float(np.hypot(ways[..., 0], ways[..., 1]).min())
