"""Foreground as the difference to the empty scene: the default localiser; needs no weights.

The empty scene is the median of training frames.  Differences count relative to the scene's
brightness (a contrast, as the eye sees it), so that people before a dark lawn are as whole as
people on a light path.  People who touch each other are cut apart where their silhouette is narrow;
how large one object is at each height of the picture is learned from training video.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from vadistill.datasets.sampling import frames_of
from vadistill.errors import ConfigError
from vadistill.limits import KERNEL
from vadistill.objects.base import Boxes, Localiser, clip_boxes, covered
from vadistill.objects.scene import (
    SAMPLES,
    LearnedScene,
    ObjectSizes,
    Picture,
    RunningScene,
    brightest,
    brightness_gain,
    choose,
    has_giant,
    median,
    relight,
    shrunk,
    split,
)
from vadistill.progress import progress

if TYPE_CHECKING:
    from vadistill.datasets import Dataset
    from vadistill.video import VideoInfo, VideoSource
    from vadistill.windows import Triplet

REFERENCE_PIXELS = 360 * 240
"""The picture size that areas and kernel sides are stated for; other sizes scale them."""

Foreground = tuple[UInt8[np.ndarray, "a b"], Float32[np.ndarray, "a b"]]


@dataclass(frozen=True)
class BackgroundSettings:
    """Settings of ``Background``.  Pixels are those of a 360x240 picture and scale with it."""

    threshold: float = 22.0
    """Difference from which a pixel is foreground, in grey levels on a scene of brightness 130."""
    strong: float = 30.0
    """An object has pixels above this difference: at least ``strong_share`` of its own."""
    strong_share: float = 0.2
    adaptation: float = 60.0
    """Grey level added to the scene's brightness before differences are divided by it."""
    blur: int = 3
    """Side of the Gaussian kernel before the threshold, in pixels."""
    close: int = 5
    """Height of the closing kernel, in pixels; it is 0.6 times as wide, for people are upright."""
    min_area: int = 60
    """Smallest foreground area of an object, in pixels."""
    split: bool = True
    """Cut silhouettes of several objects apart."""
    max_side: int = 640
    """Larger pictures are analysed at this longest side (pixels as they are)."""
    frames_per_update: int = 4
    """The scene follows the video by at most one grey level each time this many frames passed."""
    patience: int = 10
    """Under foreground the scene follows this many times more slowly."""
    crowded: float = 0.3
    """Foreground share of a first frame above which the learned scene is taken not to fit."""
    scenes: int = 8
    """Most different cameras to keep from training."""
    train_frames: int = 6000
    """Most training frames to decode, shared out to at most 40 videos."""

    def __post_init__(self) -> None:
        counts = ("blur", "close", "min_area", "max_side", "frames_per_update", "patience")
        low = [n for n in (*counts, "scenes", "train_frames") if getattr(self, n) < 1]
        low += [n for n in ("threshold", "adaptation", "crowded") if getattr(self, n) <= 0]
        low += [n for n in ("blur", "close") if getattr(self, n) > KERNEL]
        for name in low:
            expected = f"1 to {KERNEL}" if name in ("blur", "close") else "a positive number"
            raise ConfigError(
                f"{name} {getattr(self, name)}", expected=expected, fix="leave it out"
            )
        if self.threshold > self.strong:
            raise ConfigError(
                f"threshold {self.threshold:g} above strong {self.strong:g}",
                expected="threshold <= strong",
                fix="raise strong too",
            )


