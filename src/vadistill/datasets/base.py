"""What every data set reader returns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from vadistill.datasets.snippets import FeatureSource
from vadistill.errors import DataError, printable
from vadistill.video import Polygon, Stretch, VideoSource, covered, open_video


@dataclass(frozen=True, eq=False)
class Track:
    """An annotated object: ``frames`` (0-based) and ``boxes`` there (x1, y1, x2, y2; exclusive)."""

    id: int
    kind: str
    frames: np.ndarray
    boxes: Float32[np.ndarray, "n 4"]


@dataclass(frozen=True, eq=False)
class Video:
    """One video of a data set.  Labels are absent (None) for training and unlabelled ones."""

    name: str
    """On one line: what cannot be printed becomes an escape."""
    source: Path | UInt8[np.ndarray, "t h w 3"] | VideoSource
    """A video file, a folder of frames, pixels, or what there is without them (FeatureSource)."""
    frame_labels: UInt8[np.ndarray, " t"] | None = None
    """1 for an abnormal frame, 0 for a normal one; as long as the video."""
    mask: Callable[[int], Bool[np.ndarray, "h w"]] | None = None
    """Pixels that are abnormal at a frame index, where the data set has masks."""
    video_label: int | None = None
    """1 if the video holds an anomaly: weak supervision."""
    tracks: tuple[Track, ...] = ()
    fps: float | None = None
    """Frames per second for sources that do not tell (frame folders)."""
    classes: tuple[str, ...] = ()
    """Kinds of anomaly in it, where the data set names them: for AUC by class."""
    stretch: tuple[int, int] | None = None
    """First frame and end (exclusive) of the part of the source that counts; None: all of it."""
    hidden: tuple[Polygon, ...] = ()
    """Parts of the picture that are grey in every frame: neither learned from nor scored."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", printable(self.name))

    def open(self) -> VideoSource:
        """A fresh stream of the video's frames; raises VideoError.  Its info carries ``name``."""
        if isinstance(self.source, VideoSource):
            return covered(self.source, self.hidden)
        whole = open_video(self.source, name=self.name, fps=self.fps)
        part = whole if self.stretch is None else Stretch(whole, *self.stretch)
        return covered(part, self.hidden)

    def mask_disagreements(self) -> list[int]:
        """Frames that are labelled normal but have abnormal mask pixels, or the other way round.

        Reads every mask; empty for a video that lacks labels or masks.  Raises DataError for a mask
        that cannot be read.
        """
        if self.mask is None or self.frame_labels is None:
            return []
        found = [bool(self.mask(index).any()) for index in range(len(self.frame_labels))]
        return np.flatnonzero(np.array(found) != self.frame_labels.astype(bool)).tolist()


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """One split of a data set."""

    name: str
    """Such as ``ucsd_ped2``; on one line."""
    split: Literal["train", "test"]
    videos: tuple[Video, ...]
    supervision: Literal["one-class", "weak"] = "one-class"
    root: Path | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", printable(self.name))

    def __repr__(self) -> str:
        return f"<{self.name} {self.split}: {len(self)} videos>"

    def __len__(self) -> int:
        return len(self.videos)

    def __iter__(self) -> Iterator[Video]:
        return iter(self.videos)

    def __getitem__(self, name: str) -> Video:
        for video in self.videos:
            if video.name == printable(name):
                return video
        raise KeyError(name)

    def hiding(self, polygons: Sequence[Polygon]) -> Dataset:
        """The same videos with parts of their pictures hidden; raises DataError for features."""
        if polygons and any(isinstance(video.source, FeatureSource) for video in self):
            raise DataError(
                f"a mask for {self.name}, of which only features are there",
                expected="videos, whose pictures it can hide parts of",
                fix="leave the mask out",
            )
        videos = (replace(video, hidden=tuple(polygons)) for video in self)
        return replace(self, videos=tuple(videos))

    def lacking_labels(self) -> str | None:
        """Why weak supervision cannot learn from these videos, or None where it can."""
        unknown = [video.name for video in self if video.video_label is None]
        videos = f"{len(self)} training video{'s' * (len(self) != 1)} of {self.name}"
        if unknown:
            return f"{len(unknown)} of {videos} have no video label, such as {unknown[0]}"
        found = {video.video_label for video in self}
        if len(found) == 1:
            return f"all {videos} are {'abnormal' if found == {1} else 'normal'}"
        return None


@dataclass(frozen=True, eq=False)
class Splits:
    """Both splits as they were found; either may be empty.  ``problems`` are one line each."""

    train: Dataset
    test: Dataset
    kind: str
    """Which reader recognised it: a name in ``DATASETS``, such as folder or ucf_crime."""
    problems: tuple[str, ...] = field(default_factory=tuple)
    unused: tuple[str, ...] = ()
    """What lies in the data set's folder and is not read, by its path from there."""
    notes: tuple[str, ...] = ()
    """What is worth knowing and not wrong, one line each."""
