"""Normal life on the walkway: who comes along in a video, how they look and what they do."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from vadistill.simulated.walkway.actors import ARMS, Times, Walker
from vadistill.simulated.walkway.figures import Colour, Look
from vadistill.simulated.walkway.scene import FAR_EDGE, MIDDLE, NEAR_EDGE, Camera, WalkwayConfig

_TOPS: tuple[Colour, ...] = (
    *((48, 53, 68), (36, 36, 39), (128, 56, 57), (99, 113, 132), (205, 203, 198)),
    *((121, 124, 127), (69, 87, 72), (163, 140, 103), (92, 69, 92), (74, 104, 135)),
    *((181, 167, 96), (79, 67, 58), (158, 114, 112), (222, 222, 219), (60, 81, 87)),
)  # fmt: skip
_TROUSERS: tuple[Colour, ...] = (
    *((45, 52, 69), (68, 78, 100), (34, 34, 37), (92, 92, 94), (126, 115, 97), (70, 62, 55)),
)
_SKINS: tuple[Colour, ...] = ((224, 184, 156), (204, 160, 128), (166, 120, 90), (112, 78, 58))
_HAIRS: tuple[Colour, ...] = (
    (36, 28, 24),
    (66, 46, 32),
    (122, 88, 52),
    (176, 148, 96),
    (120, 118, 116),
)
_BAGS: tuple[Colour, ...] = (
    (46, 46, 49),
    (96, 51, 49),
    (63, 75, 96),
    (106, 95, 77),
    (73, 84, 69),
)
BRIGHT: tuple[Colour, ...] = (
    (214, 84, 40),
    (210, 214, 60),
    (60, 160, 190),
    (226, 226, 226),
    (200, 50, 60),
)


class Casting:
    """One video's people, made from its own random numbers."""

    def __init__(self, config: WalkwayConfig, rng: np.random.Generator) -> None:
        self.config, self.rng = config, rng
        self.fps, self.count = config.fps, config.frames
        self.times = np.arange(self.count) / self.fps
        self.length = self.count / self.fps
        self.camera = Camera(config.width, config.height)
        self.half = self.camera.half_view(MIDDLE)

    # -- choices -------------------------------------------------------------------------------

    def pick(self, options: tuple[Colour, ...]) -> Colour:
        colour = options[int(self.rng.integers(len(options)))]
        tone = self.rng.uniform(0.9, 1.1)
        shade = [int(np.clip(c * tone + self.rng.normal(0, 4), 12, 240)) for c in colour]
        return shade[0], shade[1], shade[2]

    def look(self, **fixed: Any) -> Look:
        """Someone's clothes, size and bag."""
        rng = self.rng
        bag = str(rng.choice(["none", "backpack", "shoulder", "tote"], p=[0.42, 0.3, 0.16, 0.12]))
        values: dict[str, Any] = {
            "height": float(np.clip(rng.normal(1.72, 0.09), 1.5, 1.95)),
            "build": float(rng.uniform(0.86, 1.18)),
            "top": self.pick(_TOPS),
            "trousers": self.pick(_TROUSERS),
            "skin": self.pick(_SKINS),
            "hair": self.pick(_HAIRS),
            "shoes": self.pick(((40, 38, 38), (70, 60, 52), (198, 196, 192))),
            "bag": bag,
            "bag_colour": self.pick(_BAGS),
            "coat": bool(rng.random() < 0.2),
            "short_sleeves": bool(rng.random() < 0.4),
            "shorts": bool(rng.random() < 0.15),
            "long_hair": bool(rng.random() < 0.35),
        }
        return Look(**(values | fixed))

    def lane(self) -> float:
        return float(self.rng.uniform(NEAR_EDGE + 0.5, FAR_EDGE - 0.5))

    def way(self) -> int:
        return 1 if self.rng.random() < 0.5 else -1

    def nowhere(self) -> Times:
        return np.full(self.count, np.nan)

    # -- normal life ---------------------------------------------------------------------------

    def crowd(self) -> list[Walker]:
        """People on their way, alone or in groups, at their own pace."""
        rng, walkers = self.rng, []
        wanted = rng.uniform(*self.config.pedestrians)
        half = self.half + 1.0
        total = round(wanted * (1 + 1.35 * self.length / (2 * half)))
        while len(walkers) < total:
            size = int(rng.choice([1, 2, 3], p=[0.68, 0.25, 0.07]))
            # One in five is in a hurry: fast and near is no sign of anything here.
            brisk = rng.random() < 0.2
            usual = np.clip(rng.normal(1.3, 0.18), 0.85, 1.7)
            speed = float(rng.uniform(1.75, 2.15) if brisk else usual)
            way, lane = self.way(), self.lane()
            start = -half - rng.uniform(-2 * half, speed * self.length)
            along = way * (start + speed * self.times)
            across = lane + 0.12 * np.sin(self.times * rng.uniform(0.3, 0.8) + rng.uniform(0, 6))
            event = rng.random()
            if size == 1 and event < 0.14:
                along = self.pause(way, start, speed)
            elif size == 1 and event < 0.24:
                along, across = self.branch(speed)
            for i in range(size):
                arms = np.zeros(self.count, np.int64)
                if rng.random() < 0.13:
                    arms[:] = ARMS.index("phone")
                walkers.append(
                    Walker(
                        self.look(),
                        along + rng.uniform(-0.25, 0.25) * (size > 1),
                        across + 0.85 * (i - (size - 1) / 2),
                        self.nowhere(),
                        arms=arms,
                    )
                )
        return walkers

    def pause(self, way: int, start: float, speed: float) -> Times:
        """Someone who stops for a moment, and now and then turns back."""
        rng = self.rng
        begin = rng.uniform(0, self.length)
        end = begin + rng.uniform(1.5, 3.5)
        ramp = np.clip(np.maximum((begin - self.times), (self.times - end)) / 0.5, 0, 1)
        back = np.where((self.times > end) & (rng.random() < 0.35), -1, 1)
        place = way * rng.uniform(-0.8, 0.8) * self.half
        travelled = way * np.cumsum(speed * ramp * back) / self.fps
        return travelled + place - np.interp(begin, self.times, travelled)

    def branch(self, speed: float) -> tuple[Times, Times]:
        """Someone who comes down the branch of the path, or leaves by it."""
        corners = np.array([[-0.4, 15.5], [-7.2, FAR_EDGE], [-5.5, 1.4], [-2.0, 0.2], [16.0, 0.0]])
        corners[2:, 1] += self.rng.uniform(-2.0, 1.5)
        legs = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(corners, axis=0).T))])
        travelled = self.rng.uniform(-6, 16) + speed * self.times
        if self.rng.random() < 0.5:
            travelled = travelled[::-1]
        travelled = np.clip(travelled, 0, None)
        along, across = (np.interp(travelled, legs, corners[:, i]) for i in (0, 1))
        width = max(3, round(0.6 * self.fps) | 1)
        kernel = np.ones(width) / width
        smooth = [
            np.convolve(np.pad(v, width // 2, mode="reflect", reflect_type="odd"), kernel, "valid")
            if self.count > width else v
            for v in (along, across)
        ]  # fmt: skip
        return smooth[0], smooth[1]

    def standing(self) -> list[Walker]:
        """Sometimes a few people stand and talk; they look from one to the other."""
        rng = self.rng
        if rng.random() > 0.55 or self.config.pedestrians[1] < 2:
            return []
        middle = float(rng.uniform(-0.75, 0.75) * self.half)
        lane = float(rng.choice([FAR_EDGE - 0.9, NEAR_EDGE + 1.0]) + rng.uniform(-0.3, 0.3))
        size, turn = int(rng.integers(2, 4)), rng.uniform(0, 2 * math.pi)
        walkers = []
        for i in range(size):
            angle = turn + 2 * math.pi * i / size
            along, across = middle + 0.55 * math.cos(angle), lane + 0.5 * math.sin(angle)
            facing = angle + math.pi + 0.5 * np.sin(self.times * rng.uniform(0.4, 1.0) + i)
            sway = 0.03 * np.sin(self.times * rng.uniform(0.5, 1.2) + 2 * i)
            arms = np.zeros(self.count, np.int64)
            for _ in range(2):  # gestures
                begin = rng.integers(self.count)
                arms[begin : begin + round(1.5 * self.fps)] = ARMS.index(
                    str(rng.choice(["phone", "hold"]))
                )
            walkers.append(
                Walker(
                    self.look(), along + sway, np.full(self.count, across), facing,
                    gives_way=False, arms=arms,
                )
            )  # fmt: skip
        return walkers