class Background(Localiser):
    """Bounding boxes of what differs from the empty scene.

    ``fit`` learns one empty scene for each camera and picture size.  At a video's first frame the
    nearest one is taken; if none fits, or none was learned, the median of the first frames is, and
    replaces the first frame as it gets better.
    """

    name = "background"
    Settings = BackgroundSettings

    def __init__(self, settings: BackgroundSettings | None = None) -> None:
        self.settings = settings or BackgroundSettings()
        self.scenes: list[LearnedScene] = []
        self.sizes: ObjectSizes | None = None
        self._scene: RunningScene | None = None

    def start(self, info: VideoInfo) -> None:
        self._scene = None

    def boxes(self, window: Triplet) -> Boxes:
        image = window.current.image
        mask, contrast = self.foreground(image)
        scale, (height, width) = mask.shape[1] / image.shape[1], image.shape[:2]
        return clip_boxes(self.boxes_of(mask, contrast) / scale, width, height)

    def boxes_beyond(self, window: Triplet, known: Boxes) -> Boxes:
        """Boxes of foreground, but for what ``known`` ones cover by half or more.

        What sticks out of them, a foot or a shadow, is no object of its own.
        """
        boxes = self.boxes(window)
        return boxes[covered(boxes, known) < 0.5]

    def foreground(self, image: Picture) -> Foreground:
        """What differs from the empty scene in a video's next frame: 0 or 1, and the contrast.

        Both have the size of analysis, see ``max_side``.  Where a silhouette is too large for
        objects side by side, the scene takes the frame's light if there is none in it.
        """
        small = self._shrink(image)
        if self._scene is None or self._scene.is_foreign:
            self._scene = self._begin((image.shape[1], image.shape[0]), small)
        mask, contrast = self._foreground(small, self._scene.picture)
        if self.sizes and self._scene.learned and has_giant(mask, self.sizes):
            lit = relight(self._scene.picture, small)
            relit, other = self._foreground(small, lit)
            if not has_giant(relit, self.sizes):  # else it is one: somebody close by the camera
                self._scene.picture, mask, contrast = lit, relit, other
        self._scene.follow(small, mask)
        return mask, contrast

    @property
    def picture(self) -> Picture:
        """The empty scene of the running video as it is now, at the size of analysis."""
        assert self._scene is not None, "asked before the first frame"
        return self._scene.picture

    def boxes_of(
        self, mask: UInt8[np.ndarray, "h w"], contrast: Float32[np.ndarray, "h w"]
    ) -> Boxes:
        """Boxes of what ``foreground`` gave, in pixels of the size of analysis."""
        return self._components(mask, contrast, self.sizes)

    def _begin(self, size: tuple[int, int], small: Picture) -> RunningScene:
        known = choose(self.scenes, size, small)
        if known:
            share = self._foreground(small, known.picture)[0].mean()
            known = known if share <= self.settings.crowded else None
        return RunningScene(
            picture=known.picture if known else small,
            learned=known is not None,
            frames_per_update=self.settings.frames_per_update,
            patience=self.settings.patience,
        )

    def _shrink(self, image: Picture) -> UInt8[np.ndarray, "a b 3"]:
        import cv2

        height, width = image.shape[:2]
        size = shrunk(width, height, self.settings.max_side)
        same = size == (width, height)
        return image if same else cv2.resize(image, size, interpolation=cv2.INTER_AREA)

    def _foreground(self, image: Picture, scene: Picture) -> Foreground:
        """0 or 1, and the channels' largest difference as it were on a scene of brightness 130."""
        import cv2

        difference = brightest(cv2.absdiff(image, scene))
        side = odd(self.settings.blur, image)
        smooth = cv2.GaussianBlur(difference, (side, side), 0)
        gain = cv2.LUT(brightest(scene), brightness_gain(self.settings.adaptation))
        contrast = cv2.multiply(smooth, gain, dtype=cv2.CV_32F)
        mask = (contrast > self.settings.threshold).astype(np.uint8)
        tall, wide = odd(self.settings.close, contrast), odd(0.6 * self.settings.close, contrast)
        kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (wide, tall))
        return cv2.morphologyEx(mask, cv2.MORPH_CLOSE, kernel), contrast

    def _components(
        self,
        mask: UInt8[np.ndarray, "h w"],
        contrast: Float32[np.ndarray, "h w"],
        sizes: ObjectSizes | None,
        *,
        cut: bool = True,
    ) -> Boxes:
        import cv2

        area = self.settings.min_area * mask.size / REFERENCE_PIXELS
        _, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        found: list[tuple[int, int, int, int]] = []
        for label in range(1, len(stats)):
            x, y, w, h, pixels = (int(v) for v in stats[label])
            if pixels < area:
                continue
            silhouette: Bool[np.ndarray, "a b"] = labels[y : y + h, x : x + w] == label
            values = contrast[y : y + h, x : x + w][silhouette]
            if (values > self.settings.strong).mean() < self.settings.strong_share:
                continue
            if cut and self.settings.split:
                typical = None
                if sizes:
                    wide, tall = sizes.at((y + h) / len(mask))
                    typical = (wide * len(mask), tall * len(mask))
                found += split(silhouette, x, y, typical=typical, min_area=area)
            else:
                found.append((x, y, x + w, y + h))
        return np.asarray(found, np.float32).reshape(-1, 4)

    # -- learning ------------------------------------------------------------------------------

    def fit(self, train: Dataset) -> None:
        """Learn the empty scenes and the sizes of objects from at most ``train_frames`` frames."""
        sources = [v.open() for v in train.videos[:: -(-len(train.videos) // 40) or 1]]
        groups: list[list[LearnedScene]] = []
        objects: list[Float32[np.ndarray, "n 3"]] = []
        most = self.settings.train_frames // max(1, len(sources))
        with progress("empty scene", frames_of(sources, most)) as advance:
            for source in sources:
                if (sampled := self._sample(source, most, advance)) is not None:
                    size, frames = sampled
                    scene = median(frames)
                    objects += self._measure(frames, scene)
                    group = next((g for g in groups if choose(g[:1], size, scene)), None)
                    if group is None:
                        groups.append(group := [])
                    group.append(LearnedScene(size, scene))
        groups.sort(key=len, reverse=True)
        self.scenes = [
            LearnedScene(group[0].size, median([s.picture for s in group]))
            for group in groups[: self.settings.scenes]
        ]
        self.sizes = ObjectSizes.learn(np.concatenate([np.zeros((0, 3), np.float32), *objects]))

    def _sample(
        self, source: VideoSource, most: int, advance: Callable[[], None]
    ) -> tuple[tuple[int, int], list[Picture]] | None:
        """Evenly spaced frames at analysis size, at most 2 x SAMPLES, in constant memory."""
        frames: list[Picture] = []
        stride, size = 1, (0, 0)
        for frame in source:
            if frame.index >= most and frames:
                break
            if frame.index % stride == 0:
                size = (frame.image.shape[1], frame.image.shape[0])
                frames.append(self._shrink(frame.image))
            if len(frames) == 2 * SAMPLES:
                frames, stride = frames[::2], stride * 2
            advance()
        return (size, frames) if frames else None

    def _measure(
        self, frames: list[Picture], scene: Picture
    ) -> Iterator[Float32[np.ndarray, "n 3"]]:
        """Bottom, width and height of the uncut silhouettes, as shares of the picture's height."""
        for frame in frames:
            boxes = self._components(*self._foreground(frame, scene), None, cut=False)
            sides = boxes[:, 2:] - boxes[:, :2]
            yield np.concatenate([boxes[:, 3:], sides], axis=1) / np.float32(len(frame))

    # -- saving --------------------------------------------------------------------------------

    def arrays(self) -> dict[str, np.ndarray]:
        learned: dict[str, np.ndarray] = {}
        for i, scene in enumerate(self.scenes):
            learned |= {f"scene{i}": scene.picture, f"size{i}": np.array(scene.size, np.int32)}
        return learned | ({"objects": self.sizes.table} if self.sizes else {})

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        self.scenes = []
        while f"scene{len(self.scenes)}" in arrays:
            i = len(self.scenes)
            picture, most = arrays[f"scene{i}"], self.settings.max_side
            self.scenes.append(LearnedScene.saved(arrays[f"size{i}"], picture, most))
        self.sizes = ObjectSizes.saved(arrays["objects"]) if "objects" in arrays else None


def odd(pixels: float, picture: np.ndarray) -> int:
    """The odd kernel side that corresponds to ``pixels`` on a 360x240 picture."""
    scaled = pixels * (picture.shape[0] * picture.shape[1] / REFERENCE_PIXELS) ** 0.5
    return max(1, 2 * round((scaled - 1) / 2) + 1)
