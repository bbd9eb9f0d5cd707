"""Normal video with objects painted into it, and the plan of which go where."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import UInt8

from vadistill.evaluation.selftest.cutting import Cutout
from vadistill.evaluation.selftest.kinds import Plant
from vadistill.video import Frame, VideoSource

GAP = 1.5
"""Seconds between two plants, so that smoothing and windows do not mix them."""


@dataclass(frozen=True, eq=False)
class Planting:
    """A plant and where it was put."""

    plant: Plant
    copy: int
    """Which of the held-out footage's copies: each is scored by itself."""
    video: str
    start: int
    """Frame of the plant's first cutout."""

    @property
    def frames(self) -> np.ndarray:
        """The frames in which it is abnormal."""
        return self.start + np.flatnonzero(self.plant.abnormal)


def plan(
    plants: Sequence[Plant], lengths: dict[str, tuple[int, float]], rng: np.random.Generator
) -> list[Planting]:
    """Put plants into as few copies of videos as they need, at random and ``GAP`` apart.

    ``lengths``: each video's number of frames and rate.  What is longer than a video is cut off.
    """
    waiting = [plants[i] for i in rng.permutation(len(plants)).tolist()]
    placed: list[Planting] = []
    copy = 0
    while waiting:
        before = len(waiting)
        for name, (frames, fps) in lengths.items():
            gap = max(1, round(GAP * fps))
            at = int(rng.integers(gap // 2, gap + 1))
            while waiting:
                fitting = next((p for p in waiting if at + len(p) + gap // 2 <= frames), None)
                if fitting is None:
                    break
                waiting.remove(fitting)
                placed.append(Planting(fitting, copy, name, at))
                at += len(fitting) + gap
        if len(waiting) == before:  # longer than every video
            break
        copy += 1
    return placed


class Planted(VideoSource):
    """A source into whose frames plants are painted."""

    def __init__(self, source: VideoSource, plantings: Sequence[Planting]) -> None:
        self.source, self.info = source, source.info
        self.plantings = sorted(plantings, key=lambda planting: planting.start)

    def __iter__(self) -> Iterator[Frame]:
        for frame in self.source:
            shown = [
                p.plant.cutouts[frame.index - p.start]
                for p in self.plantings
                if p.start <= frame.index < p.start + len(p.plant)
            ]
            yield Frame(frame.index, frame.time, painted(frame.image, shown)) if shown else frame
        self.corrupt_frames = self.source.corrupt_frames


def painted(
    image: UInt8[np.ndarray, "h w 3"], cutouts: Sequence[Cutout]
) -> UInt8[np.ndarray, "h w 3"]:
    """A copy of a picture with objects over it, cut off at its edges."""
    made = image.copy()
    height, width = image.shape[:2]
    for cutout in cutouts:
        left, top = round(cutout.left), round(cutout.top)
        moved = np.array([[1, 0, cutout.left - left], [0, 1, cutout.top - top]], np.float32)
        tall, wide = cutout.alpha.shape
        # The part of a pixel by which it lies beside the grid: else slow objects would jerk.
        colours = cv2.warpAffine(cutout.image, moved, (wide, tall), borderMode=cv2.BORDER_REPLICATE)
        alpha = cv2.warpAffine(cutout.alpha, moved, (wide, tall))[..., None]
        y1, x1, y2, x2 = max(top, 0), max(left, 0), min(top + tall, height), min(left + wide, width)
        if y1 >= y2 or x1 >= x2:
            continue
        part = np.s_[y1 - top : y2 - top, x1 - left : x2 - left]
        under = made[y1:y2, x1:x2]
        mixed = under + alpha[part] * (colours[part].astype(np.float32) - under)
        made[y1:y2, x1:x2] = np.clip(mixed + 0.5, 0, 255).astype(np.uint8)
    return made
