"""Cutting a silhouette of several objects where it is narrow."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float32

Rectangle = tuple[int, int, int, int]

NECK = 0.7
"""A column cut needs a valley below this share of the lower of the peaks on its two sides."""
NECK_OF_LARGE = 0.9
"""The same for silhouettes larger than one object, across or down."""
LARGE = (1.6, 1.4)
"""Width and height, in typical objects, above which a silhouette counts as several."""
SMALLEST = 0.4
"""Narrowest part that a cut may leave, in typical widths or heights."""


@dataclass(frozen=True, eq=False)
class ObjectSizes:
    """How large one object is at each height of the picture: near ones are larger."""

    table: Float32[np.ndarray, "bands 3"]
    """Bottom edge, width and height, all as shares of the picture's height, by ascending bottom."""

    @classmethod
    def learn(cls, measured: Float32[np.ndarray, "n 3"], bands: int = 6) -> ObjectSizes | None:
        """From bottom, width and height of silhouettes; None where there are too few to tell.

        The 40th percentile of a band, not its median: some silhouettes hold several objects.
        """
        least = 30
        if len(measured) < least:
            return None
        ordered = measured[np.argsort(measured[:, 0], kind="stable")]
        parts = np.array_split(ordered, min(bands, len(ordered) // least))
        rows = [(np.median(p[:, 0]), *np.percentile(p[:, 1:], 40, axis=0)) for p in parts]
        return cls(np.array(rows, np.float32))

    def at(self, bottom: float) -> tuple[float, float]:
        """Width and height of an object that stands at ``bottom``, as shares of the height."""
        known = self.table[:, 0]
        width, height = (float(np.interp(bottom, known, self.table[:, i])) for i in (1, 2))
        return width, height


def split(
    silhouette: Bool[np.ndarray, "h w"],
    x: int,
    y: int,
    *,
    typical: tuple[float, float] | None,
    min_area: float,
) -> list[Rectangle]:
    """Rectangles of the parts of a silhouette whose top left corner is at (x, y).

    A cut goes down a column where fewer pixels are foreground than on both sides; where the
    silhouette is taller than one object of ``typical`` width and height, also along a row.  Parts
    of fewer than ``min_area`` pixels are dropped.
    """
    rows, columns = np.flatnonzero(silhouette.any(1)), np.flatnonzero(silhouette.any(0))
    if len(rows) == 0 or np.count_nonzero(silhouette) < min_area:
        return []
    x, y = x + int(columns[0]), y + int(rows[0])
    part = silhouette[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = part.shape
    expected = typical or (float(width), float(height))
    best, cut = 1.0, (0, 0)
    for axis, length in enumerate((width, height)):
        large = length > LARGE[axis] * expected[axis]
        if axis == 1 and not large:
            continue
        at, depth = _valley(part.sum(axis), max(1, int(SMALLEST * expected[axis])))
        relative = depth / (NECK_OF_LARGE if large else NECK)
        if relative < best:
            best, cut = relative, (axis, at)
    if best == 1.0:
        return [(x, y, x + width, y + height)]
    axis, at = cut
    pieces = (
        ((part[:, :at], x, y), (part[:, at:], x + at, y))
        if axis == 0
        else ((part[:at], x, y), (part[at:], x, y + at))
    )
    return [r for p in pieces for r in split(*p, typical=typical, min_area=min_area)]


def _valley(profile: np.ndarray, margin: int) -> tuple[int, float]:
    """Where a profile is lowest against the peaks on both sides, and that ratio (inf: nowhere)."""
    if len(profile) < 2 * margin + 1:
        return 0, float("inf")
    counts: Float[np.ndarray, " n"] = np.pad(profile.astype(np.float64), 2, mode="edge")
    smooth = np.convolve(counts, np.full(5, 0.2), "valid")
    left = np.maximum.accumulate(smooth)
    right = np.maximum.accumulate(smooth[::-1])[::-1]
    ratio = (smooth / np.minimum(left, right))[margin : len(profile) - margin]
    at = int(ratio.argmin())
    return at + margin, float(ratio[at])
