"""A connection to a live stream: a thread that owns all of FFmpeg's, and its pictures' times."""

from __future__ import annotations

import re
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from vadistill.errors import VideoError
from vadistill.video.addresses import ADDRESS, PROTOCOLS, redacted
from vadistill.video.base import DEFAULT_FPS

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

ALONE = 25
"""Pictures in a row without a time stamp after which the wall clock counts."""
JUMP = 10.0
"""Seconds by which stamps may run ahead of the wall clock; beyond, or back, is a clock set anew."""
UNTIMED = ("mpjpeg", "mjpeg", "jpeg_pipe", "h264", "hevc")
"""Containers without time stamps, for which FFmpeg makes some up."""
HANDED = 2
"""Pictures that wait to be taken."""
DAMAGED = 1000
"""Errors in a row after which a stream is lost."""


class Clock:
    """Seconds from the first picture, from time stamps or, without those, from the wall clock."""

    def __init__(self, unit: Fraction | None, fps: float, stamped: bool) -> None:
        self._unit, self._step, self._stamped = unit or Fraction(1), 1 / fps, stamped
        self._first: int | None = None
        self._offset = self._seconds = 0.0
        self._came: float | None = None
        self._missing = 0

    def time(self, stamp: int | None) -> float:
        """The time of the next picture; it never decreases."""
        now = time.monotonic()
        waited = 0.0 if self._came is None else now - self._came
        self._missing = self._missing + 1 if stamp is None else 0
        # RTSP leaves out the first stamp, and the first pictures come in one burst.
        regular = self._stamped and self._came is not None and self._missing < ALONE
        passed, self._came = self._step if regular else waited, now
        if stamp is None or not self._stamped:
            self._seconds += passed
            return self._seconds
        seconds = self._offset + float((stamp - (self._first or 0)) * self._unit)
        if self._first is None or not -1 < seconds - self._seconds < waited + JUMP:
            seconds = self._seconds + (passed if self._first is None else waited)
            self._first, self._offset = stamp, seconds
        self._seconds = max(seconds, self._seconds)
        return self._seconds


