"""The place of a simulated walkway: its camera, coordinates, and what stands in the way.

World coordinates are metres: ``x`` to the right, ``y`` up, ``z`` away from the camera.  On the
ground, ``along`` runs with the path and ``across`` from its middle line towards the far lawn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float32, Float64, UInt8

Point = tuple[float, float, float]
"""x, y, z in metres."""

FAR_EDGE, NEAR_EDGE = 4.4, -4.2
"""The path's edges, in metres across."""
MIDDLE = 22.0
TILT = math.radians(5)
SUN = (0.38, -0.20)
"""Shadow of a point one metre up: metres in x and z."""
DETAIL = 2
"""Pictures are painted this much larger and then reduced, which smooths every edge."""


@dataclass(frozen=True)
class Camera:
    """A fixed camera 11.3 m up; verticals stay vertical, people are 29 to 50 of 240 pixels tall."""

    width: int
    height: int

    HEIGHT = 11.3

    @property
    def focal(self) -> float:
        return 500 * self.height / 240

    @property
    def horizon(self) -> float:
        """Row of the horizon, far above the picture."""
        return -106 * self.height / 240

    def scale(self, z: float) -> float:
        """Pixels per metre at distance ``z``."""
        return self.focal / z

    def project(self, points: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n 2"]:
        """Columns and rows of world points."""
        x, y, z = points.T
        scale = self.focal / z
        return np.stack(
            [self.width / 2 + x * scale, self.horizon + (self.HEIGHT - y) * scale], axis=1
        )

    def half_view(self, z: float) -> float:
        """Metres from the middle to the picture's side at distance ``z``."""
        return self.width / 2 * z / self.focal


def to_world(along: float, across: float, y: float = 0.0) -> Point:
    """A point given along and across the path."""
    return (
        along * math.cos(TILT) + across * math.sin(TILT),
        y,
        MIDDLE + across * math.cos(TILT) - along * math.sin(TILT),
    )


@dataclass(frozen=True, eq=False)
class Occluder:
    """Something fixed that hides what passes behind it."""

    z: float
    left: int
    top: int
    rgb: Float32[np.ndarray, "h w 3"]
    """0 to 255, multiplied by alpha."""
    alpha: Float32[np.ndarray, "h w 1"]


@dataclass(frozen=True, eq=False)
class Scene:
    """The empty walkway under full sun, and its occluders."""

    camera: Camera
    background: Float32[np.ndarray, "h w 3"]
    occluders: tuple[Occluder, ...]


def reduce(picture: UInt8[np.ndarray, "h w c"]) -> Float32[np.ndarray, "h2 w2 c"]:
    """A picture painted at ``DETAIL`` times its size, reduced to it."""
    h, w = picture.shape[0] // DETAIL, picture.shape[1] // DETAIL
    return cv2.resize(picture, (w, h), interpolation=cv2.INTER_AREA).astype(np.float32)
