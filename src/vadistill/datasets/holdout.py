"""Normal footage put aside before training: whole videos, or the ends of a few."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vadistill.datasets.base import Dataset, Video
from vadistill.datasets.sampling import length

SHARE = 0.2
"""Of the frames, about, that are put aside."""

VIDEOS = 8
"""Videos from which on whole ones are put aside: fewer would leave too little variety."""

LEAST = 24.0
"""Seconds of footage below which nothing is put aside, since a test on it would tell nothing."""

TOO_SHORT = f"too short for a self-test on a fifth of it (from {LEAST / SHARE / 60:g} minutes on)"
"""What is said of footage of which nothing is put aside."""

ADVISED = 3600.0
"""Seconds of normal footage of one camera that are advised."""


def hold_out(train: Dataset, share: float = SHARE) -> tuple[Dataset, Dataset]:
    """Split normal video into what is learned from and what is kept for a test without labels.

    Of ``VIDEOS`` videos and more, evenly spaced whole ones are kept; of fewer, the end of each.
    Nothing is kept where that is below ``LEAST`` seconds in all, or of sources without a known
    length.  Raises VideoError.
    """
    nothing = replace(train, videos=())
    if len(train) >= VIDEOS:
        step = round(1 / share)
        numbers = range(step // 2, len(train), step)
        held = tuple(train.videos[n] for n in numbers)
        rest = tuple(video for n, video in enumerate(train) if n not in numbers)
    else:
        cuts = [(video, length(video)) for video in train]
        cuts = [(video, frames, round(frames * (1 - share))) for video, frames in cuts]
        held = tuple(replace(video, stretch=(cut, frames)) for video, frames, cut in cuts)
        rest = tuple(replace(video, stretch=(0, cut)) for video, _, cut in cuts)
    if seconds(held) < LEAST:
        return train, nothing
    return replace(train, videos=rest), replace(train, videos=held)


def seconds(videos: Sequence[Video]) -> float:
    """Length of videos in all, by their number of frames and rate."""
    return sum(length(video) / max(video.open().info.fps, 1e-6) for video in videos)
