"""The contract of video sources: a stream of frames with index, time and picture."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from vadistill.errors import ConfigError, printable

PICTURES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff")
"""Endings of the pictures that a frame folder may hold, in any case."""

SLOWEST = 1e6
"""Seconds from a frame to the next at most; a recording of one frame a week has fewer."""

DEFAULT_FPS = 25.0
"""For sources that do not tell their rate."""


@dataclass(frozen=True, eq=False, slots=True)
class Frame:
    """One decoded picture."""

    index: int
    """0-based position in decoding order of the shown frames; no gaps."""
    time: float
    """Presentation time in seconds on the source's own timeline; never decreases.

    0 for the first frame, unless a file's sound starts before it or its first frames are damaged.
    """
    image: UInt8[np.ndarray, "h w 3"]
    """RGB, upright (container rotation applied)."""


@dataclass(frozen=True)
class VideoInfo:
    """What is known of a video before it is decoded."""

    name: str
    """Short name: the file's stem or the folder's name; on one line, with escapes."""
    width: int
    height: int
    fps: float
    """Average frames per second; frames of a variable-rate video carry their own times."""
    frames: int | None
    """Number of frames if the container or folder tells, else None (it may be an estimate)."""
    path: Path | None = None
    first: int | None = None
    """The frame of the whole that frame 0 is, of a part of a video; None of a whole one."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", printable(self.name))


class VideoSource(ABC):
    """Frames in order.  Iterating again starts again; memory does not grow with the length."""

    info: VideoInfo
    corrupt_frames: int = 0
    """Frames left out of the last pass because they could not be decoded; final at its end."""

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]:
        """Decode from the start; raises VideoError."""


class Stretch(VideoSource):
    """Frames ``first`` to ``last`` (exclusive) of another source, as a video that starts at 0.

    What lies before is decoded and dropped, since no container can be trusted to seek by frame.
    """

    def __init__(self, source: VideoSource, first: int, last: int) -> None:
        self.source, self.first, self.last = source, first, last
        known = source.info.frames
        end = last if known is None else min(last, known)
        before = source.info.first or 0
        self.info = replace(source.info, frames=max(0, end - first), first=before + first)

    def __iter__(self) -> Iterator[Frame]:
        begin: float | None = None
        for frame in self.source:
            if frame.index >= self.last:
                break
            if frame.index >= self.first:
                begin = frame.time if begin is None else begin
                yield Frame(frame.index - self.first, frame.time - begin, frame.image)
        self.corrupt_frames = self.source.corrupt_frames


def check_fps(fps: float | int | Fraction) -> None:
    """Raise ConfigError unless ``fps`` is finite, above 0 and a rate that a video can have."""
    if not (math.isfinite(fps) and 1 / SLOWEST <= fps <= SLOWEST):
        raise ConfigError(f"fps={fps}", expected="frames per second above 0", fix="correct it")