class Connection:
    """Connects, then hands over pictures with their times.

    Neither the look-up of a host nor a read can be interrupted; in a thread of their own they hold
    up nobody.  It ends within the time-out once any event of ``ended`` is set or ``close`` called.
    """

    def __init__(
        self, address: str, timeout: float, transport: str, ended: tuple[threading.Event, ...]
    ) -> None:
        self.size, self.fps = (0, 0), DEFAULT_FPS
        self.corrupt = 0
        self.resized: tuple[int, int] | None = None
        self._address, self._shown, self._timeout = address, redacted(address), timeout
        self._transport, self._ended, self._closed = transport, ended, False
        self._changed = threading.Condition()
        self._open, self._over, self._reason = False, False, ""
        self._wanted: Callable[[float], bool] | None = None
        self._tap: Callable[[Packet, VideoStream], None] | None = None
        self._reading = False
        self._pictures: deque[tuple[float, np.ndarray]] = deque()
        self._heard = self._seen = time.monotonic()
        threading.Thread(target=self._run, name=f"live {self._shown}", daemon=True).start()
        deadline = self._heard + timeout + 1
        with self._changed:
            while not (self._open or self._over or self.ended) and time.monotonic() < deadline:
                self._changed.wait(0.1)
            opened = self._open and not self.ended
        if not opened:
            self.close()
            raise VideoError(
                f"cannot open {self._shown} ({self._reason or f'no answer in {timeout:g} s'})",
                expected="a camera or stream that answers",
                fix="check the address, the user and password, and that the camera is on",
            )

    @property
    def ended(self) -> bool:
        """Whether nobody waits for this connection any more."""
        return self._closed or any(event.is_set() for event in self._ended)

    def close(self) -> None:
        """Let the thread end."""
        self._closed = True
        with self._changed:
            self._pictures.clear()
            self._changed.notify_all()

    def pictures(
        self,
        size: tuple[int, int],
        tap: Callable[[Packet, VideoStream], None] | None = None,
        wanted: Callable[[float], bool] | None = None,
    ) -> Iterator[tuple[float, np.ndarray]]:
        """Times and RGB pictures until the stream ends; raises VideoError when it is lost."""
        self.size, self._tap, self._wanted = size, tap, wanted
        with self._changed:
            self._heard = self._seen = time.monotonic()
            self._reading = True
            self._changed.notify_all()
        while True:
            with self._changed:
                began = time.monotonic()
                while not (self._pictures or self._over or self.ended):
                    self._reason = self._silence(began)
                    if self._reason:
                        break
                    self._changed.wait(0.1)
                if self.ended or (self._over and not self._pictures and not self._reason):
                    return
                if not self._pictures:
                    raise VideoError(
                        f"{self._shown} was lost ({self._reason})",
                        expected="a stream that goes on",
                        fix="check the camera and the network",
                    )
                picture = self._pictures.popleft()
                self._changed.notify_all()
            yield picture

    def _silence(self, since: float) -> str:
        """Why waiting since then is in vain, '' if it is not; FFmpeg's own time-outs come first."""
        now, patience = time.monotonic(), max(3 * self._timeout, 30.0)
        if now - max(since, self._heard) > self._timeout + 2:
            return f"nothing arrived for {self._timeout:g} s"
        # Cameras may send a whole picture as seldom as every 20 seconds.
        if now - max(since, self._seen) > patience:
            return f"no picture could be decoded for {patience:g} s"
        return ""

    # -- in the thread -------------------------------------------------------------------------

    def _run(self) -> None:
        reason = ""
        try:
            with self._container() as container:
                stream = self._stream(container)
                with self._changed:
                    self._open = True
                    self._changed.notify_all()
                    while not (self._reading or self.ended):
                        self._changed.wait(0.5)
                for picture in self._decoded(container, stream):
                    with self._changed:
                        while len(self._pictures) >= HANDED and not self.ended:
                            self._changed.wait(0.1)
                        self._pictures.append(picture)
                        self._changed.notify_all()
                    if self.ended:
                        break
        except Exception as error:
            # Whatever a broken stream brings up ends this connection and nothing else.
            reason = self._explained(error)
        with self._changed:
            self._over, self._reason = True, reason
            self._changed.notify_all()

    def _container(self) -> InputContainer:
        import av

        scheme = ADDRESS.match(self._address)
        times = (self._timeout, self._timeout)
        if scheme is None:
            return _webcam(self._address, times)
        address = f"{scheme[1].lower()}://{self._address[scheme.end() :]}"
        options = {
            "protocol_whitelist": PROTOCOLS[scheme[1].lower()],
            "timeout": str(round(self._timeout * 1e6)),
            # Streams that tell what they are at once do not take that long.
            "analyzeduration": str(round(min(5.0, self._timeout / 2) * 1e6)),
        }
        if scheme[1].lower() in ("rtsp", "rtsps"):
            options |= {"rtsp_transport": self._transport, "allowed_media_types": "video"}
        return av.open(address, options=options, timeout=times)

    def _stream(self, container: InputContainer) -> VideoStream:
        streams = [s for s in container.streams.video if s.codec_context is not None]
        if not streams:
            raise ValueError("it has no video that can be decoded")
        stream = streams[0]
        context = stream.codec_context
        # Threads would keep pictures back; several cameras share the cores anyway.
        stream.thread_type = "NONE"
        if not (context.width > 0 and context.height > 0):
            raise ValueError("no picture arrived that can be decoded")
        self.size = (context.width, context.height)
        rates = (stream.average_rate, stream.guessed_rate)
        if container.format.name not in UNTIMED:
            self.fps = next((float(r) for r in rates if r and 0 < r <= 240), DEFAULT_FPS)
        return stream

    def _decoded(
        self, container: InputContainer, stream: VideoStream
    ) -> Iterator[tuple[float, np.ndarray]]:
        from av.video.reformatter import VideoReformatter

        convert = VideoReformatter().reformat
        clock = Clock(stream.time_base, self.fps, container.format.name not in UNTIMED)
        width, height = self.size
        for packet in self._packets(container, stream):
            for picture in self._decode(stream, packet):
                self._seen = time.monotonic()
                if picture.is_corrupt:
                    self.corrupt += 1
                    continue
                seconds = clock.time(picture.pts)
                now = (picture.width, picture.height)
                self.resized = None if now == (width, height) else now
                if self._wanted is None or self._wanted(seconds):
                    rgb = convert(picture, width=width, height=height, format="rgb24", threads=1)
                    yield seconds, rgb.to_ndarray()

    def _packets(self, container: InputContainer, stream: VideoStream) -> Iterator[Packet | None]:
        from av.error import InvalidDataError

        errors = 0
        while True:
            try:
                for packet in container.demux(stream):
                    if self.ended:
                        return
                    self._heard = time.monotonic()
                    # A packet without data would end the decoder.
                    if packet.size:
                        errors = 0
                        yield packet
            except InvalidDataError:
                # Damage between packets: reading on finds the next sound one.
                self.corrupt += errors == 0
                errors += 1
                if errors > DAMAGED or self.ended:
                    raise
            else:
                yield None
                return

    def _decode(self, stream: VideoStream, packet: Packet | None) -> list[VideoFrame]:
        from av.error import FFmpegError

        if packet is not None and self._tap is not None:
            self._tap(packet, stream)
        if packet is None or not packet.is_corrupt:
            try:
                return stream.decode(packet)
            except FFmpegError:
                pass
        self.corrupt += packet is not None
        return []

    def _explained(self, error: Exception) -> str:
        from av.error import ExitError, FFmpegError

        if isinstance(error, ExitError):
            return f"nothing arrived for {self._timeout:g} s"
        reason = (error.strerror if isinstance(error, FFmpegError) else str(error)) or ""
        reason = reason.replace(self._address, self._shown)
        return " ".join(reason.split()) or type(error).__name__


def _webcam(address: str, timeout: tuple[float, float]) -> InputContainer:
    """The webcam of that number, compressed pictures preferred: USB carries more of them."""
    import av
    from av.error import FFmpegError

    number = re.sub(r"\D", "", address)
    if sys.platform == "darwin":
        return av.open(f"{number}:none", format="avfoundation", timeout=timeout)
    if not sys.platform.startswith("linux"):
        raise ValueError("webcams are read on Linux and macOS only")
    name = f"/dev/video{number}"
    try:
        return av.open(name, format="v4l2", options={"input_format": "mjpeg"}, timeout=timeout)
    except FFmpegError:
        return av.open(name, format="v4l2", timeout=timeout)
