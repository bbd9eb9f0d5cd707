"""What files and live streams read alike: the times of their pictures, and which way is up."""

from __future__ import annotations

import heapq
import time
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
LIVE_BACK = 1.0
"""The same of a live stream's packets, which may come out of order."""
JUMP = 10.0
"""Seconds that stamps may leave out where they may start anew: live, in MPEG-TS and -PS."""
LONGEST = 30 * 3600.0
"""Seconds that stamps may leave out in any other format; beyond, a stamp is damaged."""
ALONE = 25
"""Pictures in a row of a live stream without a stamp after which the wall clock counts."""
UNTIMED = ("mpjpeg", "mjpeg", "jpeg_pipe", "h264", "hevc")
"""Containers without time stamps, for which FFmpeg makes some up."""
REORDERED = 16
"""Most pictures that a codec keeps back to show others first."""


class Timeline:
    """Times of a stream's pictures in seconds, on its own timeline.

    It starts where the first stream of the container starts, so sound may come before the picture.
    Where stamps start again (joined files) or leap, time goes on by one picture; with ``live``, by
    as long as that took, and the wall clock counts where stamps lack or FFmpeg makes them up.
    Every packet has to go through ``follow`` before it is decoded, every picture through ``time``.
    """

    def __init__(
        self, container: InputContainer, stream: VideoStream, fps: float, *, live: bool = False
    ) -> None:
        from av.format import Flags

        self.unit = stream.time_base or Fraction(1)
        self.shift = 0
        """Units that are added to the stamps of the file."""
        self._step = max(1, round(1 / fps / self.unit))
        anew = live or Flags.ts_discont.value & container.format.flags
        self._back, self._longest = LIVE_BACK if live else BACK, JUMP if anew else LONGEST
        begin = container.start_time
        self._begin = None if begin is None else Fraction(begin, 1_000_000)
        self._last: int | None = None
        self._seconds: float | None = None
        # AVI stamps pictures in the order of decoding, not in that of showing.
        self._coded = container.format.name == "avi"
        self._waiting: list[int] = []
        self._codec = stream.codec_context
        self._live = live
        self._made_up = live and container.format.name in UNTIMED
        self._missing = ALONE if self._made_up else 0
        self._came = self._shown = time.monotonic()

    def follow(self, packet: Packet) -> None:
        """Put the stamps of the next packet on the timeline."""
        waited = self._waited()
        stamp = packet.dts
        if stamp is None and self._live:  # RTP tells the order of showing alone.
            stamp = packet.pts
        if stamp is not None:  # Only these come in order; the first packets may lack them.
            if self._last is not None:
                passed = float((stamp + self.shift - self._last) * self.unit)
                if not -self._back <= passed <= self._longest + waited:
                    step = max(packet.duration or self._step, round(waited / self.unit))
                    self.shift = self._last + step - stamp
            self._last = stamp + self.shift
            packet.dts = None if packet.dts is None else self._last
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
        decoded = picture.pts
        if self._coded and decoded is not None and not self._codec.has_b_frames:
            # Decoded in the order of showing: those before it that are left have no picture.
            while self._waiting and self._waiting[0] <= decoded:
                heapq.heappop(self._waiting)
        elif self._coded and self._waiting:
            picture.pts = heapq.heappop(self._waiting)
            # What was lost without a word would make all that follow late.
            while (
                decoded is not None
                and self._waiting
                and decoded - picture.pts > REORDERED * self._step
            ):
                picture.pts = heapq.heappop(self._waiting)
        return self.seconds(None if self._made_up else picture.pts)

    def seconds(self, stamp: int | None) -> float:
        """Seconds of a stamp that ``follow`` has put on the timeline, the next in their order."""
        waited, self._shown = self._came - self._shown, self._came
        last, step = self._seconds, float(self._step * self.unit)
        self._missing = 0 if stamp is not None else self._missing + 1
        if stamp is None:
            ahead = waited if self._live and self._missing > ALONE else step
            if last is None and self._live:
                self._begin = None  # RTSP leaves out the first stamp: the next one tells.
            self._seconds = 0.0 if last is None else last + ahead
            return self._seconds
        shown = stamp * self.unit
        if self._begin is None or not self._near(float(shown - self._begin), waited):
            # How long a picture took tells little of its time, unless nothing came for long.
            ahead = waited if waited > self._back else step
            self._begin = shown - Fraction(0.0 if last is None else last + ahead)
        self._seconds = max(float(shown - self._begin), last or 0.0)
        return self._seconds

    def _waited(self) -> float:
        """Seconds from the arrival of the packet before to now; 0 for a recording."""
        if not self._live:
            return 0.0
        came, self._came = self._came, time.monotonic()
        return self._came - came

    def _near(self, seconds: float, waited: float) -> bool:
        """Whether a picture may be shown then; a live one's stamps may have been missing."""
        if self._seconds is None:
            return 0 <= seconds <= self._longest
        passed = seconds - self._seconds
        return not self._live or -self._back <= passed <= self._longest + waited


class Upright:
    """Turns pictures as their container says: rotated, mirrored, or as they are."""

    def __init__(self, picture: VideoFrame) -> None:
        self._swapped, self._rows, self._columns = False, False, False
        matrix = picture.side_data.get("DISPLAYMATRIX")
        if matrix is not None:
            a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].tolist()
            self._swapped = abs(b) > abs(a)
            self._rows, self._columns = (b < 0, c < 0) if self._swapped else (d < 0, a < 0)

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height of pictures once they are upright, and of upright ones before."""
        return (height, width) if self._swapped else (width, height)

    def __call__(self, image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h2 w2 3"]:
        """The picture upright."""
        image = image.swapaxes(0, 1) if self._swapped else image
        rows, columns = (-1 if flip else 1 for flip in (self._rows, self._columns))
        return np.ascontiguousarray(image[::rows, ::columns])
