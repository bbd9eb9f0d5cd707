"""Foreground from frame differences: what moves between t-1, t and t+1.

The criterion of Yu et al. 2020 ("Cloze test helps: effective video anomaly detection via learning
to complete video events"), which CAFE takes over to add what a detector misses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from jaxtyping import UInt8

from vadistill.errors import ConfigError
from vadistill.limits import KERNEL
from vadistill.objects.base import NO_BOXES, Boxes, Localiser, clip_boxes, merge

if TYPE_CHECKING:
    from vadistill.video import VideoInfo
    from vadistill.windows import Triplet

PRESETS: dict[str, tuple[int, int, int]] = {
    "ped2": (18, 3, 10**2),
    "avenue": (18, 5, 40**2),
    "shanghaitech": (15, 5, 8**2),
}
"""Published threshold (grey levels, 0 to 510), blur (kernel side) and least area, in pixels."""

ASPECT = 10
GROW = 2


@dataclass(frozen=True)
class MotionSettings:
    """Settings of ``MotionGradients``; 0 takes the preset's value."""

    preset: Literal["ped2", "avenue", "shanghaitech"] = "ped2"
    threshold: int = 0
    """Sum of both absolute differences above which a pixel moves, in grey levels."""
    blur: int = 0
    """Side of the Gaussian kernel, odd, in pixels."""
    min_area: int = 0
    """Smallest bounding rectangle in pixels."""

    def __post_init__(self) -> None:
        if self.blur and self.blur % 2 == 0:
            raise ConfigError(
                f"blur {self.blur}", expected="an odd number of pixels", fix=f"use {self.blur + 1}"
            )
        if self.blur > KERNEL:
            raise ConfigError(
                f"blur {self.blur}", expected=f"at most {KERNEL} pixels", fix="blur less"
            )
        if min(self.threshold, self.blur, self.min_area) < 0:
            raise ConfigError(
                "a negative motion setting",
                expected="threshold, blur and min_area of 0 (the preset's) or more",
                fix="leave it out",
            )


class MotionGradients(Localiser):
    """Bounding boxes of moving regions; needs no weights and learns nothing."""

    name = "motion"
    Settings = MotionSettings
    ARGUMENT = "preset"

    def __init__(self, settings: MotionSettings | None = None) -> None:
        self.settings = settings or MotionSettings()
        threshold, blur, area = PRESETS[self.settings.preset]
        self.threshold = self.settings.threshold or threshold
        self.blur = self.settings.blur or blur
        self.min_area = self.settings.min_area or area

    def start(self, info: VideoInfo) -> None:
        """Nothing to forget: each window stands alone."""

    def boxes(self, window: Triplet) -> Boxes:
        return self.boxes_beyond(window, NO_BOXES)

    def boxes_beyond(self, window: Triplet, known: Boxes) -> Boxes:
        """Boxes of what moves outside ``known`` (grown by 2 pixels)."""
        moving = self.mask(window)
        for x1, y1, x2, y2 in known:
            left, top = max(int(x1) - GROW, 0), max(int(y1) - GROW, 0)
            moving[top : int(y2) + GROW + 1, left : int(x2) + GROW + 1] = 0
        return self._rectangles(moving)

    def mask(self, window: Triplet) -> UInt8[np.ndarray, "h w"]:
        """255 where any channel's differences to both neighbours sum to more than the threshold."""
        import cv2

        side = (self.blur, self.blur)
        before, now, after = (cv2.GaussianBlur(frame.image, side, 0) for frame in window)
        # Widened before adding: the sum of two uint8 differences would wrap at 256.
        total = cv2.add(cv2.absdiff(before, now), cv2.absdiff(now, after), dtype=cv2.CV_16U)
        return (total.max(axis=2) > self.threshold).astype(np.uint8) * 255

    def _rectangles(self, moving: UInt8[np.ndarray, "h w"]) -> Boxes:
        import cv2

        contours, _ = cv2.findContours(moving, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        found: list[tuple[int, int, int, int]] = []
        for contour in contours:
            x, y, w, h = cv2.boundingRect(contour)
            if w * h > self.min_area and w < ASPECT * h and h < ASPECT * w:
                found.append((x - GROW, y - GROW, x + w + GROW, y + h + GROW))
        height, width = moving.shape
        return merge(clip_boxes(found, width, height))
