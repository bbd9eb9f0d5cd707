"""Frames to windows and back: the neighbours a frame's score sees, and what happens at the ends."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from vadistill.video import Frame

Edge = Literal["repeat", "current"]
"""What stands for a frame beyond a video's end: the last one there is, or the window's own."""


class Window:
    """A frame of a video with those around it, by their offset from it.

    ``held`` are consecutive frames, all that there are within the offsets that will be asked for;
    ``position`` is the current one's place among them.
    """

    def __init__(self, held: tuple[Frame, ...], position: int) -> None:
        self._held, self._position = held, position

    @property
    def current(self) -> Frame:
        """The frame at offset 0."""
        return self._held[self._position]

    def at(self, offset: int, edge: Edge = "repeat") -> Frame:
        """The frame at ``offset``; beyond the video's ends as ``edge`` says."""
        place = self._position + offset
        if edge == "current" and not 0 <= place < len(self._held):
            return self.current
        return self._held[min(max(place, 0), len(self._held) - 1)]

    def pair(self, first: int, second: int) -> tuple[Frame, Frame]:
        """Two frames as far apart as these offsets, moved into the video as little as need be.

        So a flow at a video's end is that of the pair before.  In a video that is too short for
        the distance, both are as far apart as they can be.
        """
        places = [self._position + first, self._position + second]
        shift = max(0, -min(places)) - max(0, max(places) - len(self._held) + 1)
        one, other = (min(max(p + shift, 0), len(self._held) - 1) for p in places)
        return self._held[one], self._held[other]


def windows(frames: Iterable[Frame], *, before: int, after: int) -> Iterator[Window]:
    """One Window a frame, in order, that holds ``before`` and ``after`` frames around it.

    It comes ``after`` frames late, and at most ``before + after + 1`` frames are held.
    """
    held: deque[Frame] = deque()
    first = seen = 0
    for frame in frames:
        held.append(frame)
        seen += 1
        current = seen - 1 - after
        while first < current - before:
            held.popleft()
            first += 1
        if current >= 0:
            yield Window(tuple(held), current - first)
    for current in range(max(0, seen - after), seen):
        while first < current - before:
            held.popleft()
            first += 1
        yield Window(tuple(held), current - first)


class Triplet(NamedTuple):
    """A frame with its neighbours; at a video's ends the edge frame repeats."""

    previous: Frame
    current: Frame
    next: Frame

    @property
    def is_last(self) -> bool:
        return self.next is self.current

    @classmethod
    def of(cls, window: Window) -> Triplet:
        """The middle of a window."""
        return cls(window.at(-1), window.current, window.at(1))


def triplets(frames: Iterable[Frame]) -> Iterator[Triplet]:
    """One Triplet a frame, in order, with one frame of lookahead."""
    for window in windows(frames, before=1, after=1):
        yield Triplet.of(window)
