"""Frames to windows and back: the neighbours a frame's score sees, and what happens at the ends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from vadistill.video import Frame


class Triplet(NamedTuple):
    """A frame with its neighbours; at a video's ends the edge frame repeats."""

    previous: Frame
    current: Frame
    next: Frame

    @property
    def is_last(self) -> bool:
        return self.next is self.current


def triplets(frames: Iterable[Frame]) -> Iterator[Triplet]:
    """One Triplet a frame, in order, with one frame of lookahead."""
    previous = current = None
    for frame in frames:
        if current is not None:
            yield Triplet(previous or current, current, frame)
        previous, current = current, frame
    if current is not None:
        yield Triplet(previous or current, current, current)
