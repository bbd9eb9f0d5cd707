"""Scores of several videos from one model, with one bar over all their frames."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from vadistill.datasets import Video
from vadistill.datasets.snippets import FeatureSource
from vadistill.detector import Detector
from vadistill.errors import VideoError
from vadistill.progress import progress
from vadistill.scores import Scores
from vadistill.video import Frame, VideoSource


class Scored(NamedTuple):
    """Raw scores by video, and what it took."""

    scores: dict[str, Scores]
    seconds: float

    @property
    def frames(self) -> int:
        """Frames of all videos."""
        return sum(map(len, self.scores.values()))

    @property
    def speed(self) -> float:
        """Frames per second, from decoding to score."""
        return self.frames / max(self.seconds, 1e-9)


def score_videos(
    model: Detector,
    videos: Sequence[Video],
    label: str,
    *,
    failures: list[VideoError] | None = None,
) -> Scored:
    """Raw scores of every video, with one bar named ``label`` over all frames.

    Raises VideoError, or with ``failures`` adds it there and goes on with the next video.
    """
    scores: dict[str, Scores] = {}
    started = time.monotonic()
    with progress(label, sum(map(_length, videos)) or None) as advance:
        for video in videos:
            advance(0, note=video.name)
            try:
                source = video.open()
                # Features have no frames to count: the bar moves at their end.
                counted = isinstance(source, FeatureSource)
                scores[video.name] = model.score(source if counted else _Watched(source, advance))
                advance(len(scores[video.name]) if counted else 0)
            except VideoError as error:
                if failures is None:
                    raise
                failures.append(error)
    return Scored(scores, time.monotonic() - started)


class _Watched(VideoSource):
    """A source that says when a frame of it was used."""

    def __init__(self, source: VideoSource, step: Callable[..., None]) -> None:
        self.source, self.info, self.step = source, source.info, step

    def __iter__(self) -> Iterator[Frame]:
        for frame in self.source:
            yield frame
            self.step()
        self.corrupt_frames = self.source.corrupt_frames


def _length(video: Video) -> int:
    """Number of frames as far as it is known without decoding."""
    if video.frame_labels is not None:
        return len(video.frame_labels)
    return video.open().info.frames or 0


def smoothing_of(model: Detector) -> str:
    """The smoothing that the model's settings name, ``raw`` where they name none."""
    return getattr(model.config, "smoothing", "raw")
