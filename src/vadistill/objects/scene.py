"""A static camera's empty scene, how it follows a running video, and cutting its silhouettes."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Float, Float32, UInt8

from vadistill.soundness import require_array

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
GIANT = 8.0
"""Box of a silhouette, in boxes of one object there, above which it is a change of light …"""
SOLID = 0.5
"""… if so much of the box is foreground."""
COARSE = 4
"""Every such row and column is enough to see one."""


@dataclass(frozen=True, eq=False)
class LearnedScene:
    """One camera's empty scene."""

    size: tuple[int, int]
    """Width and height of the video in pixels."""
    picture: Picture
    """The scene at the size of analysis."""

    @classmethod
    def saved(cls, size: np.ndarray, picture: np.ndarray, most: int) -> LearnedScene:
        """From saved arrays, of pictures analysed as ``shrunk`` says; raises ValueError."""
        width, height = (int(side) for side in require_array(size, "size", "i", 2))
        across, down = shrunk(max(width, 1), max(height, 1), most)
        return cls((width, height), require_array(picture, "scene", "u", down, across, 3))


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


def shrunk(width: int, height: int, most: int) -> tuple[int, int]:
    """Width and height at which a picture is analysed: as it is, or its longest side ``most``."""
    scale = min(1.0, most / max(width, height))
    return round(width * scale), round(height * scale)


def median(frames: list[Picture]) -> Picture:
    """Per-pixel median of pictures of one size."""
    middle = len(frames) // 2
    return np.partition(np.stack(frames), middle, axis=0)[middle].copy()


def brightest(picture: Picture) -> UInt8[np.ndarray, "h w"]:
    """The largest of the three channels."""
    import cv2

    red, green, blue = cv2.split(picture)
    return cv2.max(cv2.max(red, green), blue)


@lru_cache
def brightness_gain(adaptation: float) -> Float32[np.ndarray, " levels"]:
    """Factor of a difference for each brightness of the scene; 1 at 130."""
    levels = np.arange(256, dtype=np.float32)
    return ((adaptation + 130) / (adaptation + levels)).astype(np.float32)


def distance(a: Picture, b: Picture) -> float:
    """Median absolute difference of two pictures in grey levels."""
    return float(np.median(np.abs(a[::4, ::4].astype(np.int16) - b[::4, ::4])))


Rectangle = tuple[int, int, int, int]

NECK = 0.7
"""A column cut needs a valley below this share of the lower of the peaks on its two sides."""
NECK_OF_LARGE = 0.9
"""The same for silhouettes larger than one object, across or down."""
LARGE = (1.6, 1.4)
"""Width and height, in typical objects, above which a silhouette counts as several."""
SMALLEST = 0.4
"""Narrowest part that a cut may leave, in typical widths or heights."""


@dataclass(frozen=True, eq=False)
class ObjectSizes:
    """How large one object is at each height of the picture: near ones are larger."""

    table: Float32[np.ndarray, "bands 3"]
    """Bottom edge, width and height, all as shares of the picture's height, by ascending bottom."""

    @classmethod
    def learn(cls, measured: Float32[np.ndarray, "n 3"], bands: int = 6) -> ObjectSizes | None:
        """From bottom, width and height of silhouettes; None where there are too few to tell.

        The 40th percentile of a band, not its median: some silhouettes hold several objects.
        """
        least = 30
        if len(measured) < least:
            return None
        ordered = measured[np.argsort(measured[:, 0], kind="stable")]
        parts = np.array_split(ordered, min(bands, len(ordered) // least))
        rows = [(np.median(p[:, 0]), *np.percentile(p[:, 1:], 40, axis=0)) for p in parts]
        return cls(np.array(rows, np.float32))

    @classmethod
    def saved(cls, table: np.ndarray) -> ObjectSizes:
        """From a saved table; raises ValueError for what ``learn`` cannot have made."""
        require_array(table, "objects", "f", None, 3)
        if not ((np.diff(table[:, 0]) >= 0).all() and (table[:, 1:] > 0).all()):
            raise ValueError(f"sizes of objects {table.tolist()!r:.60}")
        return cls(table)

    def at(self, bottom: float) -> tuple[float, float]:
        """Width and height of an object that stands at ``bottom``, as shares of the height."""
        known = self.table[:, 0]
        width, height = (float(np.interp(bottom, known, self.table[:, i])) for i in (1, 2))
        return width, height


def has_giant(mask: UInt8[np.ndarray, "h w"], sizes: ObjectSizes) -> bool:
    """Whether a silhouette of the foreground (0 or 1) is too large for objects side by side."""
    import cv2

    coarse = np.ascontiguousarray(mask[::COARSE, ::COARSE])
    height = len(coarse)
    _, _, stats, _ = cv2.connectedComponentsWithStats(coarse, connectivity=8)
    for _, y, w, h, pixels in stats[1:].tolist():
        wide, tall = sizes.at((y + h) / height)
        if w * h > GIANT * wide * tall * height**2 and pixels > SOLID * w * h:
            return True
    return False


def split(
    silhouette: Bool[np.ndarray, "h w"],
    x: int,
    y: int,
    *,
    typical: tuple[float, float] | None,
    min_area: float,
) -> list[Rectangle]:
    """Rectangles of the parts of a silhouette whose top left corner is at (x, y).

    A cut goes down a column where fewer pixels are foreground than on both sides; where the
    silhouette is taller than one object of ``typical`` width and height, also along a row.  Parts
    of fewer than ``min_area`` pixels are dropped.
    """
    rows, columns = np.flatnonzero(silhouette.any(1)), np.flatnonzero(silhouette.any(0))
    if len(rows) == 0 or np.count_nonzero(silhouette) < min_area:
        return []
    x, y = x + int(columns[0]), y + int(rows[0])
    part = silhouette[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = part.shape
    expected = typical or (float(width), float(height))
    best, cut = 1.0, (0, 0)
    for axis, length in enumerate((width, height)):
        large = length > LARGE[axis] * expected[axis]
        if axis == 1 and not large:
            continue
        at, depth = _valley(part.sum(axis), max(1, int(SMALLEST * expected[axis])))
        relative = depth / (NECK_OF_LARGE if large else NECK)
        if relative < best:
            best, cut = relative, (axis, at)
    if best == 1.0:
        return [(x, y, x + width, y + height)]
    axis, at = cut
    pieces = (
        ((part[:, :at], x, y), (part[:, at:], x + at, y))
        if axis == 0
        else ((part[:at], x, y), (part[at:], x, y + at))
    )
    return [r for p in pieces for r in split(*p, typical=typical, min_area=min_area)]


def _valley(profile: np.ndarray, margin: int) -> tuple[int, float]:
    """Where a profile is lowest against the peaks on both sides, and that ratio (inf: nowhere)."""
    if len(profile) < 2 * margin + 1:
        return 0, float("inf")
    ends = profile[[0, 0]], profile[[-1, -1]]
    counts: Float[np.ndarray, " n"] = np.concatenate([ends[0], profile, ends[1]]).astype(np.float64)
    smooth = np.convolve(counts, np.full(5, 0.2), "valid")
    left = np.maximum.accumulate(smooth)
    right = np.maximum.accumulate(smooth[::-1])[::-1]
    ratio = (smooth / np.minimum(left, right))[margin : len(profile) - margin]
    at = int(ratio.argmin())
    return at + margin, float(ratio[at])
