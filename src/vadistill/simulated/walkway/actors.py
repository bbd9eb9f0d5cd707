"""Everyone and everything that moves: where it is, how it stands, and when it is abnormal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from vadistill.simulated.walkway.figures import Arms, Colour, Look, Part, Pose
from vadistill.simulated.walkway.people import RELEASE, hand_place, person, stride_length
from vadistill.simulated.walkway.scene import TILT, Point, to_world
from vadistill.simulated.walkway.vehicles import cart, cyclist, skateboarder, thrown_object

Body = Literal["person", "cyclist", "cart", "skateboarder"]
Times = Float[np.ndarray, " t"]

ARMS: tuple[Arms, ...] = ("swing", "phone", "hold", "throw", "catch")
_TURN = 4.5  # radians a second at most


@dataclass(eq=False)
class Walker:
    """A person, on foot or riding, over all frames of a video."""

    look: Look
    along: Times
    """Metres along the path at each frame."""
    across: Times
    facing: Times
    """Where a standing person looks (radians from the path's direction); NaN: where it goes."""
    kind: str = "pedestrian"
    body: Body = "person"
    colour: Colour = (60, 60, 60)
    """Of the bicycle, the cart or the board."""
    run: bool = False
    gives_way: bool = True
    crouch: Times | None = None
    arms: np.ndarray | None = None
    """Indices into ``ARMS``; None: swinging."""
    progress: Times | None = None
    abnormal: Bool[np.ndarray, " t"] | None = None
    _poses: list[Pose] = field(default_factory=list)
    _travelled: Times | None = None

    @property
    def radius(self) -> tuple[float, float]:
        """Room it takes along and across the path, in metres."""
        return {"cart": (1.9, 1.0), "cyclist": (1.0, 0.45)}.get(self.body, (0.5, 0.38))

    def settle(self, fps: float) -> None:
        """Work out heading, gait and poses once the ways are final."""
        count = len(self.along)
        step = np.stack([np.gradient(self.along), np.gradient(self.across)])
        kernel = np.array([1, 4, 6, 4, 1], np.float64) / 16
        if count > 5:
            padded = np.pad(step, ((0, 0), (2, 2)), mode="edge")
            step = np.stack([np.convolve(row, kernel, mode="valid") for row in padded])
        speed = np.hypot(*step) * fps
        goal = np.arctan2(step[1], step[0])
        moving = (speed > 0.25) & np.isnan(self.facing)
        looking = np.where(np.isnan(self.facing), goal, self.facing)
        known = np.flatnonzero(moving | ~np.isnan(self.facing))
        heading = float(looking[known[0]]) if len(known) else 0.0
        phase, travelled = float(self.look.height * 7.3 % 1.0), np.cumsum(speed) / fps
        for t in range(count):
            if moving[t] or not np.isnan(self.facing[t]):
                turn = (looking[t] - heading + math.pi) % (2 * math.pi) - math.pi
                heading += float(np.clip(turn, -_TURN / fps, _TURN / fps))
            stride = stride_length(float(speed[t]), self.look.height, self.run)
            phase += float(speed[t]) / fps / stride
            x, _, z = to_world(float(self.along[t]), float(self.across[t]))
            self._poses.append(
                Pose(
                    x,
                    z,
                    heading - TILT,
                    phase=phase,
                    stride=stride,
                    amount=min(1.0, float(speed[t]) / 0.6),
                    run=self.run,
                    crouch=0.0 if self.crouch is None else float(self.crouch[t]),
                    arms="swing" if self.arms is None else ARMS[int(self.arms[t])],
                    progress=0.0 if self.progress is None else float(self.progress[t]),
                )
            )
        self._travelled = travelled

    def pose(self, frame: int) -> Pose:
        return self._poses[frame]

    def depth(self, frame: int) -> float:
        return self._poses[frame].z

    def is_abnormal(self, frame: int) -> bool:
        return self.abnormal is not None and bool(self.abnormal[frame])

    def parts(self, frame: int) -> list[Part]:
        """What is to be painted at a frame, from far to near."""
        pose = self._poses[frame]
        assert self._travelled is not None, "settle() comes first"
        way = float(self._travelled[frame])
        if self.body == "cart":
            return cart(self.look, self.colour, pose, way)
        if self.body == "cyclist":
            parts = cyclist(self.look, self.colour, pose, way)
        elif self.body == "skateboarder":
            parts = skateboarder(self.look, self.colour, pose)
        else:
            parts = person(self.look, pose)
        return sorted(parts, key=lambda part: -part.depth)


@dataclass(eq=False)
class Thrown:
    """An object that two people throw to each other; it is there from ``start`` to ``stop``."""

    form: str
    colour: Colour
    places: dict[int, Point]
    kind: str = "thrown"

    def depth(self, frame: int) -> float:
        return self.places[frame][2] - 0.1 if frame in self.places else math.inf

    def is_abnormal(self, frame: int) -> bool:
        return frame in self.places

    def parts(self, frame: int) -> list[Part]:
        if frame not in self.places:
            return []
        return thrown_object(self.form, self.colour, self.places[frame], 0.55 * frame)


Actor = Walker | Thrown


def fly(
    players: tuple[Walker, Walker], holder: np.ndarray, form: str, colour: Colour, fps: float
) -> Thrown:
    """The way of the thrown object.

    ``holder`` tells for each frame who has or had it last (0 or 1), -1 where it is not there yet
    or no more.  It leaves the thrower's hand at ``RELEASE`` and flies until the other's turn.
    """
    places: dict[int, Point] = {}
    frames = np.flatnonzero(holder >= 0)
    t = 0
    while t < len(frames):
        frame = int(frames[t])
        who = players[int(holder[frame])]
        pose = who.pose(frame)
        if pose.arms != "throw" or pose.progress < RELEASE:
            places[frame] = hand_place(who.look, pose)
            t += 1
            continue
        same = frames[t:]
        end = next((i for i, f in enumerate(same) if holder[f] != holder[frame]), len(same))
        catcher = players[1 - int(holder[frame])]
        last = int(same[end - 1])
        start, goal = hand_place(who.look, pose), hand_place(catcher.look, catcher.pose(last))
        duration = max(end / fps, 1 / fps)
        for i in range(end):
            share = i / end
            x, y, z = (a + share * (b - a) for a, b in zip(start, goal, strict=True))
            places[int(same[i])] = (x, y + 4.9 * share * (1 - share) * duration**2, z)
        t += end
    return Thrown(form, colour, places)


def keep_apart(walkers: Sequence[Walker], fps: float) -> None:
    """Let those who can step aside do so, so that nobody walks through anybody."""
    if len(walkers) < 2:
        return
    along = np.stack([w.along for w in walkers])
    across = np.stack([w.across for w in walkers])
    room = np.array([w.radius for w in walkers])
    reach = 0.9 + room[:, None, 0] + room[None, :, 0]
    width = room[:, None, 1] + room[None, :, 1]
    mobile = np.array([w.gives_way for w in walkers])
    aside = np.zeros(len(walkers))
    # Those side by side need a tie broken the same way each time.
    rank = np.sign(np.subtract.outer(np.arange(len(walkers)), np.arange(len(walkers))))
    warm_up = round(2 * fps)
    for t in (*[0] * warm_up, *range(along.shape[1])):
        near = np.clip(1 - np.abs(np.subtract.outer(along[:, t], along[:, t])) / reach, 0, 1)
        now = across[:, t] + aside
        gap = np.subtract.outer(now, now)
        push = np.clip(1 - np.abs(gap) / width, 0, 1) * near
        np.fill_diagonal(push, 0)
        speed = (push * np.where(np.abs(gap) < 1e-3, rank, np.sign(gap))).sum(1)
        aside += np.where(mobile, np.clip(1.6 * speed, -0.7, 0.7) - 0.25 * aside, 0) / fps
        across[:, t] += aside
    for walker, row in zip(walkers, across, strict=True):
        walker.across = row
