"""What files and live streams read alike: the times of their pictures, and which way is up."""

from __future__ import annotations

import heapq
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

BACK = 0.1
"""Seconds by which a packet's stamp may lie before the last one's; beyond, stamps start again."""
JUMP = 10.0
"""Seconds that stamps may leave out where a format allows them to start anew (MPEG-TS and -PS)."""
LONGEST = 30 * 3600.0
"""Seconds that stamps may leave out in any other format; beyond, a stamp is damaged."""
REORDERED = 16
"""Most pictures that a codec keeps back to show others first."""


class Timeline:
    """Times of a recording's pictures in seconds, on the file's own timeline.

    It starts where the first stream of the container starts, so sound may come before the picture.
    Where stamps start again (joined files) or leap, time goes on by one picture.  Every packet has
    to go through ``follow`` before it is decoded, every picture through ``time``.
    """

    def __init__(self, container: InputContainer, stream: VideoStream, fps: float) -> None:
        from av.format import Flags

        self.unit = stream.time_base or Fraction(1)
        self.shift = 0
        """Units that are added to the stamps of the file."""
        self._step = max(1, round(1 / fps / self.unit))
        self._longest = JUMP if Flags.ts_discont.value & container.format.flags else LONGEST
        begin = container.start_time
        self._begin = None if begin is None else Fraction(begin, 1_000_000)
        self._last: int | None = None
        self._seconds: float | None = None
        # AVI stamps pictures in the order of decoding, not in that of showing.
        self._coded = container.format.name == "avi"
        self._waiting: list[int] = []

    def follow(self, packet: Packet) -> None:
        """Put the stamps of the next packet on the timeline."""
        stamp = packet.dts
        if stamp is not None:  # Only these come in order; the first packets may lack them.
            if self._last is not None:
                passed = float((stamp + self.shift - self._last) * self.unit)
                if not -BACK <= passed <= self._longest:
                    self.shift = self._last + (packet.duration or self._step) - stamp
            self._last = packet.dts = stamp + self.shift
        if self.shift and packet.pts is not None:
            packet.pts += self.shift
        if self._coded and packet.size and self._last is not None:
            packet.pts = self._last
            heapq.heappush(self._waiting, self._last)

    def lose(self, packet: Packet) -> None:
        """Leave out the time of a packet that gives no picture."""
        if self._coded and packet.pts in self._waiting:
            self._waiting.remove(packet.pts)
            heapq.heapify(self._waiting)

    def time(self, picture: VideoFrame) -> float:
        """Seconds of the next picture in the order of showing; they never decrease."""
        if self._coded and self._waiting:
            decoded = picture.pts
            picture.pts = heapq.heappop(self._waiting)
            # What was lost without a word would make all that follow late.
            while (
                decoded is not None
                and self._waiting
                and decoded - picture.pts > REORDERED * self._step
            ):
                picture.pts = heapq.heappop(self._waiting)
        return self.seconds(picture.pts)

    def seconds(self, stamp: int | None) -> float:
        """Seconds of a stamp that ``follow`` has put on the timeline, the next in their order."""
        if stamp is None:
            ahead = float(self._step * self.unit)
            self._seconds = 0.0 if self._seconds is None else self._seconds + ahead
            return self._seconds
        shown = stamp * self.unit
        if self._begin is None or (
            self._seconds is None and not 0 <= shown - self._begin <= self._longest
        ):
            self._begin = shown - Fraction(self._seconds or 0.0)
        self._seconds = max(float(shown - self._begin), self._seconds or 0.0)
        return self._seconds


class Upright:
    """Turns pictures as their container says: rotated, mirrored, or as they are."""

    def __init__(self, picture: VideoFrame) -> None:
        self.swapped, self._rows, self._columns = False, False, False
        matrix = picture.side_data.get("DISPLAYMATRIX")
        if matrix is not None:
            a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].tolist()
            self.swapped = abs(b) > abs(a)
            self._rows, self._columns = (b < 0, c < 0) if self.swapped else (d < 0, a < 0)

    def __call__(self, image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h2 w2 3"]:
        """The picture upright."""
        image = image.swapaxes(0, 1) if self.swapped else image
        rows, columns = (-1 if flip else 1 for flip in (self._rows, self._columns))
        return np.ascontiguousarray(image[::rows, ::columns])
