"""Patches: foreground objects cut out of a frame and its neighbours, with optical flow.

CAFE's Sec. 3.1 calls them video events; the object-centric teachers of fast_aed learn from them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
from jaxtyping import Float16, Float32, Int, UInt8

from vadistill.datasets.sampling import ClipArrays, Sample
from vadistill.flow import build_flow
from vadistill.objects.ahead import located
from vadistill.objects.base import Localiser
from vadistill.objects.speeds import (
    PERCENTILE,
    SPEED_FLOW,
    SPEED_SIDE,
    STATISTICS,
    TRAVEL,
    VELOCITY,
    Moment,
    Speeds,
    Steps,
    frames_of_travel,
    speeds_of,
)
from vadistill.video import Frame, VideoSource
from vadistill.windows import Window

MOVES = (*STATISTICS, *VELOCITY)
"""What is taken of an object's motion."""

Patches = UInt8[np.ndarray, "n t s s 3"]
"""n patches on t frames as RGB bytes: the same box on each."""

FlowPatches = Float16[np.ndarray, "n f 2 s s"]
"""f flow fields of n patches in pixels a frame (x, y), cropped by the box and resized."""


@dataclass(frozen=True)
class Cut:
    """What is cut out around each box of frame t."""

    size: int
    """Side of a patch in pixels; boxes are stretched to squares, unless they are ``square``."""
    offsets: tuple[int, ...] = (0,)
    """Frames that are cut, from t."""
    flows: tuple[tuple[int, int], ...] = ()
    """Pairs of frames, from t, between which flow is cut: from the first to the second."""
    flow: str = "dis"
    """How flow is computed: see ``vadistill.flow``."""
    reach: int = 0
    """Speeds are taken, too, each followed for ``TRAVEL`` seconds and so many frames at most; 0:
    they are not."""
    square: bool = False
    """Each box is widened to a square around its centre, with what surrounds it, so that patches
    keep their shape; beyond the picture its edge repeats."""

    @property
    def before(self) -> int:
        """Frames before t that are needed, at a video's end too."""
        return max([-o for o in self.offsets] + [1, self.reach] + self._spans)

    @property
    def after(self) -> int:
        """Frames after t that are needed; localisers look one ahead."""
        return max([*self.offsets, 1, self.reach, *self._spans])

    def at(self, fps: float) -> Cut:
        """The same for a video of this rate, whose speeds need no more frames than ``TRAVEL``."""
        known = self.reach if fps <= 0 else min(self.reach, frames_of_travel(fps))
        return replace(self, reach=known)

    @property
    def _spans(self) -> list[int]:
        return [max(abs(a), abs(b), abs(b - a)) for a, b in self.flows]


@dataclass(frozen=True, eq=False)
class FramePatches:
    """All patches of one frame."""

    index: int
    time: float
    boxes: Float32[np.ndarray, "n 4"]
    patches: Patches
    flow: FlowPatches
    moves: Speeds
    """By ``MOVES``; no columns where the cut has none."""


