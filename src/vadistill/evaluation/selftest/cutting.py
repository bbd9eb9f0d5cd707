"""Objects cut out of normal footage by their silhouettes, frame by frame, to be planted again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from vadistill.datasets import Dataset, Video
from vadistill.objects.background import Background

LONGEST = 8.0
"""Seconds of an object that are kept."""

SHORTEST = 1.0
"""Seconds for which an object must be seen by itself."""

WALKS = 60
"""Objects that are kept: the longest seen."""

SMALLEST = 1 / 12
"""Least height of an object, as a share of the picture's: below lies what flickers."""

OVERLAP = 0.35
"""Least IoU of an object's boxes in frames that follow each other."""

SHADOW = (0.4, 0.93)
"""Brightness of a shadowed place, as a share of what it has in the sun."""


class Cutout(NamedTuple):
    """What one frame shows of an object."""

    image: UInt8[np.ndarray, "h w 3"]
    alpha: Float32[np.ndarray, "h w"]
    """How much of each pixel is the object's, 0 to 1."""
    left: float
    top: float
    """Of the picture's left and upper edge, in pixels of the video; it may lie outside."""

    @property
    def foot(self) -> tuple[float, float]:
        """The middle of the lower edge: where the object stands."""
        height, width = self.alpha.shape
        return self.left + width / 2, self.top + height

    def moved(self, x: float, y: float) -> Cutout:
        """This object with its foot at (x, y)."""
        foot_x, foot_y = self.foot
        return self._replace(left=self.left + x - foot_x, top=self.top + y - foot_y)


