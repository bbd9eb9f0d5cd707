"""Figures that do not belong on a walkway: a bicycle, a cart, a skateboard, a flying object."""

from __future__ import annotations

import math

from vadistill.simulated.walkway.figures import (
    Colour,
    Face,
    Frame,
    Limb,
    Look,
    Part,
    Pose,
    Ring,
    Shape,
    bend,
    dim,
)
from vadistill.simulated.walkway.people import FOREARM, SHIN, THIGH, UPPER_ARM, person
from vadistill.simulated.walkway.scene import Point

RUBBER: Colour = (38, 38, 40)
METRES_PER_PEDAL_TURN = 4.4


def cyclist(look: Look, colour: Colour, pose: Pose, travelled: float) -> list[Part]:
    """A rider on a bicycle after ``travelled`` metres: wheels and pedals have turned that far."""
    h, frame = look.height, Frame(pose.x, pose.z, pose.heading)
    crank, saddle = frame.at(0.0, 0.29), frame.at(-0.22, 0.93)
    rear, front, bars = frame.at(-0.50, 0.34), frame.at(0.56, 0.34), frame.at(0.40, 1.0)
    head_tube = frame.at(0.36, 0.78)
    shapes: list[Shape] = []
    for hub in (-0.50, 0.56):
        turn = -travelled / 0.34
        rim = tuple(
            frame.at(hub + 0.33 * math.cos(a), 0.34 + 0.33 * math.sin(a))
            for a in (turn + i * math.pi / 8 for i in range(16))
        )
        shapes.append(Ring(rim, 0.05, RUBBER))
        shapes += [Limb(rim[i], rim[i + 8], 0.008, (120, 120, 122)) for i in (0, 4)]
    tubes = ((rear, crank), (rear, saddle), (crank, saddle), (crank, head_tube),
             (frame.at(-0.18, 0.80), head_tube), (head_tube, front), (head_tube, bars))  # fmt: skip
    shapes += [Limb(a, b, 0.024, colour) for a, b in tubes]
    shapes.append(Limb(frame.at(-0.33, 0.95), frame.at(-0.1, 0.95), 0.045, RUBBER))
    ahead = (frame.cos, 0.0, frame.sin)
    hip, neck = frame.at(-0.20, 0.96), frame.at(0.12, 0.96 + 0.27 * h)
    moved: dict[str, Point] = {
        "pelvis": hip,
        "neck": neck,
        "head": frame.at(0.20, 0.96 + 0.385 * h),
    }
    angle = -2 * math.pi * travelled / METRES_PER_PEDAL_TURN
    for side, sign in (("left", 1), ("right", -1)):
        pedal = angle + (0 if sign > 0 else math.pi)
        foot = (0.17 * math.cos(pedal) - 0.04, 0.29 + 0.17 * math.sin(pedal) + 0.07)
        ankle, left = frame.at(*foot, sign * 0.11), sign * 0.045 * h
        start, grip = frame.at(-0.20, 0.96, left), frame.at(0.43, 1.02, sign * 0.24)
        shoulder = frame.at(0.12, 0.95 + 0.27 * h, sign * 0.098 * h * look.build)
        moved |= {
            f"hip {side}": start,
            f"ankle {side}": ankle,
            f"toe {side}": frame.at(foot[0] + 0.17, foot[1] - 0.05, sign * 0.12),
            f"knee {side}": bend(start, ankle, THIGH * h, SHIN * h, ahead),
            f"shoulder {side}": shoulder,
            f"hand {side}": grip,
            f"elbow {side}": bend(
                shoulder, grip, UPPER_ARM * h, FOREARM * h, (-frame.cos * 0.4, -1.0, 0.0)
            ),
        }
        shapes.append(Limb(frame.at(0.40, 1.0), grip, 0.02, RUBBER))
    return [Part(pose.z, shapes), *person(look, pose, moved)]


def skateboarder(look: Look, colour: Colour, pose: Pose) -> list[Part]:
    """Someone who stands sideways on a board that rolls along ``pose.heading``."""
    frame = Frame(pose.x, pose.z, pose.heading)
    board: list[Shape] = [
        Limb(frame.at(end, 0.04), frame.at(end, 0.04), 0.045, RUBBER) for end in (-0.28, 0.28)
    ]
    board.append(Limb(frame.at(-0.4, 0.12), frame.at(-0.3, 0.1), 0.03, colour))
    board.append(Limb(frame.at(-0.3, 0.1), frame.at(0.3, 0.1), 0.035, colour))
    board.append(Limb(frame.at(0.3, 0.1), frame.at(0.4, 0.12), 0.03, colour))
    turned = Pose(pose.x, pose.z, pose.heading + 1.35, crouch=pose.crouch, arms="balance", base=0.1)
    return [Part(pose.z + 0.3, board), *person(look, turned)]


def _faces_camera(frame: Frame, x: float, z: float) -> float:
    """Above 0 if a side whose outward normal is (x, z) can be seen from the camera."""
    return -(frame.x * x + frame.z * z)


def _box(
    frame: Frame,
    forward: tuple[float, float],
    up: tuple[float, float],
    half: float,
    colour: Colour,
) -> list[Shape]:
    """The faces of a box that the camera can see: its top, a side, and an end."""
    (rear, front), (low, high) = forward, up
    near = -half if _faces_camera(frame, -frame.sin, frame.cos) < 0 else half
    end = front if _faces_camera(frame, frame.cos, frame.sin) > 0 else rear
    side = (frame.at(rear, low, near), frame.at(front, low, near),
            frame.at(front, high, near), frame.at(rear, high, near))  # fmt: skip
    cap = (frame.at(end, low, -half), frame.at(end, low, half),
           frame.at(end, high, half), frame.at(end, high, -half))  # fmt: skip
    top = (frame.at(rear, high, -half), frame.at(front, high, -half),
           frame.at(front, high, half), frame.at(rear, high, half))  # fmt: skip
    return [Face(cap, dim(colour, 0.7)), Face(side, dim(colour, 0.86)), Face(top, colour)]


