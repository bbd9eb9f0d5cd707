"""A video of any length as 32 segments, and back to its clips (Sultani et al. 2018)."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float32, Int

SEGMENTS = 32
"""Segments that the weakly supervised literature reduces every video to."""


def edges(clips: int, segments: int = SEGMENTS) -> Int[np.ndarray, " _"]:
    """``linspace(0, clips, segments + 1)`` cut to integers: segment i is clips e[i] to e[i+1] - 1.

    With fewer clips than segments some are empty.
    """
    return np.linspace(0, clips, segments + 1).astype(np.int64)


def segment_means(
    clips: Float[np.ndarray, "n d"], segments: int = SEGMENTS
) -> Float32[np.ndarray, "{segments} d"]:
    """The mean feature of each segment's clips; of an empty segment, the clip at its edge."""
    if len(clips) == segments:
        return clips.astype(np.float32)
    edge = edges(len(clips), segments)
    # Of an empty segment, ``reduceat`` gives the row at its edge.
    sums = np.add.reduceat(clips, edge[:-1], axis=0, dtype=np.float64)
    return (sums / np.maximum(np.diff(edge), 1)[:, None]).astype(np.float32)


def segment_of_clips(clips: int, segments: int = SEGMENTS) -> Int[np.ndarray, " {clips}"]:
    """The one segment that each clip lies in."""
    return np.searchsorted(edges(clips, segments), np.arange(clips), side="right") - 1
