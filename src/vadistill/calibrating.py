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
    around: tuple[int | None, int | None],
) -> Calibration:
    """The calibration of a detector that streams so, of ``FRAMES`` of its training footage.

    These are pieces of about ``PIECE``, evenly spaced, of some videos where there are many, or all
    that there is.  ``around``: the detector's ``lookback`` and ``lookahead``; so many frames at a
    piece's ends do not count, since it does not see their neighbours (at its beginning at least as
    many as at its end).  ``known`` itself where it is of as many frames already, and knows how they
    follow each other, and where so much has to be seen around a frame that pieces would not do.
    """
    lookback, lookahead = around
    before, after = max(lookback or 0, lookahead or 0), lookahead or 0
    if lookahead is None or before + after > PIECE // 2:
        return known
    lengths: dict[int, int] = {}
    for number in evenly(len(train)):
        if sum(min(PIECE, frames) for frames in lengths.values()) < FRAMES:
            lengths[number] = length(train.videos[number])
    total = sum(lengths.values())
    if not total or (known.lasting is not None and known.frames >= min(FRAMES, total)):
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
                own = found if whole else found[before : len(found) - after]
                values += own
                runs.append(len(own))
    wide = Calibration.fit(values, runs=runs) if values else known
    fewer = known.lasting is not None and wide.frames < known.frames
    return known if wide.lasting is None or fewer else wide