def _wheels(frame: Frame, travelled: float, side: float) -> list[Shape]:
    """A cart's two wheels on one side."""
    shapes: list[Shape] = []
    for hub in (-0.85, 0.85):
        centre, spin = frame.at(hub, 0.25, side), -travelled / 0.25
        spoke = frame.at(hub + 0.13 * math.cos(spin), 0.25 + 0.13 * math.sin(spin), side)
        shapes += [
            Limb(centre, centre, 0.25, RUBBER),
            Limb(centre, centre, 0.12, (150, 150, 150)),
            Limb(centre, spoke, 0.02, (60, 60, 60)),
        ]
    return shapes


def _pillars(frame: Frame, side: float) -> list[Shape]:
    """What holds a cart's roof on one side."""
    grey = (62, 64, 66)
    return [
        Limb(frame.at(-0.32, 0.6, side), frame.at(-0.32, 1.7, side), 0.035, grey),
        Limb(frame.at(0.86, 0.8, side), frame.at(0.62, 1.7, side), 0.035, grey),
    ]


def cart(look: Look, colour: Colour, pose: Pose, travelled: float) -> list[Part]:
    """A small service vehicle with a bed, a cab and a driver."""
    frame = Frame(pose.x, pose.z, pose.heading)
    near = -1 if _faces_camera(frame, -frame.sin, frame.cos) < 0 else 1
    ahead = (frame.cos, 0.0, frame.sin)

    seat = frame.at(0.0, 0.78, near * 0.22)
    moved: dict[str, Point] = {
        "pelvis": seat,
        "neck": frame.at(0.0, 1.24, near * 0.22),
        "head": frame.at(0.04, 1.44, near * 0.22),
    }
    for side, sign in (("left", 1), ("right", -1)):
        left = near * 0.22 + sign * 0.09
        shoulder, hand = frame.at(0.0, 1.22, left + sign * 0.08), frame.at(0.42, 1.05, left)
        moved |= {
            f"hip {side}": frame.at(0.0, 0.78, left),
            f"knee {side}": frame.at(0.42, 0.82, left),
            f"ankle {side}": frame.at(0.5, 0.45, left),
            f"toe {side}": frame.at(0.65, 0.42, left),
            f"shoulder {side}": shoulder,
            f"hand {side}": hand,
            f"elbow {side}": bend(shoulder, hand, 0.28, 0.26, (-ahead[0] * 0.3, -1.0, 0.0)),
        }
    driver = [
        s for p in sorted(person(look, pose, moved), key=lambda p: -p.depth) for s in p.shapes
    ]
    glass = Face(
        tuple(frame.at(f, u, s) for f, u, s in
              ((0.84, 0.86, -0.56), (0.84, 0.86, 0.56), (0.64, 1.66, 0.56), (0.64, 1.66, -0.56))),
        (86, 100, 108),
    )  # fmt: skip
    beacon, dark = frame.at(-0.2, 1.86), (74, 76, 78)
    facing = [glass] if _faces_camera(frame, frame.cos, frame.sin) > 0 else []
    layers: list[list[Shape]] = [
        _wheels(frame, travelled, -near * 0.55),
        _box(frame, (-1.3, 1.3), (0.3, 0.6), 0.6, colour),
        [*_pillars(frame, -near * 0.56), *([] if facing else [glass])],
        _box(frame, (-0.34, -0.22), (0.6, 1.25), 0.55, dark),
        _box(frame, (-1.3, -0.38), (0.6, 0.95), 0.6, dim(colour, 0.96)),
        _box(frame, (-1.18, -0.5), (0.95, 0.97), 0.48, dark),
        [Limb(frame.at(-0.05, 0.7), frame.at(0.1, 0.7), 0.12, dark), *driver],
        _box(frame, (0.84, 1.3), (0.6, 0.86), 0.6, colour),
        [Face(tuple(frame.at(f, u, near * 0.6) for f, u in
                    ((-0.34, 0.6), (0.3, 0.6), (0.3, 0.84), (-0.34, 0.84))), dim(colour, 0.82)),
         *facing, *_pillars(frame, near * 0.56), *_wheels(frame, travelled, near * 0.58)],
        _box(frame, (-0.42, 0.74), (1.7, 1.78), 0.62, (226, 226, 220)),
        [Limb(beacon, beacon, 0.08, (232, 150, 40))],
    ]  # fmt: skip
    return [Part(-i, shapes) for i, shapes in enumerate(layers)]


def thrown_object(kind: str, colour: Colour, place: Point, turn: float) -> list[Part]:
    """A ``ball``, or a ``bag`` turned by ``turn`` radians."""
    x, y, z = place
    if kind == "ball":
        shine = (x - 0.06, y + 0.07, z)
        return [
            Part(z, [Limb(place, place, 0.19, colour), Limb(shine, shine, 0.07, dim(colour, 1.3))])
        ]
    corners = tuple(
        (x + 0.27 * math.cos(turn + a), y + 0.27 * math.sin(turn + a), z)
        for a in (0.6, 2.5, 3.8, 5.6)
    )
    strap = (x + 0.42 * math.cos(turn + 1.5), y + 0.42 * math.sin(turn + 1.5), z)
    return [Part(z, [Face(corners, colour), Limb(place, strap, 0.03, dim(colour, 0.7))])]
