"""Live video: RTSP, MJPEG and other video over HTTP, and webcams."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from vadistill.errors import VideoError
from vadistill.video.base import Frame, VideoInfo, VideoSource

if TYPE_CHECKING:
    from av.packet import Packet
    from av.video.stream import VideoStream

    from vadistill.video.connection import Connection

SCHEMES = ("rtsp", "rtsps", "http", "https")
ADDRESS = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]+):/+")
"""How a network address of any scheme begins; a Path leaves one of its two strokes."""
USER = re.compile(r"[^/@]*:[^@]*@")
"""How an address begins that lacks its scheme."""
WEBCAM = re.compile(r"webcam:\d{1,3}|/dev/video\d{1,3}")
HOST = re.compile(r"([\w.-]+|\[[0-9A-Fa-f:.%]+\])(:\d*)?")
SECRET = re.compile(r"(?i)(pass|pwd|user|login|token|secret|auth|key)[^/]*[=:]")


def is_live(address: str) -> bool:
    """Whether ``address`` is a stream's (rtsp, rtsps, http, https) or a webcam's."""
    scheme = ADDRESS.match(address)
    known = scheme is not None and scheme[1].lower() in SCHEMES
    return known or WEBCAM.fullmatch(address) is not None


def redacted(address: str) -> str:
    """``address`` as it may be shown: without user, password, query and what may be one of them.

    >>> redacted("rtsp://user:secret@host/x?token=1")
    'rtsp://host/x'
    """
    scheme = ADDRESS.match(address)
    if scheme is None:
        return USER.sub("…@", address, count=1) if USER.match(address) else address
    rest = address[scheme.end() :]
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    path = re.split(r"[?#]", rest[len(authority) :], maxsplit=1)[0]
    query = rest[len(authority) + len(path) :]
    host = authority.rpartition("@")[2]
    # A password with '/', '?' or '#' in it reaches past the authority.
    torn = "@" in path or ("@" in query and "@" not in authority and ":" in authority)
    if torn or not HOST.fullmatch(host):
        return f"{scheme[1].lower()}://…"
    parts = ("…" if SECRET.search(part) else part for part in path.split("/"))
    shown = f"{scheme[1].lower()}://{host}{'/'.join(parts)}"
    return "".join(c for c in shown if c.isprintable())


class LiveSource(VideoSource):
    """One connection to a camera; ``info.frames`` is None.  Iterating again connects again.

    ``timeout``: seconds to wait for the connection, and for each packet after it.  ``transport``:
    'tcp' or 'udp', of RTSP.  ``ended``, when set, ends connecting and iterating as ``close`` does.
    What cannot be decoded is left out and counted in ``corrupt_frames``.  Frames keep the first
    size.  Raises VideoError with the address redacted, also when the connection is lost.
    """

    def __init__(
        self,
        address: str,
        *,
        name: str | None = None,
        timeout: float = 10.0,
        transport: str = "tcp",
        ended: threading.Event | None = None,
    ) -> None:
        shown = redacted(address)
        if not is_live(address):
            raise VideoError(
                f"'{shown}' is no address that can be watched",
                expected="rtsp://…, rtsps://…, http://…, https://…, webcam:0 or /dev/video0",
                fix="correct it, or record the stream to a file",
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
        name = name or re.sub(r"[^\w.-]+", "-", ADDRESS.sub("", shown)).strip("-") or "live"
        self.info = VideoInfo(name, *self._connection.size, self._connection.fps, None)

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
        from vadistill.video.connection import Connection

        return Connection(*self._arguments)