def crop(
    image: np.ndarray, boxes: Float32[np.ndarray, "n 4"], size: int, *, square: bool = False
) -> list[np.ndarray]:
    """Each box of an image, or its square, in whole pixels and resized to ``size`` x ``size``.

    Shrinking averages areas and enlarging is bilinear, so that small people do not alias.  Beyond
    the image the edge of what a square has of it repeats.
    """
    import cv2

    height, width = image.shape[:2]
    patches = []
    for x1, y1, x2, y2 in squares(boxes) if square else boxes:
        left, top, right, bottom = map(int, (np.floor(x1), np.floor(y1), np.ceil(x2), np.ceil(y2)))
        part = image[max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
        above, before = max(-top, 0), max(-left, 0)
        below, after = max(bottom - height, 0), max(right - width, 0)
        if square and max(above, below, before, after) > 0:
            repeated = cv2.BORDER_REPLICATE
            part = cv2.copyMakeBorder(part, above, below, before, after, repeated)
        shrinks = part.shape[0] * part.shape[1] > size * size
        patches.append(
            cv2.resize(
                part, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            )
        )
    return patches


def squares(boxes: Float32[np.ndarray, "n 4"]) -> Float32[np.ndarray, "n 4"]:
    """Around each box's centre a square of its longer side; may reach beyond the picture."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = np.max(boxes[:, 2:] - boxes[:, :2], axis=1, keepdims=True) / 2
    return np.hstack([centre - half, centre + half])


def frame_patches(source: VideoSource, localiser: Localiser, cut: Cut) -> Iterator[FramePatches]:
    """The patches of every frame of a video, in order, ``cut.after`` frames behind the decoder.

    Beyond a video's ends its last frame there repeats, and a flow is that of the nearest pair.
    """
    own = localiser.clone()  # which it is alone with, while it finds objects ahead
    own.start(source.info)
    wanted = [(cut, lambda index: True)]
    for patches, *_ in cut_frames(source, own, wanted, fps=source.info.fps):
        assert patches is not None
        yield patches


def cut_frames(
    frames: Iterable[Frame],
    localiser: Localiser,
    wanted: Sequence[tuple[Cut, Callable[[int], bool]]],
    *,
    fps: float,
) -> Iterator[list[FramePatches | None]]:
    """What each cut gives of every frame of a video, in order; None where it wants none of it.

    Every frame is localised, once, and a flow that several cuts have is computed once.  The
    localiser has been started.  ``wanted`` says of each cut which frames it is for, by index;
    ``fps`` is the video's rate, 0 where it is not known.
    """
    wanted = [(cut.at(fps), wants) for cut, wants in wanted]
    cuts = [cut for cut, _ in wanted]
    reach = max(cut.reach for cut in cuts)
    fps = fps if fps > 0 else max(reach, 1) / TRAVEL
    steps = Steps(build_flow(SPEED_FLOW), fps, reach, SPEED_SIDE)
    pairs = sum(len(cut.flows) for cut in cuts)
    compute = {cut.flow: build_flow(cut.flow) for cut in cuts if cut.flows}
    known: dict[tuple[str, int, int], np.ndarray] = {}

    def field(flow: str, a: Frame, b: Frame) -> np.ndarray:
        key = (flow, a.index, b.index)
        if key not in known:
            known[key] = compute[flow](a.image, b.image)
            if len(known) > 2 * pairs:  # neighbours may share a pair at an end
                known.pop(next(iter(known)))
        return known[key]

    before, after = max(cut.before for cut in cuts), max(cut.after for cut in cuts)
    for window, found in located(frames, localiser, before=before, after=after):
        chosen = [cut if wants(window.current.index) else None for cut, wants in wanted]
        # Flow is computed while boxes are looked for.
        fields = [
            [field(cut.flow, *window.pair(*pair)) for pair in cut.flows] if cut else []
            for cut in chosen
        ]
        moment = steps.moment(window) if any(cut and cut.reach for cut in chosen) else None
        boxes = found()
        yield [
            _cut_out(window, boxes, cut, own, moment) if cut else None
            for cut, own in zip(chosen, fields, strict=True)
        ]


def _cut_out(
    window: Window,
    boxes: Float32[np.ndarray, "n 4"],
    cut: Cut,
    fields: Sequence[np.ndarray],
    moment: Moment | None,
) -> FramePatches:
    moves = np.zeros((len(boxes), 0), np.float32)
    if cut.reach:
        assert moment is not None
        moves = speeds_of(boxes, moment, MOVES, PERCENTILE, cut.reach).astype(np.float32)
    side, count, cropped = cut.size, len(boxes), partial(crop, square=cut.square)
    patches = np.zeros((count, len(cut.offsets), side, side, 3), np.uint8)
    for position, offset in enumerate(cut.offsets):
        for row, image in enumerate(cropped(window.at(offset).image, boxes, side)):
            patches[row, position] = image
    flow = np.zeros((count, len(cut.flows), 2, side, side), np.float16)
    for position, field in enumerate(fields):
        for row, image in enumerate(cropped(field, boxes, side)):
            flow[row, position] = image.transpose(2, 0, 1)
    return FramePatches(window.current.index, window.current.time, boxes, patches, flow, moves)


class PatchStore:
    """Patches of some training frames, memory-mapped from a folder with one file set a video."""

    def __init__(
        self,
        folder: Path,
        videos: Sequence[str],
        key: str,
        cut: Cut | None = None,
        sample: Sample | None = None,
    ) -> None:
        self.key = key
        """Names the data, the boxes and the frames that the patches are of."""
        self.cut, self.sample = cut, sample
        counts = [np.load(folder / f"{v}.counts.npy") for v in videos]
        self.counts: Int[np.ndarray, " frames"] = np.concatenate([np.zeros(0, np.int64), *counts])
        """Number of patches of each kept frame, in order; frames without any count too."""
        self._of_video = counts
        self._arrays = ClipArrays([folder / v for v in videos], [int(c.sum()) for c in counts])

    def __len__(self) -> int:
        return len(self._arrays)

    @property
    def runs(self) -> list[int]:
        """How many kept frames follow each other: a video's, or none where some are left out."""
        whole = self.sample is not None and self.sample.keeps_all
        return [len(counts) for counts in self._of_video] if whole else []

    def patches(self, rows: Int[np.ndarray, " n"]) -> Patches:
        """Some patches, in the order of ``rows``."""
        return self._arrays.gather("patches", rows)

    def flow(self, rows: Int[np.ndarray, " n"]) -> FlowPatches:
        """Flow of some patches, in the order of ``rows``."""
        return self._arrays.gather("flow", rows)

    def boxes(self, rows: Int[np.ndarray, " n"]) -> Float32[np.ndarray, "n 4"]:
        """Boxes of some patches, in the order of ``rows``."""
        return self._arrays.gather("boxes", rows)

    def moves(self, rows: Int[np.ndarray, " n"]) -> Speeds:
        """Motion of some patches, by ``MOVES``, in the order of ``rows``."""
        return self._arrays.gather("moves", rows)

    def frames(self, video: int, cut: Cut, keeps: Callable[[int], bool]) -> Iterator[FramePatches]:
        """Some of the frames of video number ``video``, in order, as ``frame_patches`` gives them.

        ``cut`` is the store's, or less of it; ``keeps`` says which frames, by index.  Times are not
        stored: they are NaN.
        """
        assert self.cut is not None and self.sample is not None
        offsets = [self.cut.offsets.index(offset) for offset in cut.offsets]
        flows = [self.cut.flows.index(pair) for pair in cut.flows]
        first = sum(int(counts.sum()) for counts in self._of_video[:video])
        stored = filter(partial(self.sample.keeps, video), count())
        for number, index in zip(self._of_video[video].tolist(), stored, strict=False):
            rows = np.arange(first, first + number)
            first += number
            if keeps(index):
                boxes, patches = self.boxes(rows), self.patches(rows)[:, offsets]
                flow, moves = self.flow(rows)[:, flows], self.moves(rows)
                yield FramePatches(index, math.nan, boxes, patches, flow, moves)

    def frame_maxima(
        self, scores: Float32[np.ndarray, " n"], empty: float
    ) -> Float32[np.ndarray, " frames"]:
        """The highest score of each kept frame's patches; ``empty`` for a frame without any."""
        maxima = np.full(len(self.counts), empty, np.float32)
        np.maximum.at(maxima, np.repeat(np.arange(len(self.counts)), self.counts), scores)
        return maxima
