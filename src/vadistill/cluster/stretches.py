"""Long videos in stretches that several workers score at once, to the scores of the whole video.

Only of detectors whose score of a frame depends on so many frames around it and no others
(``Detector.lookback``, ``lookahead``): ``fast_aed``.  A localiser that follows the empty scene, a
mean over all that came before, or features of whole snippets make a cut video another video.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from vadistill.datasets import Video
from vadistill.datasets.places import is_stored
from vadistill.detector import Detector
from vadistill.errors import VideoError
from vadistill.scores import FrameScore
from vadistill.video import Frame, VideoSource

SHORTEST = 1500
"""Frames of a stretch at least: what lies before it is decoded, too."""


class Part(VideoSource):
    """Frames ``first`` to ``end`` (exclusive) of a source, with the numbers that they have there.

    What lies before is decoded and dropped, since no container can be trusted to seek by frame.
    """

    def __init__(self, source: VideoSource, first: int, end: int) -> None:
        self.source, self.first, self.end = source, first, end
        self.info = replace(source.info, frames=None)

    def __iter__(self) -> Iterator[Frame]:
        for frame in self.source:
            if frame.index >= self.end:
                break
            if frame.index >= self.first:
                yield frame
        self.corrupt_frames = self.source.corrupt_frames


LAST = 2**62
"""The end of the last stretch, whose video may be longer than it tells."""


def ranges(video: Video, model: Detector, count: int) -> list[tuple[int, int]]:
    """First frame and end of up to ``count`` stretches of a video; none where it stays whole.

    They begin with a batch of the detector's, so that its batches are those of the whole video,
    and their sums are rounded alike.
    """
    if count < 2 or model.lookback is None or model.lookahead is None or is_stored(video.source):
        return []
    try:
        source = video.open()
    except VideoError:
        return []  # which is told when it is scored
    if not isinstance(video.source, Path) or not source.info.frames:
        return []
    count = min(count, source.info.frames // SHORTEST)
    batch = getattr(model.config, "batch_frames", 1)
    step = math.ceil(source.info.frames / max(count, 1) / batch) * batch
    starts = list(range(0, source.info.frames, step)) if count > 1 else []
    return list(zip(starts, [*starts[1:], LAST], strict=False))


def part_of(video: Video, model: Detector, stretch: tuple[int, int]) -> Video:
    """A video of a stretch and what its first and last frames' scores need around it."""
    first, end = stretch
    batch = getattr(model.config, "batch_frames", 1)
    before = math.ceil((model.lookback or 0) / batch) * batch
    source = Part(
        replace(video, hidden=()).open(), max(0, first - before), end + (model.lookahead or 0)
    )
    return replace(video, source=source)


def within(frames: list[FrameScore], stretch: tuple[int, int]) -> list[FrameScore]:
    """The frames of a stretch, without those around it."""
    return [frame for frame in frames if stretch[0] <= frame.index < stretch[1]]
