"""Procedural pictures of things that are in no video: solids of random outlines before a ground.

They stand for the pictures of other classes that the paper trains against, where no folder of such
pictures is at hand.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import UInt8

SOLIDS = (2, 6)
"""Fewest and most things in a picture."""


def figures(count: int, size: int, seed: int) -> UInt8[np.ndarray, "count s s"]:
    """Grey pictures of polygons, ellipses and bars, shaded and striped, one over the other."""
    rng = np.random.default_rng([seed, size])
    return np.stack([_figure(size, rng) for _ in range(count)])


def _figure(size: int, rng: np.random.Generator) -> UInt8[np.ndarray, "s s"]:
    picture = _shade(size, rng)
    for _ in range(rng.integers(SOLIDS[0], SOLIDS[1] + 1)):
        mask = np.zeros((size, size), np.uint8)
        centre = rng.uniform(0.1, 0.9, 2) * size
        radius = size * float(np.exp(rng.uniform(np.log(0.08), np.log(0.45))))
        kind = rng.integers(3)
        if kind == 0:
            angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 9)))
            spokes = radius * rng.uniform(0.4, 1.2, len(angles))
            points = centre + np.column_stack([np.cos(angles), np.sin(angles)]) * spokes[:, None]
            cv2.fillPoly(mask, [points.round().astype(np.int32)], 255, cv2.LINE_AA)
        elif kind == 1:
            axes = (int(radius) + 1, int(radius * rng.uniform(0.3, 1)) + 1)
            middle = (int(centre[0]), int(centre[1]))
            cv2.ellipse(mask, middle, axes, rng.uniform(0, 180), 0, 360, 255, -1, cv2.LINE_AA)
        else:
            ends = (centre + rng.normal(0, size / 3, (3, 2))).round().astype(np.int32)
            width = int(rng.integers(1, max(3, size // 8)))
            cv2.polylines(mask, [ends], bool(rng.integers(2)), 255, width, cv2.LINE_AA)
        part = mask.astype(np.float32) / 255
        picture = picture + part * (_shade(size, rng) - picture)
    blurred = cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.3, 1.2)))
    return np.clip(np.round(blurred), 0, 255).astype(np.uint8)


def _shade(size: int, rng: np.random.Generator) -> np.ndarray:
    """A grey that gets lighter along some direction; half of them have stripes, too."""
    y, x = np.mgrid[:size, :size].astype(np.float32) / size - 0.5
    angle = rng.uniform(0, 2 * np.pi)
    along = x * np.cos(angle) + y * np.sin(angle)
    shade = rng.uniform(20, 235) + rng.uniform(0, 80) * along
    if rng.random() < 0.5:
        turned = angle + rng.uniform(0, np.pi)
        waves = np.sin(2 * np.pi * rng.uniform(2, 12) * (x * np.cos(turned) + y * np.sin(turned)))
        shade = shade + rng.uniform(5, 50) * waves
    return shade.astype(np.float32)