@dataclass(frozen=True, eq=False)
class Walk:
    """An object in consecutive frames."""

    video: str
    first: int
    """Frame of the first cutout."""
    fps: float
    size: tuple[int, int]
    """Width and height of the video."""
    cutouts: tuple[Cutout, ...]

    def __len__(self) -> int:
        return len(self.cutouts)

    @property
    def feet(self) -> Float[np.ndarray, "t 2"]:
        """Where it stands in each frame."""
        return np.array([cutout.foot for cutout in self.cutouts])

    @property
    def height(self) -> float:
        """Median height in pixels."""
        return float(np.median([len(cutout.alpha) for cutout in self.cutouts]))

    @property
    def velocity(self) -> Float[np.ndarray, " 2"]:
        """Mean velocity in pixels a frame, from the medians of its two ends."""
        count = max(1, len(self) // 5)
        feet = self.feet
        way = np.median(feet[-count:], axis=0) - np.median(feet[:count], axis=0)
        return way / max(1, len(self) - count)

    @property
    def speeds(self) -> Float[np.ndarray, " n"]:
        """Own heights a second, over half a second each."""
        window = min(max(1, round(0.5 * self.fps)), len(self) - 1)
        feet = self.feet
        way = np.hypot(*(feet[window:] - feet[:-window]).T)
        return way / window * self.fps / max(self.height, 1.0)

    @property
    def speed(self) -> float:
        """Median of ``speeds``."""
        return float(np.median(self.speeds))


def cut_walks(videos: Dataset, background: Background, *, most: int = WALKS) -> list[Walk]:
    """Objects that ``background`` (fitted) sees by themselves, the longest seen first.

    Those at the picture's edge or in touch with others are left out.  Raises VideoError.
    """
    walks = [walk for video in videos for walk in _walks(video, background.clone())]
    return sorted(walks, key=len, reverse=True)[:most]


@dataclass(eq=False)
class _Track:
    first: int
    box: tuple[int, int, int, int]
    cutouts: list[Cutout] = field(default_factory=list)


def _walks(video: Video, background: Background) -> Iterator[Walk]:
    source = video.open()
    info = source.info
    background.start(info)
    least, most = max(5, round(SHORTEST * info.fps)), max(6, round(LONGEST * info.fps))

    def finished(track: _Track) -> Iterator[Walk]:
        if len(track.cutouts) >= least:
            size = (info.width, info.height)
            walk = Walk(video.name, track.first, info.fps, size, tuple(track.cutouts))
            if walk.height >= SMALLEST * info.height:
                yield walk

    running: list[_Track] = []
    for frame in source:
        mask, contrast = background.foreground(frame.image)
        boxes = background.boxes_of(mask, contrast).astype(int)
        small = cv2.resize(frame.image, mask.shape[::-1], interpolation=cv2.INTER_AREA)
        shadow = shadowed(small, background.picture)
        kept: list[_Track] = []
        for x1, y1, x2, y2 in boxes.tolist():
            box = (x1, y1, x2, y2)
            if not _is_alone(mask, box):
                continue
            near = [t for t in running if _iou(t.box, box) >= OVERLAP]
            if len(near) > 1:
                continue
            track = near[0] if near else _Track(frame.index, box)
            if near:
                running.remove(track)
            track.box = box
            track.cutouts.append(_cutout(frame.image, mask, shadow, box))
            kept.append(track)
        for track in running:
            yield from finished(track)
        running = []
        for track in kept:
            if len(track.cutouts) == most:
                yield from finished(track)
            else:
                running.append(track)
    for track in running:
        yield from finished(track)


def _is_alone(mask: UInt8[np.ndarray, "h w"], box: tuple[int, int, int, int]) -> bool:
    """Whether a box is inside the picture and nothing around it is foreground."""
    x1, y1, x2, y2 = box
    height, width = mask.shape
    if x1 < 2 or y1 < 2 or x2 > width - 2 or y2 > height - 2:
        return False
    around = int(mask[y1 - 1 : y2 + 1, x1 - 1 : x2 + 1].sum())
    return around == int(mask[y1:y2, x1:x2].sum())


def _iou(a: Sequence[int], b: Sequence[int]) -> float:
    wide = min(a[2], b[2]) - max(a[0], b[0])
    tall = min(a[3], b[3]) - max(a[1], b[1])
    if wide <= 0 or tall <= 0:
        return 0.0
    areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return wide * tall / (areas - wide * tall)


def shadowed(
    image: UInt8[np.ndarray, "h w 3"], scene: UInt8[np.ndarray, "h w 3"]
) -> Bool[np.ndarray, "h w"]:
    """Where a picture is the empty scene in shade: darker evenly, and of the same colour.

    After Horprasert et al. (1999): the brightness is a share of the scene's, in ``SHADOW``, which
    varies little from pixel to pixel, and the channels' shares are alike.
    """
    shares = (image.astype(np.float32) + 4) / (scene.astype(np.float32) + 4)
    share = shares.mean(2)
    colour = shares.max(2) - shares.min(2)
    mean = cv2.blur(share, (5, 5))
    spread = cv2.blur(share * share, (5, 5)) - mean * mean
    low, high = SHADOW
    return (share > low) & (share < high) & (colour < 0.12) & (spread < 0.05**2)


def _cutout(
    image: UInt8[np.ndarray, "h w 3"],
    mask: UInt8[np.ndarray, "a b"],
    shadow: Bool[np.ndarray, "a b"],
    box: tuple[int, int, int, int],
) -> Cutout:
    """The object in a box of the mask's pixels, without the shadow that it throws."""
    x1, y1, x2, y2 = box
    own = mask[y1:y2, x1:x2]
    bright = own * ~shadow[y1:y2, x1:x2]
    bright = cv2.morphologyEx(bright, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    _, labels, stats, _ = cv2.connectedComponentsWithStats(bright, connectivity=8)
    if len(stats) > 1:
        largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
        body = _filled((labels == largest).astype(np.uint8))
        # A dark coat on a plain ground looks like shade: then all of the silhouette is kept.
        if body.sum() >= 0.5 * own.sum():
            own = body
    rows, columns = np.flatnonzero(own.any(1)), np.flatnonzero(own.any(0))
    own = own[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    x1, y1 = x1 + int(columns[0]), y1 + int(rows[0])
    scale = image.shape[1] / mask.shape[1]
    border = 2
    alpha = np.pad(own.astype(np.float32), border)
    left, top = (x1 - border) * scale, (y1 - border) * scale
    if scale != 1:
        size = (round(alpha.shape[1] * scale), round(alpha.shape[0] * scale))
        alpha = cv2.resize(alpha, size, interpolation=cv2.INTER_LINEAR)
    alpha = cv2.GaussianBlur(alpha, (0, 0), 0.8 * max(1.0, scale))
    y, x = round(top), round(left)
    padded = _crop(image, x, y, alpha.shape[1], alpha.shape[0])
    return Cutout(padded, alpha, float(x), float(y))


def _filled(body: UInt8[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w"]:
    """A silhouette without holes."""
    outlines, _ = cv2.findContours(body, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(np.zeros_like(body), outlines, -1, 1, -1)


def _crop(
    image: UInt8[np.ndarray, "h w 3"], x: int, y: int, width: int, height: int
) -> UInt8[np.ndarray, "a b 3"]:
    """A part of a picture; beyond its edges these repeat."""
    rows = np.clip(np.arange(y, y + height), 0, image.shape[0] - 1)
    columns = np.clip(np.arange(x, x + width), 0, image.shape[1] - 1)
    return image[np.ix_(rows, columns)]
