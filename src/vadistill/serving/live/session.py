"""The frames of one connection, through a bounded queue, and which of them are worth scoring."""

from __future__ import annotations

import base64
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import UInt8

from vadistill.addresses import Address
from vadistill.drawing import from_jpeg, to_jpeg
from vadistill.errors import VideoError
from vadistill.limits import KEPT_BYTES, WAITING, WAITING_BYTES
from vadistill.video import (
    Frame,
    LiveSource,
    Polygon,
    VideoInfo,
    VideoSource,
    open_video,
    painted,
)

OLDEST = 1.5
"""Seconds that a frame waits at most.  Streams begin with a burst of what came while they were
opened, which is scored in a moment; frames that wait so long tell that scoring is too slow."""
KEEP = 4096
"""Frames, of those handed out, that can be asked for again."""
RAW = 48
"""Of these, the newest that are kept as they are, of large pictures fewer; others as JPEGs, for
detectors that look far."""

STOPPED = "the camera was stopped"


@dataclass(frozen=True)
class Arrival:
    """A frame and when it was decoded, in monotonic seconds."""

    frame: Frame
    moment: float


class Session(VideoSource):
    """Frames from one connecting to its end, indexed 0, 1, 2, … by what was taken.

    Iterating waits for each next frame and ends when the connection does; iterating again goes on
    behind the last frame.  Made by a ``Reader``.
    """

    def __init__(
        self, info: VideoInfo, *, queue: int, blocking: bool, stop: threading.Event
    ) -> None:
        self.info = info
        size = max(1, 3 * info.width * info.height)
        room = max(WAITING_BYTES // size, min(8, KEPT_BYTES // size), WAITING)
        self._size, self._blocking, self._stop = min(queue, room), blocking, stop
        self._raw = max(1, min(RAW, KEPT_BYTES // size))
        self._changed = threading.Condition()
        self._queue: deque[Arrival] = deque()
        self._over, self._reason = False, ""
        self._taken = 0
        self._start: float | None = None
        self._kept: deque[Arrival | _Packed] = deque()

    def __iter__(self) -> Iterator[Frame]:
        while True:
            with self._changed:
                while not (self._queue or self._over or self._stop.is_set()):
                    self._changed.wait(0.2)
                if not self._queue or self._stop.is_set():
                    return
                arrival = self._queue.popleft()
                if self._start is None:
                    self._start = arrival.frame.time
                taken = arrival.frame
                frame = Frame(self._taken, taken.time - self._start, taken.image)
                self._taken += 1
                self._kept.append(Arrival(frame, arrival.moment))
                if len(self._kept) > KEEP:
                    self._kept.popleft()
                old = self._kept[-1 - self._raw] if len(self._kept) > self._raw else None
                self._changed.notify_all()
            if isinstance(old, Arrival):
                packed = _Packed(old)
                with self._changed:
                    place = packed.index - self._first()
                    if place >= 0:
                        self._kept[place] = packed
            yield frame

    @property
    def over(self) -> bool:
        """Whether no frame is left and none will come."""
        with self._changed:
            return self._stop.is_set() or (self._over and not self._queue)

    @property
    def reason(self) -> str:
        """Why it is over."""
        with self._changed:
            return STOPPED if self._stop.is_set() else self._reason

    def arrival(self, index: int) -> Arrival | None:
        """A frame that was handed out lately; None if it is forgotten or still to come."""
        with self._changed:
            position = index - self._first()
            found = self._kept[position] if 0 <= position < len(self._kept) else None
        return found.arrival() if isinstance(found, _Packed) else found

    def scored(self, index: int) -> Arrival:
        """The frame that was scored; it and those before are let go.  Raises VideoError where it
        is forgotten."""
        arrival = self.arrival(index)
        self.forget(index + 1)
        if arrival is None:
            raise VideoError(
                f"frame {index} was scored too late to be shown",
                expected="a score within some thousand frames",
                fix="use a model with less latency",
            )
        return arrival

    def forget(self, before: int) -> None:
        """Let go of the frames in front of index ``before``."""
        with self._changed:
            while self._kept and self._first() < before:
                self._kept.popleft()

    def _first(self) -> int:
        """Index of the oldest frame that is kept, or of the next one."""
        if not self._kept:
            return self._taken
        oldest = self._kept[0]
        return oldest.index if isinstance(oldest, _Packed) else oldest.frame.index

    def put(self, frame: Frame, moment: float) -> int:
        """Add a frame that was decoded then; the number of older ones that were dropped for it."""
        dropped = 0
        with self._changed:
            while self._blocking and len(self._queue) >= self._size and not self._stop.is_set():
                self._changed.wait(0.2)
            while not self._blocking and self._queue and self._crowded(moment):
                self._queue.popleft()
                dropped += 1
            self._queue.append(Arrival(frame, moment))
            self._changed.notify_all()
        return dropped

    def _crowded(self, now: float) -> bool:
        return len(self._queue) >= self._size or now - self._queue[0].moment > OLDEST

    def end(self, reason: str = "") -> None:
        """No frame will come any more, and why; those in the queue can still be taken."""
        with self._changed:
            self._over, self._reason = True, reason
            self._changed.notify_all()

    def wait_until_empty(self) -> None:
        """Wait until the queue is empty, or for the stop."""
        with self._changed:
            while self._queue and not self._stop.is_set():
                self._changed.wait(0.2)


class _Packed:
    """An arrival whose pixels are a JPEG."""

    def __init__(self, arrival: Arrival) -> None:
        frame = arrival.frame
        self.index, self._time, self._moment = frame.index, frame.time, arrival.moment
        self._jpeg = to_jpeg(frame.image, 90)

    def arrival(self) -> Arrival:
        return Arrival(Frame(self.index, self._time, from_jpeg(self._jpeg)), self._moment)


class RateCap:
    """Which frames keep a rate of ``fps`` a second on average; None keeps all."""

    def __init__(self, fps: float | None) -> None:
        self._period = 1 / fps if fps else 0.0
        self._due: float | None = None

    def keeps(self, seconds: float) -> bool:
        """Whether to keep a frame of that time; ask for each frame once, in order."""
        due = seconds if self._due is None else self._due
        # Time stamps are not exact to the last millisecond.
        if seconds < due - 0.1 * self._period:
            return False
        # After a gap the rate starts anew: what was missed is not made up for.
        self._due = max(due, seconds - self._period) + self._period
        return True


class Stillness:
    """Whether nothing moved outside of ``masks`` since the last frame that was kept."""

    SIZE = (64, 36)
    MEAN, MOST = 1.0, 12.0
    """Grey levels by which pictures of that size differ less when nothing moves."""
    SECONDS = 1.0
    """A frame is kept at least this often."""

    def __init__(self, masks: Sequence[Polygon] = ()) -> None:
        self._masks = masks
        self._last: np.ndarray | None = None
        self._time = 0.0

    def found(self, image: UInt8[np.ndarray, "h w 3"], seconds: float) -> bool:
        """Whether the RGB picture of that time shows nothing new."""
        import cv2

        small = cv2.resize(image, self.SIZE, interpolation=cv2.INTER_AREA)
        small = painted(small, self._masks)
        grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.int16)
        if self._last is not None and seconds - self._time < self.SECONDS - 0.001:
            change = np.abs(grey - self._last)
            if change.mean() < self.MEAN and change.max() < self.MOST:
                return True
        self._last, self._time = grey, seconds
        return False


TIMEOUT = 8.0
"""Seconds that a camera may take to answer."""


def try_source(address: Address, transport: str) -> dict[str, Any]:
    """``width``, ``height``, ``fps`` and a ``picture`` (a data: address) of a source.

    ``transport`` is that of RTSP.  Raises VideoError where it cannot be reached or shows nothing.
    """
    if address.is_live:
        source = LiveSource(address, timeout=TIMEOUT, transport=transport)
    else:
        source = open_video(address)
    try:
        first = next(iter(source), None)
    finally:
        if isinstance(source, LiveSource):
            source.close()
    if first is None:
        raise VideoError(
            f"{address} ended without a picture", expected="video", fix="check the camera"
        )
    picture = base64.b64encode(to_jpeg(first.image)).decode()
    info = source.info
    return {
        "width": info.width,
        "height": info.height,
        "fps": info.fps,
        "picture": f"data:image/jpeg;base64,{picture}",
    }
