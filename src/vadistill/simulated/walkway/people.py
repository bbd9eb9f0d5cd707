"""People with two-segment limbs that a gait moves.  Body lengths are shares of the height."""

from __future__ import annotations

import math
from functools import partial

from vadistill.simulated.walkway.figures import Frame, Limb, Look, Part, Pose, Shape, bend, dim
from vadistill.simulated.walkway.scene import Point

THIGH, SHIN, UPPER_ARM, FOREARM = 0.25, 0.24, 0.165, 0.15
ANKLE = 0.045
RELEASE = 0.72
"""The progress of a throw at which the hand lets go."""


def stride_length(speed: float, height: float, run: bool = False) -> float:
    """Metres per gait cycle of someone of ``height`` metres at ``speed`` m/s."""
    return height * (0.55 + 0.29 * speed) if run else height * (0.40 + 0.26 * speed)


def _foot(pose: Pose, phase: float, height: float) -> tuple[float, float, float]:
    """Ankle (forward, up) and the pitch of the foot, from the hip's plumb line, at a gait phase.

    In stance the ankle moves back exactly as fast as the body moves on, so feet do not slide.
    """
    phase %= 1.0
    stance = 0.36 if pose.run else 0.60
    half, behind, roll = pose.stride * stance / 2, 0.02 * height, 0.035 * height
    if phase < stance:
        share = phase / stance
        off = max(0.0, (share - 0.6) / 0.4)  # the heel leaves the ground, the toe stays
        forward = half * (1 - 2 * share) - behind + roll * off * off
        up, pitch = 0.065 * height * off * off, -0.75 * off + 0.3 * max(0.0, 1 - share / 0.15)
    else:
        share = (phase - stance) / (1 - stance)
        ease = (1 - math.cos(math.pi * share)) / 2
        forward = -half + (2 * half - roll) * ease + roll - behind
        lift = (0.17 if pose.run else 0.05) * height
        up = 0.065 * height * (1 - share) ** 2 + lift * math.sin(math.pi * share)
        pitch = -0.75 + 1.05 * ease
    return forward * pose.amount, up * pose.amount, pitch * pose.amount


def hand_place(look: Look, pose: Pose) -> Point:
    """Where the right hand is in the world: what is held or thrown starts there."""
    return _skeleton(look, pose)["hand right"]


def _skeleton(look: Look, pose: Pose) -> dict[str, Point]:
    """Joints in the world; ``left`` and ``right`` are the person's own."""
    h, frame = look.height, Frame(pose.x, pose.z, pose.heading, pose.base)
    squat, balance = pose.crouch, pose.arms == "balance"
    cycle = 2 * math.pi * pose.phase
    # Lowest when both feet are on the ground, or a runner's one; highest over one straight leg.
    bob = -0.014 * math.cos(2 * cycle - (1.6 if pose.run else 0.3)) * pose.amount
    hip = (0.53 - (0.028 if pose.run else 0.016) * pose.amount - 0.29 * squat + bob) * h
    back = -0.09 * squat * h
    lean = (0.17 if pose.run else 0.05) * pose.amount + 0.65 * squat
    spine = 0.30 * h
    top = (back + spine * math.sin(lean), hip + spine * math.cos(lean))
    ahead = frame.at(1, 0)[0] - frame.x, 0.0, frame.at(1, 0)[2] - frame.z
    joints = {
        "pelvis": frame.at(back, hip),
        "neck": frame.at(*top),
        "head": frame.at(top[0] + (0.03 + 0.06 * squat) * h, top[1] + (0.118 - 0.02 * squat) * h),
        "ahead": ahead,
    }
    apart = 0.15 * h if balance else 0.045 * h * (1 + squat)
    for side, sign, offset in (("left", 1, 0.0), ("right", -1, 0.5)):
        forward, up, pitch = _foot(pose, pose.phase + offset, h)
        left = sign * apart
        joints[f"hip {side}"] = frame.at(back, hip, sign * 0.045 * h)
        joints[f"ankle {side}"] = ankle = frame.at(forward, up + ANKLE * h, left)
        joints[f"toe {side}"] = frame.at(
            forward + 0.105 * h * math.cos(pitch),
            max(0.012 * h, up + 0.02 * h + 0.105 * h * math.sin(pitch)),
            left * 1.15,
        )
        joints[f"knee {side}"] = bend(
            joints[f"hip {side}"], ankle, THIGH * h, SHIN * h, ahead
        )  # knees bend forward
        swing = math.cos(cycle + 2 * math.pi * offset)
        angle = -(0.75 if pose.run else 0.42) * swing * pose.amount + 0.04 + 0.5 * squat
        fold = (1.5 if pose.run else 0.22 + 0.15 * pose.amount * max(0.0, -swing)) + 0.4 * squat
        outward = 0.02 * h
        if pose.arms == "phone" and side == "right":
            angle, fold = 0.35, 2.15
        elif pose.arms == "hold":
            angle, fold, outward = 0.3, 1.25, -0.03 * h
        elif pose.arms == "catch":
            angle, fold, outward = 1.0, 0.7, -0.02 * h
        elif pose.arms == "throw" and side == "right":
            wound = min(pose.progress / 0.5, 1.0)
            through = max(0.0, (pose.progress - 0.5) / 0.5)
            angle, fold = -0.2 - 2.3 * wound - 2.9 * through, 0.9 * (1 - through)
        elif balance:
            angle, fold, outward = 0.15 * sign, 0.5, 0.13 * h
        shoulder = frame.at(top[0], top[1] - 0.01 * h, sign * 0.098 * h * look.build)
        across = sign * 0.105 * h * look.build
        elbow = (
            top[0] + UPPER_ARM * h * math.sin(angle),
            top[1] - 0.01 * h - UPPER_ARM * h * math.cos(angle),
        )
        joints[f"shoulder {side}"] = shoulder
        joints[f"elbow {side}"] = frame.at(*elbow, across + sign * outward)
        joints[f"hand {side}"] = frame.at(
            elbow[0] + FOREARM * h * math.sin(angle + fold),
            elbow[1] - FOREARM * h * math.cos(angle + fold),
            across + sign * outward * 1.6,
        )
    return joints


