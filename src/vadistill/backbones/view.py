"""What a backbone sees of a clip: sampled frames, resized and cropped, as bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int, UInt8

from vadistill.datasets.feature_source import CLIP

Box = tuple[int, int, int, int]
"""Rows y1 to y2 and columns x1 to x2 of a picture, exclusive: y1, y2, x1, x2."""


def evenly(count: int) -> Int[np.ndarray, " {count}"]:
    """``count`` of a clip's frames, each from the middle of its share: 2, 6, 10, 14 for four."""
    return (2 * np.arange(count) + 1) * CLIP // (2 * count)


@dataclass(frozen=True)
class View:
    """Frames scaled to ``resize`` and cropped to ``size``, both in one step.

    ``resize`` is the length that the short side is scaled to, or height and width whatever the
    frame's shape.  Shrinking averages over pixels; enlarging is ``enlarge``.
    """

    frames: tuple[int, ...]
    size: tuple[int, int]
    """Height and width of what the network takes."""
    resize: int | tuple[int, int]
    crops: int = 1
    enlarge: Literal["linear", "cubic"] = "linear"

    @classmethod
    def whole(cls, frames: tuple[int, ...], size: tuple[int, int]) -> View:
        """All of every frame, squeezed to ``size``."""
        return cls(frames, size, size)

    @property
    def shape(self) -> tuple[int, int, int, int, int]:
        """Of what a clip becomes: crops, frames, height, width, 3."""
        return (self.crops, len(self.frames), *self.size, 3)

    def boxes(self, height: int, width: int) -> list[Box]:
        """The region of a frame that each crop shows: centre, then the corners row by row."""
        if isinstance(self.resize, int):
            scale = self.resize / min(height, width)
            scaled = (height * scale, width * scale)
        else:
            scaled = self.resize
        rows = max(1, round(height * min(1, self.size[0] / scaled[0])))
        columns = max(1, round(width * min(1, self.size[1] / scaled[1])))
        down, right = height - rows, width - columns
        corners = [(down // 2, right // 2), (0, 0), (0, right), (down, 0), (down, right)]
        places = corners[: 1 if self.crops == 1 else 5]
        return [(y, y + rows, x, x + columns) for y, x in places]

    def __call__(self, clip: UInt8[np.ndarray, "t h w 3"]) -> UInt8[np.ndarray, "c f y x 3"]:
        """The crops of a clip's chosen frames; behind the fifth crop come the mirrored ones."""
        import cv2

        out = np.empty(self.shape, np.uint8)
        height, width = self.size
        enlarge = cv2.INTER_CUBIC if self.enlarge == "cubic" else cv2.INTER_LINEAR
        for i, (y1, y2, x1, x2) in enumerate(self.boxes(*clip.shape[1:3])):
            shrinks = y2 - y1 >= height and x2 - x1 >= width
            how = cv2.INTER_AREA if shrinks else enlarge
            for j, frame in enumerate(self.frames):
                region = clip[frame, y1:y2, x1:x2]
                out[i, j] = cv2.resize(region, (width, height), interpolation=how)
        if self.crops == 10:
            out[5:] = out[:5, :, :, ::-1]
        return out
