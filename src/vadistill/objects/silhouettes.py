"""The objects in one silhouette: people of a group touch and hide each other.

Figures of one object, in the size and shape learned from training video, are laid over a large
silhouette one by one, each where it covers the most that is not covered yet.  Each pixel then
belongs to the figure it is nearest to, and the boxes are those of the figures' pixels.  Where the
training video shows no typical object, silhouettes stay whole.

A silhouette comes as its strength: the contrast to the empty scene, and 0 outside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

Rectangle = tuple[int, int, int, int]
"""x1, y1, x2, y2 in pixels, x2 and y2 exclusive."""

FAINT = 0.1
"""Columns at a silhouette's sides with less than this share of the strongest column's sum are a
shadow: low and faint."""
LARGE = 1.2
"""Widths or heights of a typical object above which a silhouette may hold several."""
SOLID = 0.7
"""Silhouettes that fill more than this share of their box stay whole: people leave gaps between
them, and a vehicle that is larger than any person has none."""
COVER = 0.4
"""A figure is laid where it covers new foreground with at least this share of its mass …"""
GAP = 0.25
"""… of which the mass that falls beside the silhouette, times this, is taken off."""
REACH = 1.4
"""Pixels farther from every figure's centre than this many of its half sides belong to none."""
MOST = 12
"""Silhouettes of more figures than this stay whole: it is the light that changed, not a crowd."""
FIGURE = (16, 32)
"""Width and height at which shapes are averaged."""
TYPICAL = (0.75, 1.25)
"""Silhouettes count as one object if both sides are within these shares of the typical ones …"""
TRUST = 0.1
"""… which are believed if such silhouettes hold at least this share of all foreground."""
SAMPLES = (30, 2000)
"""Fewest silhouettes to learn from, and most."""
QUANTILE = 0.25
"""Of the sides that silhouettes have at one height, weighted by the root of their area: low, for
some hold several; weighted, for scenes have many fragments."""


class Seen(NamedTuple):
    """A silhouette of training video: sides as shares of the picture's height."""

    bottom: float
    width: float
    height: float
    shape: UInt8[np.ndarray, "32 16"]
    """Its mask at ``FIGURE`` size, 0 to 255."""

    @classmethod
    def of(cls, strength: Float32[np.ndarray, "h w"], y: int, picture_height: int) -> Seen:
        """``y`` is the silhouette's top, in pixels as ``picture_height``."""
        import cv2

        left, right = body(strength)
        mask = (strength[:, left:right] > 0) * np.uint8(255)
        height, width = mask.shape
        bottom, wide, tall = (side / picture_height for side in (y + height, width, height))
        return cls(bottom, wide, tall, cv2.resize(mask, FIGURE, interpolation=cv2.INTER_AREA))


