"""Scoring with a progress bar, for the verbs that score."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from vadistill.datasets.feature_source import FeatureSource
from vadistill.progress import progress
from vadistill.video import Frame, VideoSource

if TYPE_CHECKING:
    from vadistill.datasets import Dataset, Video
    from vadistill.detector import Detector
    from vadistill.scores import Scores


class Watched(VideoSource):
    """A source that says when a frame of it was used."""

    def __init__(self, source: VideoSource, step: Callable[..., None]) -> None:
        self.source, self.info, self.step = source, source.info, step

    def __iter__(self) -> Iterator[Frame]:
        for frame in self.source:
            yield frame
            self.step()
        self.corrupt_frames = self.source.corrupt_frames


class Scored(NamedTuple):
    """Raw scores by clip name, and what it took."""

    scores: dict[str, Scores]
    seconds: float

    @property
    def frames(self) -> int:
        return sum(map(len, self.scores.values()))

    @property
    def speed(self) -> float:
        """Frames per second, from decoding to score."""
        return self.frames / max(self.seconds, 1e-9)


def score_video(model: Detector, source: VideoSource) -> Scores:
    """Scores of one video, with a bar; raises VideoError."""
    with progress(source.info.name, source.info.frames) as advance:
        return _score(model, source, advance)


def score_dataset(model: Detector, dataset: Dataset, label: str) -> Scored:
    """Scores of every clip, with one bar over all frames; raises VideoError."""
    scores: dict[str, Scores] = {}
    started = time.monotonic()
    with progress(label, sum(map(length, dataset)) or None) as advance:
        for clip in dataset:
            advance(0, note=clip.name)
            scores[clip.name] = _score(model, clip.open(), advance)
    return Scored(scores, time.monotonic() - started)


def _score(model: Detector, source: VideoSource, advance: Callable[..., None]) -> Scores:
    """Scores of one source; of one without frames to count, the bar moves at its end."""
    if isinstance(source, FeatureSource):
        scores = model.score(source)
        advance(len(scores))
        return scores
    return model.score(Watched(source, advance))


def length(clip: Video) -> int:
    """Number of frames as far as it is known without decoding."""
    if clip.frame_labels is not None:
        return len(clip.frame_labels)
    return clip.open().info.frames or 0
