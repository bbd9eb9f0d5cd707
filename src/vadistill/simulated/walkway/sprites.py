"""Figures that belong in nobody's footage, drawn by themselves: to be planted into real video."""

from __future__ import annotations

import math
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float32

from vadistill.simulated.walkway.casting import Casting
from vadistill.simulated.walkway.figures import Colour, Frame, Limb, Part, Pose, Shape
from vadistill.simulated.walkway.render import draw
from vadistill.simulated.walkway.scene import Camera, WalkwayConfig
from vadistill.simulated.walkway.vehicles import cart, cyclist, skateboarder, thrown_object

Foreign = Literal["cyclist", "cart", "skateboarder", "dog", "ball"]
FOREIGN: tuple[Foreign, ...] = get_args(Foreign)

PERSON = 1.7
"""Height in metres of the people whose place a figure takes."""

_Z = 20.0
"""Distance from the camera at which figures are drawn, in metres."""


def dog(colour: Colour, pose: Pose, travelled: float) -> list[Part]:
    """A large dog that trots."""
    frame = Frame(pose.x, pose.z, pose.heading)
    shapes: list[Shape] = [Limb(frame.at(-0.35, 0.55), frame.at(0.3, 0.58), 0.14, colour)]
    for forward, left, turn in ((-0.38, 0.1, 0.0), (-0.38, -0.1, 0.5), (0.3, 0.1, 0.5),
                                (0.3, -0.1, 0.0)):  # fmt: skip
        swing = 0.16 * math.sin(2 * math.pi * (travelled / 1.1 + turn))
        foot = frame.at(forward + swing, 0.04, left)
        shapes.append(Limb(frame.at(forward, 0.5, left), foot, 0.05, colour))
    shapes.append(Limb(frame.at(0.36, 0.66), frame.at(0.52, 0.82), 0.1, colour))
    shapes.append(Limb(frame.at(0.52, 0.84), frame.at(0.72, 0.8), 0.075, colour))
    shapes.append(Limb(frame.at(-0.45, 0.62), frame.at(-0.68, 0.84), 0.035, colour))
    return [Part(pose.z, shapes)]


def sprite(
    kind: Foreign,
    rng: np.random.Generator,
    *,
    pixels_per_metre: float,
    right: bool,
    metres: Float32[np.ndarray, " t"],
) -> list[Float32[np.ndarray, "h w 4"]]:
    """One foreign figure after so many ``metres`` of its way, a picture for each.

    Red, green and blue (0 to 255) are multiplied by alpha, which is 0 to 1.  The figure
    stands or hovers over the middle of the lowest row.  It heads to the ``right`` or to the left.
    """
    look = Casting(WalkwayConfig(), rng).look(bag="none")
    red, green, blue = rng.integers(30, 210, 3).tolist()
    colour: Colour = (red, green, blue)
    height = round(240 * pixels_per_metre * _Z / 500)
    camera = Camera(2 * (height * 3 // 4), height)
    pose = Pose(0.0, _Z, (0.0 if right else math.pi) + float(rng.uniform(-0.35, 0.35)))
    drawn = []
    for travelled in metres.tolist():
        if kind == "cyclist":
            parts = cyclist(look, colour, pose, travelled)
        elif kind == "cart":
            parts = cart(look, colour, pose, travelled)
        elif kind == "skateboarder":
            parts = skateboarder(look, colour, pose)
        elif kind == "dog":
            parts = dog(colour, pose, travelled)
        else:
            bounce = 0.2 + 0.9 * abs(math.sin(2.2 * travelled))
            parts = thrown_object("ball", colour, (0.0, bounce, _Z), travelled)
        drawn.append(_standing(draw(camera, parts), camera))
    return drawn


def _standing(
    drawn: tuple[int, int, Float32[np.ndarray, "h w 4"]], camera: Camera
) -> Float32[np.ndarray, "h2 w2 4"]:
    """The picture widened so that the place that the figure stands on is its bottom's middle."""
    left, top, picture = drawn
    foot_x, foot_y = camera.project(np.array([[0.0, 0.0, _Z]]))[0]
    picture = picture / np.array([1, 1, 1, 255], np.float32)
    before, after = foot_x - left, left + picture.shape[1] - foot_x
    pad_x = (max(0, round(after - before)), max(0, round(before - after)))
    below = max(0, round(foot_y - top) - picture.shape[0])
    return np.pad(picture, ((0, below), pad_x, (0, 0)))