@dataclass(frozen=True, eq=False)
class TypicalObject:
    """How large one object is at each height of the picture, and its shape.

    Sides are linear in the bottom edge, as those of upright objects on flat ground are.  The shape
    is a mean of many silhouettes: it cuts groups better than an ellipse or a rectangle.
    """

    table: Float32[np.ndarray, "rows 3"]
    """Bottom edge, width and height, all as shares of the picture's height, by ascending bottom."""
    shape: Float32[np.ndarray, "32 16"]
    """Share of silhouettes that hold each point of their box, 0 to 1; mirror-symmetric."""

    @classmethod
    def learn(cls, seen: list[Seen]) -> TypicalObject | None:
        """From silhouettes in any order; None where there are too few, or none is typical."""
        from sklearn.linear_model import QuantileRegressor

        fewest, most = SAMPLES
        if len(seen) < fewest:
            return None
        seen = seen[:: -(-len(seen) // most)]
        measured = np.array([s[:3] for s in seen], np.float32)
        bottoms, sides = measured[:, :1], measured[:, 1:]
        shapes = np.stack([s.shape for s in seen])
        areas = sides.prod(axis=1) * shapes.mean(axis=(1, 2))
        weights = np.sqrt(areas / areas.mean())
        lines = [
            QuantileRegressor(quantile=QUANTILE, alpha=0).fit(bottoms, s, sample_weight=weights)
            for s in sides.T
        ]
        ends, least = np.percentile(bottoms, [2, 98])[:, None], sides.min(axis=0)
        at_ends, usual = (
            np.maximum(np.column_stack([line.predict(where) for line in lines]), least)
            for where in (ends, bottoms)
        )
        single = ((sides > TYPICAL[0] * usual) & (sides < TYPICAL[1] * usual)).all(axis=1)
        if areas[single].sum() < TRUST * areas.sum():
            return None
        mean: Float32[np.ndarray, "32 16"] = shapes[single].mean(axis=0, dtype=np.float32) / 255
        table = np.concatenate([ends, at_ends], axis=1, dtype=np.float32)
        return cls(table, (mean + mean[:, ::-1]) / 2)

    def at(self, bottom: float) -> tuple[float, float]:
        """Width and height of an object that stands at ``bottom``, as shares of the height."""
        known = self.table[:, 0]
        width, height = (float(np.interp(bottom, known, self.table[:, i])) for i in (1, 2))
        return width, height

    def figure(self, bottom: float, picture_height: int) -> Float32[np.ndarray, "h w"]:
        """The shape in pixels of an object that stands at ``bottom`` (pixels); its mass is 1."""
        import cv2

        width, height = (side * picture_height for side in self.at(bottom / picture_height))
        size = (max(3, round(width)), max(3, round(height)))
        figure = cv2.resize(self.shape, size, interpolation=cv2.INTER_AREA)
        return figure / figure.sum()


def split(
    strength: Float32[np.ndarray, "h w"],
    x: int,
    y: int,
    typical: TypicalObject | None,
    picture_height: int,
    *,
    min_area: float,
) -> list[Rectangle]:
    """Rectangles of the objects in a silhouette whose box has its top left corner at (x, y).

    Objects that show fewer than a third of ``min_area`` pixels are dropped: others hide them.
    Without a typical object there is one rectangle.
    """
    height = len(strength)
    left, right = body(strength)
    whole = [(x + left, y, x + right, y + height)]
    if typical is None:
        return whole
    usual = [side * picture_height for side in typical.at((y + height) / picture_height)]
    silhouette = strength > 0
    small = right - left <= LARGE * usual[0] and height <= LARGE * usual[1]
    if small or silhouette.mean() > SOLID:
        return whole
    # Those who stand farther up in a group are smaller.
    figures = [typical.figure(bottom, picture_height) for bottom in (y + height, y + height / 2)]
    laid = lay(silhouette, figures)
    if not 2 <= len(laid) <= MOST:
        return whole
    rows, columns = np.nonzero(silhouette)
    centre, half = (laid[:, :2] + laid[:, 2:]) / 2, (laid[:, 2:] - laid[:, :2]) / 2
    aside = np.abs(columns[:, None] + 0.5 - centre[:, 0]) / half[:, 0]
    above = np.abs(rows[:, None] + 0.5 - centre[:, 1]) / half[:, 1]
    away = np.maximum(aside, above)
    owner = np.where(away.min(axis=1) <= REACH, away.argmin(axis=1), -1)
    found: list[Rectangle] = []
    for i in range(len(laid)):
        own_rows, own_columns = rows[owner == i], columns[owner == i]
        if len(own_rows) >= max(1.0, min_area / 3):
            part = np.zeros_like(strength)
            part[own_rows, own_columns] = strength[own_rows, own_columns]
            left, right = body(part)
            top, bottom = int(own_rows.min()), int(own_rows.max()) + 1
            found.append((x + left, y + top, x + right, y + bottom))
    return found or whole


def body(strength: Float32[np.ndarray, "h w"]) -> tuple[int, int]:
    """First column and last + 1 of a silhouette without the shadow it casts aside."""
    sums = strength.sum(axis=0)
    columns = np.flatnonzero(sums >= FAINT * sums.max())
    return int(columns[0]), int(columns[-1]) + 1


def lay(
    silhouette: Bool[np.ndarray, "h w"], figures: list[Float32[np.ndarray, "_ _"]]
) -> Float[np.ndarray, "n 4"]:
    """Rectangles of the figures that explain a silhouette, best first, in its pixels.

    They may reach over its edge by half of their sides.  It ends once there are more than ``MOST``.
    """
    import cv2

    tall = max(figure.shape[0] for figure in figures) // 2 + 1
    wide = max(figure.shape[1] for figure in figures) // 2 + 1
    value = np.where(silhouette, np.float32(1), np.float32(-GAP))
    value = np.pad(value, ((tall, tall), (wide, wide)), constant_values=-GAP)
    laid: list[tuple[int, int, int, int]] = []
    while len(laid) <= MOST:
        covers = [cv2.minMaxLoc(cv2.matchTemplate(value, f, cv2.TM_CCORR)) for f in figures]
        best = max(range(len(figures)), key=lambda i: covers[i][1])
        _, cover, _, (left, top) = covers[best]
        if cover < COVER:
            break
        height, width = figures[best].shape
        here = value[top : top + height, left : left + width]
        np.minimum(here, 0, out=here)
        laid.append((left - wide, top - tall, left - wide + width, top - tall + height))
    return np.array(laid, np.float64).reshape(-1, 4)
