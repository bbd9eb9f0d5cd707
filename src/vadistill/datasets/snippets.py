"""Snippets of 16 frames: videos of which only features are at hand, and videos as 32 segments.

Segments are those of Sultani et al. 2018.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32, Int

from vadistill.errors import DataError, VideoError
from vadistill.video import DEFAULT_FPS, Frame, VideoInfo, VideoSource

SNIPPET = 16
"""Frames of a snippet, of which a backbone makes one feature vector."""

APART = 2
"""Snippets by which features of one video may differ in number: what is left behind the last whole
snippet is kept by some extractors and dropped by others.  More are of other frames."""


@runtime_checkable
class FeatureArray(Protocol):
    """Snippet features of one video from one backbone, wherever they lie."""

    @property
    def identity(self) -> str:
        """What tells this content from another's, without reading it."""
        ...

    def read(self) -> Float32[np.ndarray, "n *crops d"]:
        """One row a snippet, in order, or several, one a crop of it; raises DataError."""
        ...


class FeatureSource(VideoSource):
    """A video source without pictures: snippet features by backbone, for systems that learn so.

    Its length is that of its snippets (16 frames each), or ``frames`` where the video's is known.
    Raises DataError without a snippet.
    """

    def __init__(
        self,
        name: str,
        arrays: Mapping[str, FeatureArray],
        *,
        snippets: int,
        frames: int | None = None,
        fps: float | int = DEFAULT_FPS,
    ) -> None:
        if snippets < 1:
            raise DataError(
                f"{name} has {snippets} snippets",
                expected="at least one",
                fix="leave the video out",
            )
        self.arrays, self.snippets = dict(arrays), snippets
        self.info = VideoInfo(name, 0, 0, float(fps), frames or SNIPPET * snippets)

    @property
    def identity(self) -> str:
        """What tells this source's content from another's, without reading it."""
        each = sorted((name, array.identity) for name, array in self.arrays.items())
        return f"{self.info.name} {self.info.frames} {each}"

    def features(self, backbone: str) -> Float32[np.ndarray, "n d"]:
        """One row a snippet, the mean of its crops; raises DataError as ``crops`` does."""
        return self.crops(backbone).mean(1, dtype=np.float32)

    def crops(self, backbone: str) -> Float32[np.ndarray, "n crops d"]:
        """One row a crop of a snippet, where there are crops, else one a snippet.

        A file with up to ``APART`` snippets more or fewer than the source begins at the same frame.
        Raises DataError for an absent backbone, another length, NaN.
        """
        if backbone not in self.arrays:
            raise DataError(
                f"{self.info.name} has no features of '{backbone}'",
                expected=f"one of {', '.join(sorted(self.arrays))}",
                fix="name one of these as backbone, or add the features",
            )
        rows = self.arrays[backbone].read()
        if not len(rows) or abs(len(rows) - self.snippets) > APART:
            raise DataError(
                f"{self.info.name} has {len(rows)} snippets of '{backbone}'",
                expected=f"{self.snippets}, as of its other features, or {APART} fewer or more",
                fix="extract or download them again",
            )
        rows = aligned(rows, self.snippets).reshape(self.snippets, -1, rows.shape[-1])
        bad = np.flatnonzero(~np.isfinite(rows).all((1, 2)))
        if len(bad):
            raise DataError(
                f"features of '{backbone}' for {self.info.name} are not finite in "
                f"{len(bad)} of {len(rows)} snippets (first: {bad[0]})",
                expected="finite numbers",
                fix="extract or download them again",
            )
        return rows

    def __iter__(self) -> Iterator[Frame]:
        raise VideoError(
            f"{self.info.name} has snippet features and no pictures",
            expected="a video",
            fix="use a system that learns from features (dakd), or give the video itself",
        )


def aligned(rows: Float32[np.ndarray, "n *d"], snippets: int) -> Float32[np.ndarray, "m *d"]:
    """``snippets`` rows, each of the frames that it was of; the last one again for those behind."""
    if len(rows) == snippets:
        return rows
    return rows[np.minimum(np.arange(snippets), len(rows) - 1)]


SEGMENTS = 32
"""Segments that the weakly supervised literature reduces every video to."""


def edges(snippets: int, segments: int = SEGMENTS) -> Int[np.ndarray, " _"]:
    """``linspace(0, snippets, segments + 1)`` cut to integers, e.

    Segment i is snippets e[i] to e[i+1] - 1.  With fewer snippets than segments some are empty.
    """
    return np.linspace(0, snippets, segments + 1).astype(np.int64)


def segment_means(
    snippets: Float[np.ndarray, "n d"], segments: int = SEGMENTS
) -> Float32[np.ndarray, "{segments} d"]:
    """The mean feature of each segment's snippets; of an empty segment, the snippet at its edge."""
    if len(snippets) == segments:
        return snippets.astype(np.float32)
    edge = edges(len(snippets), segments)
    # Of an empty segment, ``reduceat`` gives the row at its edge.
    sums = np.add.reduceat(snippets, edge[:-1], axis=0, dtype=np.float64)
    return (sums / np.maximum(np.diff(edge), 1)[:, None]).astype(np.float32)


def segment_of_snippets(snippets: int, segments: int = SEGMENTS) -> Int[np.ndarray, " {snippets}"]:
    """The one segment that each snippet lies in."""
    return np.searchsorted(edges(snippets, segments), np.arange(snippets), side="right") - 1
