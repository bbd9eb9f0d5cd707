"""What a fitted detector calls normal, of more frames than it has learned from."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from vadistill.datasets.sampling import PIECE, length, pieces
from vadistill.objects.likeness import evenly
from vadistill.progress import progress
from vadistill.scores import Calibration, FrameScore

if TYPE_CHECKING:
    from vadistill.datasets import Dataset
    from vadistill.video import VideoSource

FRAMES = 6_000
"""Of normal footage that a calibration is of, about, where there are as many.  What is rare takes
more footage than learning does, and what a student has learned from is a little too easy for it."""


def widened(
    known: Calibration,
    stream: Callable[[VideoSource], Iterable[FrameScore]],
    train: Dataset,
    margin: int,
) -> Calibration:
    """The calibration of a detector that streams so, of ``FRAMES`` of its training footage.

    These are pieces of about ``PIECE``, evenly spaced, of some videos where there are many, or all
    that there is; of a piece the first and last ``margin`` frames do not count, whose neighbours
    the detector does not see.  ``known`` itself where it is of as many frames already, and knows
    how they follow each other.
    """
    lengths: dict[int, int] = {}
    for number in evenly(len(train)):
        if sum(min(PIECE, frames) for frames in lengths.values()) < FRAMES:
            lengths[number] = length(train.videos[number])
    total = sum(lengths.values())
    if known.lasting is not None and known.frames >= min(FRAMES, total):
        return known
    values: list[float] = []
    runs: list[int] = []
    with progress("level of normal footage", min(FRAMES, total)) as advance:
        for number, frames in sorted(lengths.items()):
            video = train.videos[number]
            wanted = max(1, round(frames * FRAMES / total))
            whole = wanted >= frames
            for piece in [video.open()] if whole else pieces(video.open(), frames, wanted):
                found = []
                for frame in stream(piece):
                    found.append(frame.score)
                    advance(note=video.name)
                own = found if whole else found[margin : len(found) - margin]
                values += own
                runs.append(len(own))
    return Calibration.fit(values, runs=runs) if values else known
