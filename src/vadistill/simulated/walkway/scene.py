"""What can be chosen about a simulated walkway, its camera, and what stands in the way.

World coordinates are metres: ``x`` to the right, ``y`` up, ``z`` away from the camera.  On the
ground, ``along`` runs with the path and ``across`` from its middle line towards the far lawn.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import cv2
import numpy as np
from jaxtyping import Float32, Float64, UInt8

from vadistill.errors import ConfigError

Anomaly = Literal["cyclist", "cart", "skateboarder", "runner", "wrong_way", "loitering", "thrown"]
ANOMALIES: tuple[str, ...] = get_args(Anomaly)
"""Kinds of abnormal events; each is the ``kind`` of its tracks."""

# Two per test video, in this order. Events whose looks give them away come most often, as on real
# walkways; what only time gives away (wrong way, loitering) is a minority.
_MIX: tuple[Anomaly, ...] = (
    *("cyclist", "cart"),
    *("thrown", "cyclist"),
    *("cart", "loitering"),
    *("skateboarder", "runner"),
    *("wrong_way", "cyclist"),
    *("cart", "thrown"),
)


@dataclass(frozen=True)
class WalkwayConfig:
    """A simulated walkway; equal settings give equal pixels.  Raises ConfigError."""

    seed: int = 0
    """Everything random: the place, the people, the light, the events."""
    train_clips: int = 6
    """Videos of normal life."""
    test_clips: int = 6
    """Videos with two abnormal events each: one that ends early, one that begins late."""
    frames: int = 150
    """Frames of each video."""
    width: int = 360
    height: int = 240
    fps: float = 15.0
    pedestrians: tuple[int, int] = (3, 7)
    """Fewest and most people in view at a time, on average over a video."""
    anomalies: tuple[Anomaly, ...] = _MIX
    """Kinds of the test videos' events, two per video, from the start again when used up."""

    def __post_init__(self) -> None:
        few, most = self.pedestrians
        allowed = {
            "seed": (self.seed >= 0, "0 or more"),
            "train_clips": (0 <= self.train_clips <= 99, "0 to 99"),
            "test_clips": (0 <= self.test_clips <= 99, "0 to 99"),
            "frames": (self.frames >= 2, "2 or more"),
            "width": (self.width >= 160 and self.width % 2 == 0, "an even number from 160"),
            "height": (self.height >= 120 and self.height % 2 == 0, "an even number from 120"),
            "fps": (math.isfinite(self.fps) and 1 <= self.fps <= 120, "1 to 120"),
            "pedestrians": (0 <= few <= most <= 40, "fewest and most, 0 to 40"),
            "anomalies": (
                len(self.anomalies) > 0 and set(self.anomalies) <= set(ANOMALIES),
                f"some of {', '.join(ANOMALIES)}",
            ),
        }
        for name, (good, expected) in allowed.items():
            if not good:
                raise ConfigError(
                    f"walkway {name} {getattr(self, name)}", expected=expected, fix="correct it"
                )

    def events(self, video: int) -> tuple[str, str]:
        """Kinds of the early and the late event of test video ``video`` (0-based)."""
        kinds = self.anomalies
        return kinds[2 * video % len(kinds)], kinds[(2 * video + 1) % len(kinds)]


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
