"""What figures are made of: solids, the look and the pose of people, joints.

A figure is a list of parts; a part is a list of shapes that are painted together.  Parts are
painted from far to near.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

from vadistill.simulated.walkway.scene import Point

Colour = tuple[int, int, int]
Arms = Literal["swing", "phone", "hold", "throw", "catch", "balance"]


class Limb(NamedTuple):
    """A rod with round ends; a ball where the ends are one."""

    start: Point
    end: Point
    radius: float
    colour: Colour


class Face(NamedTuple):
    """A flat convex polygon."""

    corners: tuple[Point, ...]
    colour: Colour


class Ring(NamedTuple):
    """A closed line."""

    corners: tuple[Point, ...]
    width: float
    colour: Colour


Shape = Limb | Face | Ring


class Part(NamedTuple):
    """Shapes painted together; ``depth`` is their distance from the camera in metres."""

    depth: float
    shapes: list[Shape]


@dataclass(frozen=True)
class Look:
    """What a person looks like."""

    height: float
    build: float
    top: Colour
    trousers: Colour
    skin: Colour
    hair: Colour
    shoes: Colour
    bag: Literal["none", "backpack", "shoulder", "tote"]
    bag_colour: Colour
    coat: bool = False
    short_sleeves: bool = False
    shorts: bool = False
    long_hair: bool = False


@dataclass(frozen=True)
class Pose:
    """How a person stands at one moment."""

    x: float
    z: float
    heading: float
    """Direction of the chest in radians: 0 is to the right, π/2 away from the camera."""
    phase: float = 0.0
    """Gait cycles walked so far; a whole number is the left heel's strike."""
    stride: float = 1.4
    """Metres a gait cycle covers."""
    amount: float = 0.0
    """0 standing to 1 in full stride."""
    run: bool = False
    crouch: float = 0.0
    """0 upright to 1 squatting."""
    arms: Arms = "swing"
    progress: float = 0.0
    """Of a throw, 0 to 1; the hand lets go at ``people.RELEASE``."""
    base: float = 0.0
    """Height of what the feet stand on, in metres."""


class Frame:
    """Local axes (forward, up, left) at a place on the ground."""

    def __init__(self, x: float, z: float, heading: float, base: float = 0.0) -> None:
        self.x, self.z, self.base = x, z, base
        self.cos, self.sin = math.cos(heading), math.sin(heading)

    def at(self, forward: float, up: float, left: float = 0.0) -> Point:
        return (
            self.x + forward * self.cos - left * self.sin,
            self.base + up,
            self.z + forward * self.sin + left * self.cos,
        )


def dim(colour: Colour, by: float) -> Colour:
    """A colour made darker (below 1) or lighter."""
    r, g, b = (min(255, round(c * by)) for c in colour)
    return r, g, b


def bend(start: Point, end: Point, first: float, second: float, towards: Point) -> Point:
    """The joint of two rods between two points (inverse kinematics), bent ``towards`` somewhere."""
    span = [e - s for s, e in zip(start, end, strict=True)]
    length = max(math.hypot(*span), 1e-6)
    reach = min(length, 0.999 * (first + second))
    share = (first**2 - second**2 + reach**2) / (2 * reach)
    rise = math.sqrt(max(first**2 - share**2, 0.0))
    unit = [s / length for s in span]
    along = sum(u * t for u, t in zip(unit, towards, strict=True))
    side = [t - along * u for t, u in zip(towards, unit, strict=True)]
    size = max(math.hypot(*side), 1e-6)
    x, y, z = (s + share * u + rise * d / size for s, u, d in zip(start, unit, side, strict=True))
    return x, y, z
