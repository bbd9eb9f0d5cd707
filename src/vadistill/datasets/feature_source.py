"""Videos of which only clip features are at hand, such as those that data sets publish."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from vadistill.errors import DataError, VideoError
from vadistill.video import DEFAULT_FPS, Frame, VideoInfo, VideoSource

CLIP = 16
"""Frames of a clip, of which a backbone makes one feature vector."""


@runtime_checkable
class FeatureArray(Protocol):
    """Snippet features of one video from one backbone, wherever they lie."""

    @property
    def identity(self) -> str:
        """What tells this content from another's, without reading it."""
        ...

    def read(self) -> Float32[np.ndarray, "n d"]:
        """One row a clip, in order; raises DataError."""
        ...


class FeatureSource(VideoSource):
    """A video source without pictures: clip features by backbone, for systems that learn from them.

    Its length is that of its clips (16 frames each), or ``frames`` where the video's is known.
    Raises DataError without a clip.
    """

    def __init__(
        self,
        name: str,
        arrays: Mapping[str, FeatureArray],
        *,
        clips: int,
        frames: int | None = None,
        fps: float | int = DEFAULT_FPS,
    ) -> None:
        if clips < 1:
            raise DataError(
                f"{name} has {clips} clips", expected="at least one", fix="leave the video out"
            )
        self.arrays, self.clips = dict(arrays), clips
        self.info = VideoInfo(name, 0, 0, float(fps), frames or CLIP * clips)

    @property
    def identity(self) -> str:
        """What tells this source's content from another's, without reading it."""
        each = sorted((name, array.identity) for name, array in self.arrays.items())
        return f"{self.info.name} {self.info.frames} {each}"

    def features(self, backbone: str) -> Float32[np.ndarray, "n d"]:
        """One row a clip; raises DataError for an absent backbone, another length, NaN."""
        if backbone not in self.arrays:
            raise DataError(
                f"{self.info.name} has no features of '{backbone}'",
                expected=f"one of {', '.join(sorted(self.arrays))}",
                fix="name one of these as backbone, or add the features",
            )
        rows = self.arrays[backbone].read()
        if len(rows) != self.clips:
            raise DataError(
                f"{self.info.name} has {len(rows)} clips of '{backbone}'",
                expected=f"{self.clips}, as of its other features",
                fix="extract or download them again",
            )
        bad = np.flatnonzero(~np.isfinite(rows).all(1))
        if len(bad):
            raise DataError(
                f"features of '{backbone}' for {self.info.name} are not finite in "
                f"{len(bad)} of {len(rows)} clips (first: {bad[0]})",
                expected="finite numbers",
                fix="extract or download them again",
            )
        return rows

    def __iter__(self) -> Iterator[Frame]:
        raise VideoError(
            f"{self.info.name} has clip features and no pictures",
            expected="a video",
            fix="use a system that learns from features (dakd), or give the video itself",
        )
