"""The picture of a static camera's empty scene, and how it follows a running video."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import UInt8

Picture = UInt8[np.ndarray, "h w 3"]

SAMPLES = 25
"""Frames in a median: fewer leave ghosts of slow walkers, more only cost memory."""
SAMPLE_EVERY = 5
"""Frames between the samples of a scene that is learned while running."""
SAME_SCENE = 11.0
"""Median absolute difference, in one light, up to which two pictures show the same scene."""
MOST_RELIGHT = 40.0
"""Largest change of a tone curve, in grey levels: more would make any two scenes alike."""
FLOODED = 0.6
"""Foreground share of the picture that speaks of another scene rather than of objects …"""
FLOODED_FRAMES = 25
"""… when it lasts for this many frames."""


@dataclass(frozen=True, eq=False)
class LearnedScene:
    """One camera's empty scene."""

    size: tuple[int, int]
    """Width and height of the video in pixels."""
    picture: Picture
    """The scene at the size of analysis."""


@dataclass(eq=False)
class RunningScene:
    """The empty scene of one video while it runs; memory does not grow with the video.

    A learned scene follows the video in steps of one grey level.  Where there was none, the scene
    is the median of the frames so far until ``SAMPLES`` of them are in, and follows from then on.
    """

    picture: Picture
    learned: bool
    """Whether ``picture`` is an empty scene rather than the video's first frame."""
    frames_per_update: int
    patience: int
    _samples: list[Picture] = field(default_factory=list)
    _frames: int = 0
    _flooded: int = 0

    @property
    def is_foreign(self) -> bool:
        """Whether the video has shown another scene for a while: moved, or another camera."""
        return self._flooded >= FLOODED_FRAMES

    def follow(self, frame: Picture, foreground: UInt8[np.ndarray, "h w"]) -> None:
        """Take in one frame whose foreground (0 or 1) is known."""
        self._flooded = self._flooded + 1 if foreground.mean() > FLOODED else 0
        if not self.learned:
            if self._frames % SAMPLE_EVERY == 0:
                self._samples.append(frame)
                self.picture = median(self._samples)
            if len(self._samples) == SAMPLES:
                self.learned, self._samples = True, []
        elif self._frames % self.frames_per_update == 0:
            turn = self._frames // self.frames_per_update
            self._step(frame, None if turn % self.patience == 0 else foreground)
        self._frames += 1

    def _step(self, frame: Picture, foreground: UInt8[np.ndarray, "h w"] | None) -> None:
        up: Picture = (frame > self.picture).view(np.uint8)
        down: Picture = (frame < self.picture).view(np.uint8)
        if foreground is not None:
            still = (1 - foreground)[..., None]
            up, down = up & still, down & still
        # One level towards the frame, however far it is, makes a running median (McFarlane and
        # Schofield 1995): a passing object moves the scene no further than noise does.
        self.picture = self.picture + up - down


def choose(
    scenes: list[LearnedScene], size: tuple[int, int], frame: Picture
) -> LearnedScene | None:
    """The nearest learned scene of this video size, in the frame's light; None if none is near."""
    lit = [LearnedScene(size, relight(s.picture, frame)) for s in scenes if s.size == size]
    near = [(distance(scene.picture, frame), i) for i, scene in enumerate(lit)]
    apart, best = min(near, default=(float("inf"), -1))
    return lit[best] if apart <= SAME_SCENE else None


def relight(scene: Picture, frame: Picture) -> Picture:
    """The scene with the tone curve of a frame: another exposure, or another time of day.

    Per channel and level of the scene, the curve is the median of the frame there, at most
    ``MOST_RELIGHT`` away; people in the frame hardly move a median.
    """
    import cv2

    levels = np.arange(256)
    curves = np.empty((256, 1, 3), np.uint8)
    for channel in range(3):
        before, after = scene[::3, ::3, channel].ravel(), frame[::3, ::3, channel].ravel()
        parts = np.array_split(np.argsort(before, kind="stable"), 16)
        known, change = np.transpose(
            [(before[p].mean(), np.median(after[p].astype(np.float64) - before[p])) for p in parts]
        )
        curve = levels + np.interp(levels, known, change.clip(-MOST_RELIGHT, MOST_RELIGHT))
        curves[:, 0, channel] = curve.clip(0, 255).round()
    return cv2.LUT(scene, curves)


def median(frames: list[Picture]) -> Picture:
    """Per-pixel median of pictures of one size."""
    middle = len(frames) // 2
    return np.partition(np.stack(frames), middle, axis=0)[middle].copy()


def distance(a: Picture, b: Picture) -> float:
    """Median absolute difference of two pictures in grey levels."""
    return float(np.median(np.abs(a[::4, ::4].astype(np.int16) - b[::4, ::4])))