def person(look: Look, pose: Pose, moved: dict[str, Point] | None = None) -> list[Part]:
    """Someone in a pose; ``moved`` puts joints elsewhere, for those who ride or drive."""
    h, joints = look.height, _skeleton(look, pose)
    if moved:
        joints |= moved
    return [*(_leg(look, joints, side) for side in ("left", "right")),
            *(_arm(look, joints, side) for side in ("left", "right")),
            *_trunk(look, joints, h)]  # fmt: skip


def _leg(look: Look, joints: dict[str, Point], side: str) -> Part:
    h = look.height
    hip, knee, ankle, toe = (joints[f"{n} {side}"] for n in ("hip", "knee", "ankle", "toe"))
    lower = look.skin if look.shorts else look.trousers
    shapes: list[Shape] = [
        Limb(ankle, toe, 0.022 * h, look.shoes),
        Limb(knee, ankle, 0.031 * h, dim(lower, 0.94)),
        Limb(hip, knee, 0.046 * h * look.build, look.trousers),
    ]
    # A little behind where it is: the shirt hangs over both legs' tops, seen from the side too.
    return Part((hip[2] + knee[2] + ankle[2]) / 3 + 0.05 * h, shapes)


def _arm(look: Look, joints: dict[str, Point], side: str) -> Part:
    h = look.height
    shoulder, elbow, hand = (joints[f"{n} {side}"] for n in ("shoulder", "elbow", "hand"))
    sleeve = dim(look.top, 0.92)
    shapes: list[Shape] = [
        Limb(elbow, hand, 0.022 * h, look.skin if look.short_sleeves else sleeve),
        Limb(hand, hand, 0.024 * h, look.skin),
        Limb(shoulder, elbow, 0.030 * h * look.build, sleeve),
    ]
    if look.bag == "tote" and side == "right":
        x, y, z = hand
        shapes += [Limb((x, y - 0.07 * h, z), (x, y - 0.15 * h, z), 0.06 * h, look.bag_colour)]
    return Part((shoulder[2] + elbow[2] + hand[2]) / 3, shapes)


def _beside(ahead: Point, h: float, point: Point, forward: float, up: float) -> Point:
    """A point moved by shares of the height along the chest's direction and up."""
    x, y, z = point
    return x + ahead[0] * forward * h, y + up * h, z + ahead[2] * forward * h


def _trunk(look: Look, joints: dict[str, Point], h: float) -> list[Part]:
    pelvis, neck, head, ahead = (joints[n] for n in ("pelvis", "neck", "head", "ahead"))
    depth = (pelvis[2] + neck[2]) / 2

    off = partial(_beside, ahead, h)
    shapes: list[Shape] = []
    if look.coat:
        shapes.append(Limb(off(pelvis, 0, -0.01), off(pelvis, 0, -0.13), 0.072 * h, look.top))
    shapes.append(Limb(off(pelvis, 0, 0), pelvis, 0.068 * h * look.build, look.trousers))
    for side in ("left", "right"):
        low, high = joints[f"hip {side}"], joints[f"shoulder {side}"]
        inner: Point = tuple((3 * s + n) / 4 for s, n in zip(high, neck, strict=True))  # type: ignore[assignment]
        shapes.append(
            Limb(off(low, 0, 0.03), off(inner, 0, -0.035), 0.05 * h * look.build, look.top)
        )
    shapes.append(Limb(off(pelvis, 0, 0.05), off(neck, 0, -0.06), 0.066 * h * look.build, look.top))
    shapes.append(Limb(neck, off(neck, 0.01, 0.05), 0.028 * h, look.skin))
    parts = [Part(depth, shapes)]
    hair = Limb(off(head, -0.014, 0.012), off(head, -0.002, 0.022), 0.056 * h, look.hair)
    face = Limb(off(head, 0.018, -0.014), off(head, 0.014, 0.004), 0.047 * h, look.skin)
    crown: list[Shape] = [hair, face] if hair.start[2] > face.start[2] else [face, hair]
    if look.long_hair:
        crown.append(Limb(off(head, -0.03, 0), off(neck, -0.035, 0.01), 0.034 * h, look.hair))
    parts.append(Part(head[2] - 0.01, crown))
    if look.bag == "backpack":
        pack = Limb(off(neck, -0.10, -0.07), off(pelvis, -0.095, 0.09), 0.066 * h, look.bag_colour)
        parts.append(Part(pack.start[2], [pack]))
    elif look.bag == "shoulder":
        x, y, z = joints["hip left"]
        side = (x - ahead[2] * 0.085 * h, y, z + ahead[0] * 0.085 * h)
        strap = Limb(joints["shoulder right"], off(side, 0, 0.03), 0.011 * h, look.bag_colour)
        pouch = Limb(off(side, -0.045, 0.0), off(side, 0.045, 0.0), 0.055 * h, look.bag_colour)
        parts += [Part(depth - 0.02, [strap]), Part(side[2], [pouch])]
    return parts
