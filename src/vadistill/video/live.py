"""Live video: RTSP, MJPEG and other video over HTTP, and webcams."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from vadistill.addresses import STORES, Address
from vadistill.errors import VideoError
from vadistill.video.base import Frame, VideoInfo, VideoSource
from vadistill.video.connection import Connection

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.stream import VideoStream


class LiveSource(VideoSource):
    """One connection to a camera; ``info.frames`` is None.  Iterating again connects again.

    ``timeout``: seconds to wait for the connection, and for each packet after it.  ``transport``:
    'tcp' or 'udp', of RTSP.  ``ended``, when set, ends connecting and iterating as ``close`` does.
    What cannot be decoded is left out and counted in ``corrupt_frames``.  Frames keep the first
    size.  Raises VideoError with the address redacted, also when the connection is lost.
    """

    def __init__(
        self,
        address: str | Address,
        *,
        name: str | None = None,
        timeout: float = 10.0,
        transport: str = "tcp",
        ended: threading.Event | None = None,
    ) -> None:
        address = Address(address)
        if not address.is_live:
            raise VideoError(
                f"'{address}' is no address that can be watched",
                expected="rtsp://…, rtsps://…, http://…, https://…, webcam:0 or /dev/video0",
                fix="score it by 'vadistill score', or fetch it to a file"
                if address.scheme in STORES
                else "correct it, or record the stream to a file",
            )
        self.resized: tuple[int, int] | None = None
        """The (width, height) that arrives now if it is not the first one."""
        self.packets: Callable[[Packet, VideoStream], None] | None = None
        """Sees every packet before it is decoded, in the decoding thread; set it before reading."""
        self.wanted: Callable[[float], bool] | None = None
        """Asked in that thread with each picture's time in seconds; False leaves it out before it
        is converted to RGB, which is the costly part."""
        self._closed = threading.Event()
        self._arguments = (address, timeout, transport, (self._closed, ended or self._closed))
        self._connection: Connection | None = self._connect()
        size, fps = self._connection.size, self._connection.fps
        self.is_recording = self._connection.is_recording
        """Whether it has an end: a file over HTTP, which comes as fast as it is taken."""
        self.info = VideoInfo(name or address.name, *size, fps, None)

    def __iter__(self) -> Iterator[Frame]:
        connection, self._connection = self._connection or self._connect(), None
        self.corrupt_frames, self.resized = 0, None
        size = (self.info.width, self.info.height)
        try:
            pictures = connection.pictures(size, self.packets, self.wanted)
            for index, (seconds, image) in enumerate(pictures):
                self.corrupt_frames, self.resized = connection.corrupt, connection.resized
                yield Frame(index, seconds, image)
        finally:
            self.corrupt_frames = connection.corrupt
            connection.close()

    def close(self) -> None:
        """End the connection, from any thread; whoever iterates gets no further frame."""
        self._closed.set()

    def __del__(self) -> None:
        if hasattr(self, "_closed"):
            self._closed.set()

    def _connect(self) -> Connection:
        return Connection(*self._arguments)
